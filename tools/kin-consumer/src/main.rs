//! Measures reading an Amazon Kinesis stream.

mod measure;
mod options;
mod query;
mod source;
mod start;

use std::process::ExitCode;

use anyhow::Result;
use bench_cli::generate::UsedService;
use bench_cli::{Exit, arguments, generate, main_with};
use clap::{CommandFactory, FromArgMatches};

use options::Options;

/// What run-suite starts for this tool.
const SERVICES: &[UsedService] = &[UsedService::always("kinesis")];

/// Answers of the service are taken apart into many small pieces.
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
    match &options.query.query {
        Some(field) => query::query(&options, field),
        None => measure::measure(&options, &matches),
    }
}
