//! Measures Apache Kafka: produces, consumes, or both at once.

mod clients;
mod cluster;
mod consumers;
mod drain;
mod escapes;
mod kills;
mod landing;
mod options;
mod print;
mod produce;
mod producers;
mod send;
mod session;
mod settings;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use bench_cli::generate::UsedService;
use bench_cli::{Exit, UsageError, arguments, generate, main_with};
use bench_kafka::error::KafkaError;
use bench_tables::TableError;
use clap::{CommandFactory, FromArgMatches};

use options::{Command, Options};

/// What run-suite starts for this tool.
const SERVICES: &[UsedService] = &[
    UsedService::always("kafka"),
    UsedService::when("mysql", "land", "mysql"),
    UsedService::when("dynamodb", "land", "dynamodb"),
];

/// For the C code too. With the C library's own, consuming costs twice the processor time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    main_with(run)
}

fn run() -> Result<Exit> {
    if generate::handle(Options::command(), SERVICES)? {
        return Ok(Exit::Good);
    }
    let matches = arguments::matches_from(Options::command(), command_line())?;
    let options = Options::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    options.log.init();
    let result = match &options.command {
        None => produce::produce_and_consume(&options, &matches),
        Some(Command::Fill(fill)) => produce::fill(&options, fill, &matches),
        Some(Command::Drain(drain)) => drain::drain(&options, drain, &matches),
        Some(Command::Send(send)) => send::send(&options, send),
        Some(Command::Print(print)) => print::print(&options, print),
    };
    result.map_err(|error| {
        let of_kafka = error.downcast_ref::<KafkaError>().is_some_and(KafkaError::is_usage);
        let of_table = error.downcast_ref::<TableError>().is_some_and(TableError::is_usage);
        if of_kafka || of_table { UsageError::from_library(error).into() } else { error }
    })
}

/// The command line, with the two-letter short option of the script that this replaces as a long
/// one.
fn command_line() -> impl Iterator<Item = OsString> {
    std::env::args_os().map(|argument| match argument.to_str() {
        Some("-db") => "--dbtype".into(),
        Some(text) if text.starts_with("-db=") => format!("--dbtype={}", &text[4..]).into(),
        _ => argument,
    })
}
