//! Measures rows landed in `MySQL`.

use std::process::ExitCode;

use bench_cli::main_with;
use bench_landed::{MysqlConnection, Tool};

const TOOL: Tool = Tool {
    name: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    about: "Measure rows landed in a MySQL table",
};

fn main() -> ExitCode {
    main_with(|| bench_landed::run::<MysqlConnection>(TOOL))
}
