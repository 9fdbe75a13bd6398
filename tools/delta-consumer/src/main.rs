//! Measures following a Delta Lake table.

mod measure;
mod options;
mod query;
mod source;
mod start;
mod windows;

use std::process::ExitCode;

use anyhow::Result;
use bench_cli::generate::UsedService;
use bench_cli::{Exit, UsageError, arguments, generate, main_with};
use bench_delta::DeltaError;
use clap::{CommandFactory, FromArgMatches};

use options::Options;

/// What run-suite starts for this tool.
const SERVICES: &[UsedService] = &[UsedService::always("s3")];

/// Answers of the service are taken apart into many pieces.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    main_with(run)
}

fn run() -> Result<Exit> {
    if generate::handle(Options::command(), SERVICES)? {
        return Ok(Exit::Good);
    }
    let matches = arguments::matches(Options::command())?;
    let options = Options::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    options.log.init();
    let result = match &options.query.query {
        Some(field) => query::query(&options, field),
        None => measure::measure(&options, &matches),
    };
    result.map_err(|error| match error.downcast::<DeltaError>() {
        Ok(error) if error.is_usage() => UsageError::from_library(error).into(),
        Ok(error) => error.into(),
        Err(other) => other,
    })
}
