//! Empties Kafka topics between runs, and lists, describes and creates them.

mod clean;
mod options;
mod plan;
mod render;
mod topics;

use std::process::ExitCode;

use anyhow::{Context, Result};
use bench_cli::generate::UsedService;
use bench_cli::{Exit, Shutdown, UsageError, arguments, generate, main_with};
use bench_kafka::error::KafkaError;
use clap::CommandFactory;

use options::{Command, Options};

/// What run-suite starts for this tool.
const SERVICES: &[UsedService] = &[UsedService::always("kafka")];

fn main() -> ExitCode {
    main_with(run)
}

fn run() -> Result<Exit> {
    if generate::handle(Options::command(), SERVICES)? {
        return Ok(Exit::Good);
    }
    let options: Options = arguments::parse()?;
    options.log.init();
    let shutdown = Shutdown::install().context("failed to listen for signals")?;
    let result = match &options.command {
        None => clean::clean(&options, &shutdown),
        Some(Command::List) => topics::list(&options, &shutdown),
        Some(Command::Describe { topic }) => topics::describe(&options, topic, &shutdown),
        Some(Command::Create(create)) => topics::create(&options, create, &shutdown),
    };
    result.map_err(|error| match error.downcast::<KafkaError>() {
        Ok(error) if error.is_usage() => UsageError::from_library(error).into(),
        Ok(error) => error.into(),
        Err(other) => other,
    })
}
