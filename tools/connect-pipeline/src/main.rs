//! Measures a pipeline from file to file: Kafka Connect's file source and file sink around a topic,
//! or any other program that passes lines on.

mod connect;
mod connectors;
mod first_line;
mod measure;
mod options;

use std::process::ExitCode;

use anyhow::Result;
use bench_cli::{Exit, Invocation, LogArgs, Tool, ToolId, UsedService, run_tool, tool_id};
use clap::Command;

use options::Options;

fn main() -> ExitCode {
    run_tool::<Options>()
}

impl Tool for Options {
    const ID: ToolId = tool_id!();
    const SERVICES: &'static [UsedService] = &[UsedService::always("connect")];

    fn command_line() -> Command {
        options::command()
    }

    fn log(&self) -> LogArgs {
        self.output.log
    }

    fn run(&self, invocation: &Invocation) -> Result<Exit> {
        measure::measure(self, invocation)
    }
}
