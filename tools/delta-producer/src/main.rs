//! Measures publishing to a Delta Lake table.

mod maintain;
mod options;
mod produce;
mod publishers;
mod target;

use std::process::ExitCode;

use anyhow::Result;
use bench_cli::{
    Exit, Invocation, LogArgs, Tool, ToolId, UsageError, UsedService, run_tool, tool_id,
    usage_error,
};
use bench_delta::DeltaError;

use options::{Command, Options};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    run_tool::<Options>()
}

impl Tool for Options {
    const ID: ToolId = tool_id!();
    const SERVICES: &'static [UsedService] = &[UsedService::always("s3")];

    fn command_line() -> clap::Command {
        options::command()
    }

    fn log(&self) -> LogArgs {
        self.log
    }

    fn run(&self, invocation: &Invocation) -> Result<Exit> {
        match &self.command {
            None => produce::produce(self, invocation),
            Some(Command::Maintain(args)) => maintain::maintain(args, &invocation.shutdown),
        }
    }

    fn usage_error(error: &anyhow::Error) -> Option<UsageError> {
        usage_error(error, DeltaError::is_usage)
    }
}
