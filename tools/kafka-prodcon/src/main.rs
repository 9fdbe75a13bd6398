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
use bench_cli::{
    Exit, Invocation, LogArgs, Tool, ToolId, UsageError, UsedService, run_tool, tool_id,
    usage_error,
};
use bench_kafka::error::KafkaError;
use bench_tables::TableError;

use options::{Command, Options};

/// Also used by librdkafka's C code: with the C library's allocator, consuming takes twice the CPU
/// time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    run_tool::<Options>()
}

impl Tool for Options {
    const ID: ToolId = tool_id!();
    const SERVICES: &'static [UsedService] = &[
        UsedService::always("kafka"),
        UsedService::when("mysql", "land", "mysql"),
        UsedService::when("dynamodb", "land", "dynamodb"),
    ];

    /// Turns the two-letter short option of the script that this replaces into a long one.
    fn arguments() -> Vec<OsString> {
        let argument = |argument: OsString| match argument.to_str() {
            Some("-db") => "--dbtype".into(),
            Some(text) if text.starts_with("-db=") => format!("--dbtype={}", &text[4..]).into(),
            _ => argument,
        };
        std::env::args_os().map(argument).collect()
    }

    fn log(&self) -> LogArgs {
        self.output.log
    }

    fn run(&self, invocation: &Invocation) -> Result<Exit> {
        match &self.command {
            None => produce::produce_and_consume(self, invocation),
            Some(Command::Fill(fill)) => produce::fill(self, fill, invocation),
            Some(Command::Drain(drain)) => drain::drain(self, drain, invocation),
            Some(Command::Send(send)) => send::send(self, send, &invocation.shutdown),
            Some(Command::Print(print)) => print::print(self, print, &invocation.shutdown),
        }
    }

    fn usage_error(error: &anyhow::Error) -> Option<UsageError> {
        usage_error(error, KafkaError::is_usage)
            .or_else(|| usage_error(error, TableError::is_usage))
    }
}
