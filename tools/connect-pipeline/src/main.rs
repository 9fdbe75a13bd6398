//! Measures a pipeline from a file to a file: Kafka Connect's file source and file sink around a
//! topic, or anything else that carries lines.

mod connect;
mod connectors;
mod first_line;
mod measure;
mod options;

use std::process::ExitCode;

use anyhow::Result;
use bench_cli::generate::UsedService;
use bench_cli::{Exit, arguments, generate, main_with};
use clap::FromArgMatches;

use options::Options;

/// What run-suite starts for this tool.
const SERVICES: &[UsedService] = &[UsedService::always("connect")];

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
    measure::measure(&options, &matches)
}
