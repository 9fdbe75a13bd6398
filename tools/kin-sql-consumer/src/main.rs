//! Measures what has landed in `MySQL`.

use std::process::ExitCode;

use bench_cli::generate::UsedService;
use bench_cli::main_with;
use bench_landed::{MysqlConnection, Tool};

const TOOL: Tool = Tool {
    name: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    about: "Measure what has landed in a table of MySQL",
    services: &[UsedService::always("mysql"), UsedService::always("sql-lambda")],
};

fn main() -> ExitCode {
    main_with(|| bench_landed::run::<MysqlConnection>(TOOL))
}
