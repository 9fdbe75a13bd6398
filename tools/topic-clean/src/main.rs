//! Empties Kafka topics between runs, and lists, describes and creates them.

mod clean;
mod options;
mod plan;
mod render;
mod topics;

use std::process::ExitCode;

use anyhow::Result;
use bench_cli::{
    Exit, Invocation, LogArgs, Tool, ToolId, UsageError, UsedService, run_tool, tool_id,
    usage_error,
};
use bench_kafka::error::KafkaError;

use options::{Command, Options};

fn main() -> ExitCode {
    run_tool::<Options>()
}

impl Tool for Options {
    const ID: ToolId = tool_id!();
    const SERVICES: &'static [UsedService] = &[UsedService::always("kafka")];

    fn log(&self) -> LogArgs {
        self.output.log
    }

    fn run(&self, invocation: &Invocation) -> Result<Exit> {
        let shutdown = &invocation.shutdown;
        match &self.command {
            None => clean::clean(self, shutdown),
            Some(Command::List) => topics::list(self, shutdown),
            Some(Command::Describe { topic }) => topics::describe(self, topic, shutdown),
            Some(Command::Create(create)) => topics::create(self, create, shutdown),
        }
    }

    fn usage_error(error: &anyhow::Error) -> Option<UsageError> {
        usage_error(error, KafkaError::is_usage)
    }
}
