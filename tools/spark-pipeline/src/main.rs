//! Measures a pipeline from Kafka through Spark Structured Streaming to Kafka.

mod backlog;
mod batches;
mod counted;
mod explain;
mod job;
mod kills;
mod malformed;
mod measure;
mod options;
mod sender;
mod topics;
mod watch;

use std::process::ExitCode;

use anyhow::{Error, Result};
use bench_cli::{
    Exit, Invocation, LogArgs, Tool, ToolId, UsageError, UsedService, run_tool, tool_id,
    usage_error,
};
use bench_kafka::error::KafkaError;
use clap::Command;

use options::Options;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    run_tool::<Options>()
}

impl Tool for Options {
    const ID: ToolId = tool_id!();
    const SERVICES: &'static [UsedService] =
        &[UsedService::always("kafka"), UsedService::always("spark")];

    fn command_line() -> Command {
        options::command()
    }

    fn log(&self) -> LogArgs {
        self.output.log
    }

    fn run(&self, invocation: &Invocation) -> Result<Exit> {
        measure::measure(self, invocation)
    }

    fn usage_error(error: &Error) -> Option<UsageError> {
        usage_error(error, KafkaError::is_usage)
    }
}
