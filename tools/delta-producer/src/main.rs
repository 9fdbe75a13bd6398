//! Measures publishing to a Delta Lake table.

mod maintain;
mod options;
mod produce;
mod publishers;
mod target;

use std::process::ExitCode;

use anyhow::Result;
use bench_cli::generate::UsedService;
use bench_cli::{Exit, UsageError, arguments, generate, main_with};
use bench_delta::DeltaError;
use clap::FromArgMatches;

use options::{Command, Options};

/// What run-suite starts for this tool.
const SERVICES: &[UsedService] = &[UsedService::always("s3")];

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    main_with(run)
}

fn run() -> Result<Exit> {
    if generate::handle(options::command(), SERVICES)? {
        return Ok(Exit::Good);
    }
    let matches = arguments::matches(options::command())?;
    let options = Options::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    options.log.init();
    let exit = match &options.command {
        None => produce::produce(&options, &matches),
        Some(Command::Maintain(args)) => maintain::maintain(args),
    };
    exit.map_err(|error| match error.downcast::<DeltaError>() {
        Ok(error) if error.is_usage() => UsageError::from_library(error).into(),
        Ok(error) => error.into(),
        Err(other) => other,
    })
}
