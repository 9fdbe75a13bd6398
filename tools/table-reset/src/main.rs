//! Creates, empties and deletes the landing tables.

mod options;
mod plan;
mod render;
mod reset;

use std::process::ExitCode;

use anyhow::Result;
use bench_cli::{
    Exit, Invocation, LogArgs, Tool, ToolId, UsageError, UsedService, run_tool, tool_id,
    usage_error,
};
use bench_tables::TableError;

use options::Options;

fn main() -> ExitCode {
    run_tool::<Options>()
}

impl Tool for Options {
    const ID: ToolId = tool_id!();
    const SERVICES: &'static [UsedService] = &[UsedService::always("mysql")];

    fn log(&self) -> LogArgs {
        self.output.log
    }

    fn run(&self, invocation: &Invocation) -> Result<Exit> {
        reset::reset(self, &invocation.shutdown)
    }

    fn usage_error(error: &anyhow::Error) -> Option<UsageError> {
        usage_error(error, TableError::is_usage)
    }
}
