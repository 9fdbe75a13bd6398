//! Measures what has landed in `DynamoDB`.

use std::process::ExitCode;

use bench_cli::generate::UsedService;
use bench_cli::main_with;
use bench_landed::{DynamodbConnection, Tool};

const TOOL: Tool = Tool {
    name: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    about: "Measure what has landed in a table of DynamoDB",
    services: &[UsedService::always("dynamodb"), UsedService::always("kin-lambda")],
};

fn main() -> ExitCode {
    main_with(|| bench_landed::run::<DynamodbConnection>(TOOL))
}
