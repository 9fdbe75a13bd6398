//! Shared by the tests of both consumers (`kin-sql-consumer` includes it): rows as a Lambda
//! function lands them, and the tool.

use std::path::Path;
use std::time::Duration;

use bench_core::audit::{AckLedger, StreamId};
use bench_core::clock::{Clock as _, Stamp, SystemClock};
use bench_core::message::RunId;
use bench_core::message::header::{HEADER_BYTES, HeaderWriter};
use bench_record::file_names;
use bench_tables::{KINESIS_TABLE, Row, TableWriter};
use bench_testing::Silent;
use bench_testing::tool::{Sandbox, ToolOutput};
use tokio::runtime::{Builder, Runtime};

/// A tool and its environment variables.
pub(crate) struct Consumer {
    pub(crate) program: &'static str,
    pub(crate) environment: Vec<(String, String)>,
}

impl Consumer {
    /// Runs the tool in a new, empty folder.
    pub(crate) fn run(&self, arguments: &[&str]) -> ToolOutput {
        let sandbox = Sandbox::new(self.program);
        let mut command = sandbox.command("");
        command.envs(self.environment.iter().cloned()).args(arguments);
        ToolOutput::of(command)
    }
}

/// Interrupts the tool while it waits for a response of its service.
pub(crate) fn check_interrupt(consumer: &Consumer, silent: &Silent) {
    let sandbox = Sandbox::new(consumer.program);
    let mut command = sandbox.command("--all-runs --timeout 1h");
    command.envs(consumer.environment.iter().cloned());
    let output = silent.interrupt(command);
    assert_eq!((output.code, output.stdout.as_str()), (130, ""), "{output:?}");
    assert!(output.stderr.contains("error: interrupted while "), "{output:?}");
    assert_eq!(sandbox.entries(), [""; 0]);
}

pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Messages of one producer of a run, numbered from 0.
pub(crate) struct Sent {
    pub(crate) run: RunId,
    clock: SystemClock,
    messages: Vec<Vec<u8>>,
}

impl Sent {
    pub(crate) fn new(run: u64, count: u64, size_bytes: usize) -> Self {
        let (clock, run) = (SystemClock::new(), RunId::from_bits(run));
        let writer = HeaderWriter::new(run, 0, clock.origin());
        let message = |sequence| {
            let mut message = vec![7; size_bytes.max(HEADER_BYTES)];
            writer.seal(&mut message, sequence, clock.now_ns(), clock.now_ns());
            message
        };
        Self { run, clock, messages: (0..count).map(message).collect() }
    }

    /// The messages as rows received now.
    pub(crate) fn rows(&self) -> Vec<Row<'_>> {
        let received = Stamp::now(&self.clock);
        let wall_ns = received.origin.wall_offset_ns.wrapping_add_unsigned(received.instant_ns);
        let row = |(sequence, message)| Row {
            run: Some(self.run),
            producer: 0,
            sequence,
            key: None,
            message,
            partition: 0,
            received,
            // In whole milliseconds, and not before they were sent.
            arrived_wall_ms: Some(wall_ns / 1_000_000 + 1),
        };
        let messages = self.messages.iter().map(Vec::as_slice);
        (0..).zip(messages).map(row).collect()
    }

    /// Writes the `acked.json` that a producer would leave in its result folder.
    pub(crate) fn leave_acked(&self, folder: &Path) {
        let mut ledger = AckLedger::default();
        let last = self.messages.len() as u64 - 1;
        ledger.insert_range(StreamId { run: self.run, producer: 0 }, 0, last);
        let text = serde_json::to_string(&ledger.to_file(true)).expect("JSON");
        std::fs::write(folder.join(file_names::ACKED), text).expect("written");
    }
}

/// Lands rows like a function: all of an event, then the confirmation.
pub(crate) async fn land(writer: &mut TableWriter, rows: &[Row<'_>]) {
    let written = writer.write(rows).await.expect("written");
    assert!(written.failed.is_empty(), "{written:?}");
    writer.confirm(&written).await.expect("confirmed");
}

/// The checks for either system, on an empty table.
pub(crate) fn check(consumer: &Consumer, writer: &mut TableWriter, runtime: &Runtime) {
    let output = consumer.run(&["-n", "5"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("has no rows of any run"), "{output:?}");

    // All rows are there, one of them twice.
    let sent = Sent::new(0xC0_FFEE, 500, 200);
    runtime.block_on(async {
        let rows = sent.rows();
        land(writer, &rows[..300]).await;
        land(writer, &rows[299..]).await;
    });
    let output = consumer.run(&["-n", "500", "-r", "200", "--output", "json"]);
    assert_eq!(output.code, 0, "{output:?}");
    let json = output.json();
    let summary = &json["summary"];
    assert_eq!(summary["consumed"]["landed"], 501, "{summary}");
    let audit = &summary["audit"];
    assert_eq!((&audit["lost"], &audit["duplicated"]), (&0.into(), &1.into()), "{audit}");
    assert_eq!(audit["reordered"], 0, "a table promises no order");
    for latency in ["end_to_end_latency", "arrival_latency", "landing_latency", "table_time"] {
        assert_eq!(summary[latency]["count"], 500, "{latency}: {summary}");
    }
    let p50 = |latency: &str| summary[latency]["p50_ns"].as_u64().expect("a number");
    assert!(p50("landing_latency") >= p50("end_to_end_latency"), "{summary}");
    assert_eq!(summary["counts"]["rows_unconfirmed"], 0);
    assert_eq!(summary["counts"]["rows_of_another_size"], 0);

    lost(consumer, writer, runtime);
    follow(consumer, writer, runtime);

    // By now the table has several runs.
    let output = consumer.run(&[]);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(
        output.stderr.contains("0000c0ffee") && output.stderr.contains("--all-runs"),
        "{output:?}"
    );
    let output = consumer.run(&["--all-runs", "-r", "100"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("rows of another size"), "{output:?}");
    let output = consumer.run(&["-a", "1000", "--run", "0000c0ffee"]);
    assert_eq!(output.code, 2, "{output:?}");
    let output = consumer.run(&["--table", "missing", "--run", "0000c0ffee"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("table-reset"), "{output:?}");

    query(consumer, writer, runtime);
}

/// Statistics of rows of other senders, beside those of the earlier runs.
fn query(consumer: &Consumer, writer: &mut TableWriter, runtime: &Runtime) {
    let books = [
        r#"{"author": "Austen", "price": 10.5}"#,
        r#"{"author": "Austen", "price": "20.5"}"#,
        r#"{"author": "Brontë", "price": 30}"#,
    ];
    let mut sent = Sent::new(0xEF, 3, 200);
    sent.messages = books.map(|book| book.as_bytes().to_vec()).into();
    let rows: Vec<Row<'_>> = sent.rows().into_iter().map(|row| Row { run: None, ..row }).collect();
    runtime.block_on(land(writer, &rows));
    let asked = ["--all-runs", "--query", "price", "--group-by", "author", "--output", "json"];
    let output = consumer.run(&asked);
    assert_eq!(output.code, 0, "{output:?}");
    let answer = output.json();
    assert_eq!((&answer["table"], &answer["status"]), (&KINESIS_TABLE.into(), &"complete".into()));
    let is_of_runs = &answer["skipped"]["not_an_object"];
    assert_eq!(
        answer["records"].as_u64(),
        is_of_runs.as_u64().map(|others| others + 3),
        "{answer}"
    );
    assert_eq!((&answer["all"]["count"], &answer["all"]["sum"]), (&3.into(), &61.0.into()));
    assert_eq!(answer["groups"][0]["sum"], 31.0, "{answer}");
    let elapsed_s = answer["elapsed_s"].as_f64().expect("a number");
    assert!((1e-6..600.0).contains(&elapsed_s), "time of reading, not of landing: {elapsed_s}");
    let output = consumer.run(&["--query", "price"]);
    assert!(output.code == 2 && output.stderr.contains("--all-runs"), "{output:?}");
}

/// A missing row is named and makes the run invalid.
fn lost(consumer: &Consumer, writer: &mut TableWriter, runtime: &Runtime) {
    let folder = tempfile::tempdir().expect("a folder");
    let sent = Sent::new(0xAB, 100, 200);
    sent.leave_acked(folder.path());
    runtime.block_on(async {
        let rows = sent.rows();
        land(writer, &rows[..41]).await;
        land(writer, &rows[42..]).await;
    });
    let path = folder.path().to_str().expect("text");
    let arguments = ["--from-run", path, "--drain-timeout", "2s", "--output", "json"];
    let output = consumer.run(&arguments);
    assert_eq!(output.code, 3, "{output:?}");
    let json = output.json();
    assert_eq!(json["verdict"]["outcome"], "invalid");
    let audit = &json["summary"]["audit"];
    assert_eq!((&audit["lost"], &audit["received"]), (&1.into(), &99.into()), "{audit}");
    assert!(audit["producers"].to_string().contains("41"), "it is named: {audit}");
}

/// A consumer that starts first receives every row as it arrives.
fn follow(consumer: &Consumer, writer: &mut TableWriter, runtime: &Runtime) {
    let folder = tempfile::tempdir().expect("a folder");
    let sent = Sent::new(0xCD, 400, 300);
    sent.leave_acked(folder.path());
    let path = folder.path().to_str().expect("text");
    let output = std::thread::scope(|scope| {
        let reading =
            scope.spawn(|| consumer.run(&["--from-run", path, "--follow", "--output", "json"]));
        for rows in sent.rows().chunks(50) {
            std::thread::sleep(Duration::from_millis(100));
            runtime.block_on(land(writer, rows));
        }
        reading.join().expect("no panic")
    });
    assert_eq!(output.code, 0, "{output:?}");
    let json = output.json();
    assert_eq!(json["summary"]["audit"]["received"], 400, "{json}");
    assert_eq!(json["summary"]["landing_latency"]["count"], 400, "{json}");
}
