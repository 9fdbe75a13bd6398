//! Measures following a Delta Lake table.

mod measure;
mod options;
mod query;
mod source;
mod start;
mod windows;

use std::process::ExitCode;

use anyhow::Result;
use bench_cli::{
    Exit, Invocation, LogArgs, Tool, ToolId, UsageError, UsedService, run_tool, tool_id,
    usage_error,
};
use bench_delta::DeltaError;

use options::Options;

/// Responses of the service are split into many small allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    run_tool::<Options>()
}

impl Tool for Options {
    const ID: ToolId = tool_id!();
    const SERVICES: &'static [UsedService] = &[UsedService::always("s3")];

    fn log(&self) -> LogArgs {
        self.output.log
    }

    fn run(&self, invocation: &Invocation) -> Result<Exit> {
        self.reader.check()?;
        match &self.query.query {
            Some(field) => query::query(self, field, invocation),
            None => measure::measure(self, invocation),
        }
    }

    fn usage_error(error: &anyhow::Error) -> Option<UsageError> {
        usage_error(error, DeltaError::is_usage)
    }
}
