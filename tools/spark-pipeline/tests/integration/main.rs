//! The tool as a user runs it.

mod command_line;
mod errors;
mod recovery;
mod spark;
mod work;

use std::process::Command;

use bench_stack::StackOptions;
use bench_testing::TestStack;
use bench_testing::tool::{Sandbox, ToolOutput};

/// The tool under test.
const TOOL: &str = env!("CARGO_BIN_EXE_spark-pipeline");

/// A stack shared by the tests. Their topics have distinct names.
struct Spark(TestStack);

impl Spark {
    fn for_test(test: &str) -> Option<Self> {
        bench_testing::local(test, &StackOptions::of(["kafka", "spark"])).map(Self)
    }

    fn command(&self, sandbox: &Sandbox, args: &str) -> Command {
        let mut command = sandbox.command(args);
        command.envs(self.0.environment().iter().cloned());
        command
    }

    fn run(&self, sandbox: &Sandbox, args: &str) -> ToolOutput {
        ToolOutput::of(self.command(sandbox, args))
    }
}
