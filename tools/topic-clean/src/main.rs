//! Empties Kafka topics between runs, and lists, describes and creates them.

mod clean;
mod options;
mod plan;
mod render;
mod topics;

use std::process::ExitCode;

use anyhow::Result;
use bench_cli::{Exit, UsageError, arguments, generate, main_with};
use bench_kafka::error::KafkaError;
use clap::CommandFactory;

use options::{Command, Options};

fn main() -> ExitCode {
    main_with(run)
}

fn run() -> Result<Exit> {
    if generate::handle(Options::command())? {
        return Ok(Exit::Good);
    }
    let options: Options = arguments::parse()?;
    options.log.init();
    let result = match &options.command {
        None => clean::clean(&options),
        Some(Command::List) => topics::list(&options),
        Some(Command::Describe { topic }) => topics::describe(&options, topic),
        Some(Command::Create(create)) => topics::create(&options, create),
    };
    result.map_err(|error| match error.downcast::<KafkaError>() {
        Ok(error) if error.is_usage() => UsageError::from_library(error).into(),
        Ok(error) => error.into(),
        Err(other) => other,
    })
}
