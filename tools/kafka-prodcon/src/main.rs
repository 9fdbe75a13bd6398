//! Measures Apache Kafka: produces, consumes, or both at once.

mod cluster;
mod consumers;
mod drain;
mod kills;
mod lines;
mod options;
mod produce;
mod producers;
mod session;

use std::process::ExitCode;

use anyhow::Result;
use bench_cli::{Exit, UsageError, generate, main_with};
use bench_kafka::error::KafkaError;
use bench_services::embedded;
use clap::{CommandFactory, FromArgMatches};

use options::{Command, Options};

/// For the C code too. With the C library's own, consuming costs twice the processor time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // A run on the embedded broker starts this program again as that broker.
    if let Some(code) = embedded::run_if_requested() {
        return code;
    }
    main_with(run)
}

fn run() -> Result<Exit> {
    if generate::handle(Options::command())? {
        return Ok(Exit::Good);
    }
    let matches = Options::command().get_matches();
    let options = Options::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    options.log.init();
    let result = match &options.command {
        None => produce::produce_and_consume(&options, &matches),
        Some(Command::Fill(fill)) => produce::fill(&options, fill, &matches),
        Some(Command::Drain(drain)) => drain::drain(&options, drain, &matches),
        Some(Command::Send(send)) => lines::send(&options, send),
        Some(Command::Print(print)) => lines::print(&options, print),
    };
    result.map_err(|error| match error.downcast::<KafkaError>() {
        Ok(error) if error.is_usage() => UsageError::from_library(error).into(),
        Ok(error) => error.into(),
        Err(other) => other,
    })
}
