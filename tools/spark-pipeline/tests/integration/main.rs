//! The tool as a user runs it.

mod command_line;
mod errors;
mod recovery;
mod spark;
mod work;

use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bench_stack::StackOptions;
use bench_testing::TestStack;
use bench_testing::tool::{Sandbox, ToolOutput};

/// The tool under test.
const TOOL: &str = env!("CARGO_BIN_EXE_spark-pipeline");

/// The job that the tool submits unless told otherwise.
const JOB: &str = include_str!("../../../../experiments/kafka-spark/stream.py");

/// The job with changes: texts that occur once, and what replaces them.
fn changed_job(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(JOB.to_owned(), |job, (old, new)| {
        assert_eq!(job.matches(old).count(), 1, "the job has changed: {old}");
        job.replace(old, new)
    })
}

/// Waits until no other test uses Spark: its processes leave small machines no room for more.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A stack that the tests use in turn. Their topics have distinct names.
struct Spark {
    stack: TestStack,
    _turn: MutexGuard<'static, ()>,
}

impl Spark {
    fn for_test(test: &str) -> Option<Self> {
        let turn = turn();
        let stack = bench_testing::local(test, &StackOptions::of(["kafka", "spark"]))?;
        Some(Self { stack, _turn: turn })
    }

    fn command(&self, sandbox: &Sandbox, args: &str) -> Command {
        let mut command = sandbox.command(args);
        command.envs(self.stack.environment().iter().cloned());
        command
    }

    fn run(&self, sandbox: &Sandbox, args: &str) -> ToolOutput {
        ToolOutput::of(self.command(sandbox, args))
    }
}
