//! An S3 for the tool, and reading the tables that it wrote.

use std::path::Path;
use std::process::Command;

use bench_core::audit::AckLedger;
use bench_core::clock::{Clock as _, SystemClock};
use bench_core::counts::Counts;
use bench_core::message;
use bench_core::transport::Receive as _;
use bench_delta::receive::{DeltaReceiver, FollowConfig, FollowMode, TableStart};
use bench_delta::{Lake, LakeArgs};
use bench_record::RunDocument;
use bench_testing::tool::{PATIENCE, Sandbox, ToolOutput};
use clap::Parser;
use embedded_s3::{BackgroundS3, serve_in_background};

/// The confirmed messages in the record of the only run: producer and sequence number, in order.
pub(crate) fn acked(sandbox: &Sandbox) -> Vec<(u16, u64)> {
    acked_in(&sandbox.run_folder("results"))
}

/// The same of the run in this folder.
pub(crate) fn acked_in(run: &Path) -> Vec<(u16, u64)> {
    let ledger = AckLedger::read(run).expect("acked.json");
    let mut acked = Vec::new();
    for (stream, sequences) in ledger.streams() {
        for (first, last) in sequences.ranges() {
            acked.extend((first..=last).map(|sequence| (stream.producer, sequence)));
        }
    }
    acked.sort_unstable();
    acked
}

/// A count of a run.
pub(crate) fn count(document: &RunDocument, name: &str) -> u64 {
    let summary = document.summary.as_ref().expect("figures");
    summary.counts.get(name).copied().unwrap_or_else(|| panic!("no {name}: {:?}", summary.counts))
}

/// The benchmark's messages in a table: producer and sequence number, in order.
pub(crate) fn messages(lake: &Lake) -> Vec<(u16, u64)> {
    let mut messages = messages_as_they_come(lake);
    messages.sort_unstable();
    messages
}

/// The same in the table's order.
pub(crate) fn messages_as_they_come(lake: &Lake) -> Vec<(u16, u64)> {
    let clock = SystemClock::new();
    let config = FollowConfig {
        start: TableStart::Beginning,
        mode: FollowMode::ToEnd,
        poll_interval: std::time::Duration::from_millis(5),
        read_ahead_bytes: 16 << 20,
        wait_for_table: std::time::Duration::ZERO,
    };
    let receiver = DeltaReceiver::connect(lake, config, clock, &Counts::default());
    let mut receiver = receiver.expect("a table");
    let deadline_ns = clock.now_ns() + u64::try_from(PATIENCE.as_nanos()).expect("fits");
    let mut messages = Vec::new();
    while !receiver.at_end() {
        assert!(clock.now_ns() < deadline_ns, "no end");
        let passed_on = receiver.receive(clock.now_ns() + 50_000_000, |incoming| {
            let header = message::decode(incoming.value).expect("a message, undamaged");
            messages.push((header.producer, header.sequence));
        });
        passed_on.expect("passed_on");
    }
    messages
}

/// A table in a folder.
pub(crate) fn folder(path: &Path) -> Lake {
    Lake::folder(path, &Counts::default()).expect("a folder")
}

/// An S3 that outlives the tool.
pub(crate) struct S3 {
    pub(crate) server: BackgroundS3,
}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    lake: LakeArgs,
}

impl S3 {
    pub(crate) fn start() -> Self {
        Self { server: serve_in_background().expect("a server") }
    }

    /// The tool in `sandbox` with the environment of this service. `args` are separated by spaces.
    pub(crate) fn command(&self, sandbox: &Sandbox, args: &str) -> Command {
        let mut command = sandbox.command(args);
        command.envs(self.server.environment());
        command
    }

    /// Runs the tool to its end.
    pub(crate) fn run(&self, sandbox: &Sandbox, args: &str) -> ToolOutput {
        ToolOutput::of(self.command(sandbox, args))
    }

    /// A table in the bucket.
    pub(crate) fn table(&self, name: &str) -> Lake {
        let keys = (self.server.access_key(), self.server.secret_key());
        let (endpoint, bucket) = (self.server.endpoint_url(), self.server.bucket());
        let named = Line::parse_from(["test"]).lake.embedded(endpoint, keys, bucket, name);
        named.connect(&Counts::default()).expect("a table")
    }
}
