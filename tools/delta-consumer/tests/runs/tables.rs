//! A folder and an S3 with tables of `delta-producer`.

use std::path::{Path, PathBuf};
use std::process::Command;

use bench_record::{AuditSummary, RunDocument};
use bench_testing::tool::{Sandbox, ToolOutput};
use embedded_s3::{BackgroundS3, serve_in_background};

use crate::TOOL;

/// A folder in which the tools run, and an S3 for their tables.
pub(crate) struct Tables {
    pub(crate) sandbox: Sandbox,
    pub(crate) server: BackgroundS3,
}

impl Tables {
    /// Skips the test if `delta-producer` was not built: testing one package does not build the
    /// binaries of another.
    pub(crate) fn new(test: &str) -> Option<Self> {
        let producer = producer();
        if !producer.is_file() {
            let reason = format!("{} does not exist (cargo build --release)", producer.display());
            bench_testing::skip(test, &reason);
            return None;
        }
        let server = serve_in_background().expect("a server");
        Some(Self { sandbox: Sandbox::new(TOOL), server })
    }

    /// The tool with the environment of the S3. `args` are separated by spaces.
    pub(crate) fn command(&self, args: &str) -> Command {
        let mut command = self.sandbox.command(args);
        command.envs(self.server.environment());
        command
    }

    /// Runs the tool to its end.
    pub(crate) fn run(&self, args: &str) -> ToolOutput {
        ToolOutput::of(self.command(args))
    }

    /// `delta-producer` in the same folder and environment, with its results in `sent`.
    pub(crate) fn producer(&self, args: &str) -> Command {
        let mut command = Command::new(producer());
        for (name, value) in self.command("").get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.current_dir(self.sandbox.path());
        command.args(["--results-dir", "sent"]).args(args.split_whitespace());
        command
    }

    /// Runs `delta-producer` to its end.
    pub(crate) fn send(&self, args: &str) {
        let output = ToolOutput::of(self.producer(args));
        assert_eq!(output.code, 0, "{args}: {output:?}");
    }

    /// The `--from-run` option for the only run that has sent.
    pub(crate) fn run_option(&self) -> String {
        format!("--from-run {}", self.sandbox.run_folder("sent").display())
    }
}

fn producer() -> PathBuf {
    Path::new(TOOL).with_file_name("delta-producer")
}

/// The audit of a run.
pub(crate) fn audit(document: &RunDocument) -> &AuditSummary {
    document.summary.as_ref().and_then(|summary| summary.audit.as_ref()).expect("an audit")
}

/// The message counts of an audit: lost, duplicated, reordered, corrupt, foreign.
pub(crate) fn faults(document: &RunDocument) -> [u64; 5] {
    let audit = audit(document);
    [audit.lost, audit.duplicated, audit.reordered, audit.corrupt, audit.foreign]
}
