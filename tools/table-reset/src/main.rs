//! Creates, empties and deletes the landing tables.

mod options;
mod plan;
mod render;
mod reset;

use std::process::ExitCode;

use anyhow::Result;
use bench_cli::generate::UsedService;
use bench_cli::{Exit, UsageError, arguments, generate, main_with};
use bench_tables::TableError;
use clap::CommandFactory;

use options::Options;

/// What run-suite starts for this tool.
const SERVICES: &[UsedService] = &[UsedService::always("mysql")];

fn main() -> ExitCode {
    main_with(run)
}

fn run() -> Result<Exit> {
    if generate::handle(Options::command(), SERVICES)? {
        return Ok(Exit::Good);
    }
    let options: Options = arguments::parse()?;
    options.log.init();
    reset::reset(&options).map_err(|error| match error.downcast::<TableError>() {
        Ok(error) if error.is_usage() => UsageError::from_library(error).into(),
        Ok(error) => error.into(),
        Err(other) => other,
    })
}
