//! Measures reading an Amazon Kinesis stream.

mod measure;
mod options;
mod query;
mod source;
mod start;

use std::process::ExitCode;

use anyhow::Result;
use bench_cli::{Exit, Invocation, LogArgs, Tool, ToolId, UsedService, run_tool, tool_id};

use options::Options;

/// Parsing the service's answers allocates many small pieces.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    run_tool::<Options>()
}

impl Tool for Options {
    const ID: ToolId = tool_id!();
    const SERVICES: &'static [UsedService] = &[UsedService::always("kinesis")];

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
}
