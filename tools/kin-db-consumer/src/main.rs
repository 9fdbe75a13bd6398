//! Measures rows landed in `DynamoDB`.

use std::process::ExitCode;

use bench_cli::main_with;
use bench_landed::{DynamodbConnection, Tool};

const TOOL: Tool = Tool {
    name: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    about: "Measure rows landed in a DynamoDB table",
};

fn main() -> ExitCode {
    main_with(|| bench_landed::run::<DynamodbConnection>(TOOL))
}
