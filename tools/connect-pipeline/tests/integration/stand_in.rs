//! Faulty pipelines: a thread of the test passes lines on and loses, repeats, swaps and damages
//! some. The audit must count exactly these.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bench_core::clock::{Clock as _, SystemClock};
use bench_core::transport::Receive as _;
use bench_files::{LineReceiver, Position};
use bench_record::{AuditSummary, ServiceOrigin, Status, VerdictOutcome};
use bench_testing::tool::{Running, Sandbox, ToolOutput, until};

use crate::TOOL;

const RUN: &str = "--source source.txt --sink sink.txt -n 500 --rate 1k/s --drain-timeout 2s";

/// A pipeline that runs until it is dropped.
struct Pipeline {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pipeline {
    /// Passes lines from source to sink. `carry` gets the number of each line, from 0, and its
    /// text, and returns what to write.
    fn start(sandbox: &Sandbox, carry: impl FnMut(usize, &str) -> String + Send + 'static) -> Self {
        let (source, sink) = (sandbox.path().join("source.txt"), sandbox.path().join("sink.txt"));
        let ended = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&ended);
        let thread = std::thread::spawn(move || carry_lines(&source, sink, carry, &flag));
        Self { ended, thread: Some(thread) }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn carry_lines(
    source: &Path,
    sink: PathBuf,
    mut carry: impl FnMut(usize, &str) -> String,
    ended: &AtomicBool,
) {
    let clock = SystemClock::new();
    let mut lines = LineReceiver::open(source, Position::Beginning, clock).expect("followed");
    let mut options = std::fs::OpenOptions::new();
    let mut sink = options.append(true).create(true).open(sink).expect("opened");
    let mut number = 0;
    while !ended.load(Ordering::Relaxed) {
        let mut text = String::new();
        let until_ns = clock.now_ns() + 10_000_000;
        let count = lines.receive(until_ns, |line| {
            let line = std::str::from_utf8(line.value).expect("text");
            text += &carry(number, line);
            number += 1;
        });
        count.expect("lines");
        sink.write_all(text.as_bytes()).expect("written");
    }
}

fn whole(line: &str) -> String {
    format!("{line}\n")
}

fn audit(sandbox: &Sandbox) -> AuditSummary {
    sandbox.document("results").summary.expect("figures").audit.expect("an audit")
}

/// Runs the tool on a pipeline that uses `carry`.
fn run(carry: impl FnMut(usize, &str) -> String + Send + 'static) -> (Sandbox, ToolOutput) {
    let sandbox = Sandbox::new(TOOL);
    let pipeline = Pipeline::start(&sandbox, carry);
    let output = sandbox.run(RUN);
    drop(pipeline);
    (sandbox, output)
}

#[test]
fn faithful_pipelines_are_valid() {
    let (sandbox, output) = run(|_, line| whole(line));
    assert_eq!(output.code, 0, "{output:?}");
    let document = sandbox.document("results");
    assert_eq!(document.options["format"], "json");
    let [service] = &document.services[..] else { panic!("{:?}", document.services) };
    assert_eq!((service.name.as_str(), service.origin), ("pipeline", ServiceOrigin::External));
    assert_eq!(service.address, "source.txt to sink.txt");
    let summary = document.summary.expect("figures");
    assert_eq!(summary.produced.expect("a producer").acked, 500);
    assert_eq!(summary.end_to_end_latency.expect("measured").count, 500);
    let audit = summary.audit.expect("an audit");
    assert_eq!((audit.received, audit.lost, audit.duplicated), (500, 0, 0));
    assert_eq!((audit.reordered, audit.corrupt, audit.foreign), (0, 0, 0));
}

#[test]
fn existing_lines_do_not_count() {
    let sandbox = Sandbox::new(TOOL);
    std::fs::write(sandbox.path().join("source.txt"), "carried already\n").expect("written");
    std::fs::write(sandbox.path().join("sink.txt"), "carried already\n").expect("written");
    let _pipeline = Pipeline::start(&sandbox, |number, line| match number {
        0 => String::new(),
        _ => whole(line),
    });
    let output = sandbox.run(RUN);
    assert_eq!(output.code, 0, "{output:?}");
    let audit = audit(&sandbox);
    assert_eq!((audit.received, audit.lost, audit.corrupt, audit.foreign), (500, 0, 0, 0));
}

#[test]
fn sources_ending_mid_line_are_refused() {
    let sandbox = Sandbox::new(TOOL);
    std::fs::write(sandbox.path().join("source.txt"), "half a line").expect("written");
    let output = sandbox.run(RUN);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(
        output.stderr.contains("--source: ")
            && output.stderr.contains("ends in the middle of a line")
    );
    assert_eq!(sandbox.document("results").status, Status::Failed);
}

#[test]
fn lost_lines_are_counted_and_reported() {
    let (sandbox, output) = run(|number, line| match number {
        100 | 101 | 499 => String::new(),
        _ => whole(line),
    });
    assert_eq!(output.code, 3, "{output:?}");
    let document = sandbox.document("results");
    assert_eq!(document.status, Status::Complete);
    let verdict = document.verdict.expect("a verdict");
    assert_eq!(verdict.outcome, VerdictOutcome::Invalid);
    assert!(verdict.reasons[0].contains('3'), "{verdict:?}");
    let audit = audit(&sandbox);
    assert_eq!((audit.received, audit.lost), (497, 3));
    assert_eq!(audit.producers[0].lost_ranges, [(100, 101), (499, 499)]);
}

#[test]
fn repeated_and_swapped_lines_are_counted() {
    let mut held = String::new();
    let (sandbox, output) = run(move |number, line| match number {
        10 => whole(line).repeat(3),
        20 => {
            held = whole(line);
            String::new()
        }
        21 => whole(line) + &held,
        _ => whole(line),
    });
    assert_eq!(output.code, 0, "at least once is no loss: {output:?}");
    let audit = audit(&sandbox);
    assert_eq!((audit.received, audit.lost, audit.corrupt), (500, 0, 0));
    assert_eq!((audit.duplicated, audit.reordered), (2, 1));
}

#[test]
fn damaged_lines_are_counted_as_lost_too() {
    let (sandbox, output) = run(|number, line| match number {
        7 => whole(&line.replace(r#""sequence":7,"#, r#""sequence":8,"#)),
        8 => whole("not a message") + &whole(line),
        _ => whole(line),
    });
    assert_eq!(output.code, 3, "{output:?}");
    let audit = audit(&sandbox);
    assert_eq!((audit.received, audit.lost, audit.corrupt), (499, 1, 2));
    assert_eq!(audit.producers[0].lost_ranges, [(7, 7)]);
}

#[test]
fn interrupted_runs_are_marked_incomplete() {
    let sandbox = Sandbox::new(TOOL);
    let _pipeline = Pipeline::start(&sandbox, |_, line| whole(line));
    let args = "--source source.txt --sink sink.txt --rate 1k/s --duration 60s";
    let tool = Running::start(sandbox.command(args));
    let sink = sandbox.path().join("sink.txt");
    until("a line comes", || std::fs::metadata(&sink).is_ok_and(|sink| sink.len() > 0));
    tool.interrupt();
    let output = tool.end();
    assert_eq!(output.code, 130, "{output:?}");
    assert_eq!(sandbox.document("results").status, Status::Incomplete);
    let audit = audit(&sandbox);
    assert!(audit.received > 0 && audit.lost == 0, "{audit:?}");
}

#[test]
fn truncated_sinks_fail_the_run() {
    let sandbox = Sandbox::new(TOOL);
    let sink = sandbox.path().join("sink.txt");
    let (output, document) = {
        let _pipeline = Pipeline::start(&sandbox, move |number, line| {
            if number == 250 {
                std::fs::File::create(&sink).expect("truncated");
                // Long enough for the tool to notice.
                std::thread::sleep(Duration::from_millis(200));
                return String::new();
            }
            whole(line)
        });
        (sandbox.run(RUN), sandbox.document("results"))
    };
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("sink.txt was truncated"), "{output:?}");
    assert_eq!(document.status, Status::Failed);
}
