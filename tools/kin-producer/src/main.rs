//! Measures publishing to an Amazon Kinesis stream.

mod books;
mod options;
mod produce;
mod producers;
mod stream;
mod timings;

use std::process::ExitCode;

use anyhow::Result;
use bench_cli::{Exit, Invocation, LogArgs, Tool, ToolId, UsedService, run_tool, tool_id};

use options::{Command, Options};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    run_tool::<Options>()
}

impl Tool for Options {
    const ID: ToolId = tool_id!();
    const SERVICES: &'static [UsedService] = &[UsedService::always("kinesis")];

    fn log(&self) -> LogArgs {
        self.log
    }

    fn run(&self, invocation: &Invocation) -> Result<Exit> {
        match &self.command {
            None => produce::produce(self, invocation),
            Some(Command::Books(books)) => {
                let command = books.command.clone();
                invocation.shutdown.interruptible("writing books", move || books::run(&command))?
            }
        }
    }
}
