//! Runs that end early: by a signal, a kill, or the broker's death.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bench_core::audit::AckLedger;
use bench_record::{RunDocument, Status, VerdictOutcome};
use bench_service_kafka::stand_in::EmbeddedKafka;
use bench_testing::Silent;
use bench_testing::tool::{Running, Sandbox, Signal, ToolOutput, until};

use crate::TOOL;

/// Waits for written intervals and returns their rows, without the header.
fn intervals(sandbox: &Sandbox) -> Vec<Vec<String>> {
    let read = || {
        let folder = std::fs::read_dir(sandbox.path().join("results")).ok()?.next()?.ok()?.path();
        let table = std::fs::read_to_string(folder.join("intervals.csv")).ok()?;
        let row = |line: &str| line.split(',').map(str::to_owned).collect();
        Some(table.lines().skip(1).map(row).collect::<Vec<Vec<_>>>()).filter(|r| !r.is_empty())
    };
    let mut rows = None;
    until("an interval is written", || {
        rows = read();
        rows.is_some()
    });
    rows.expect("they are there")
}

/// The sum of a column of `intervals.csv`.
fn sum(rows: &[Vec<String>], column: usize) -> u64 {
    rows.iter().map(|row| row[column].parse::<u64>().expect("a number")).sum()
}

fn assert_incomplete_without_loss(document: &RunDocument, sandbox: &Sandbox) {
    assert_eq!(document.status, Status::Incomplete);
    assert_eq!(document.verdict.as_ref().expect("a verdict").outcome, VerdictOutcome::Valid);
    let summary = document.summary.as_ref().expect("figures");
    let acked = summary.produced.as_ref().expect("it sent").acked;
    assert!(acked > 0);
    let audit = summary.audit.as_ref().expect("an audit");
    assert_eq!((audit.received, audit.lost), (acked, 0));
    assert_eq!(summary.publish_latency.as_ref().expect("measured").count, acked);

    let folder = sandbox.run_folder("results");
    assert_eq!(AckLedger::read(&folder).expect("acked.json").len(), acked);
    for latency in ["publish_latency", "service_time", "schedule_lag", "end_to_end_latency"] {
        assert!(folder.join(format!("{latency}.hlog")).exists(), "{latency}");
    }
    let rows = intervals(sandbox);
    assert_eq!((sum(&rows, 5), sum(&rows, 9)), (acked, acked), "acked and received");
}

#[test]
fn interrupted_runs_finish_and_are_marked_incomplete() {
    for signal in [Signal::INT, Signal::TERM] {
        let sandbox = Sandbox::new(TOOL);
        let args = "--rate 1000 --duration 60s -p 2 -c 2 --interval 200ms";
        let run = Running::start(sandbox.command(args));
        intervals(&sandbox);
        run.send(signal);
        let output = run.end();
        assert_eq!(output.code, 130, "{output:?}");
        assert!(
            output.stderr.starts_with("interrupted: finishing what is in flight"),
            "{output:?}"
        );
        let heading = output.stdout.lines().next().unwrap_or_default();
        assert!(heading.ends_with("incomplete, VALID"), "{output:?}");
        assert_incomplete_without_loss(&sandbox.document("results"), &sandbox);
    }
}

#[test]
fn killed_runs_keep_results_and_leave_no_broker() {
    let sandbox = Sandbox::new(TOOL);
    let run = Running::start(sandbox.command("--rate 1000 --duration 60s --interval 200ms"));
    intervals(&sandbox);
    let document = sandbox.document("results");
    let broker = document.services[0].address.clone();
    TcpStream::connect(&broker).expect("the broker listens");
    let folder = sandbox.run_folder("results");
    until("acked.json is written", || AckLedger::read(&folder).is_ok());
    run.send(Signal::KILL);
    assert_eq!(run.end().code, -1, "by a signal");

    let document = sandbox.document("results");
    assert_eq!((document.status, document.summary), (Status::Running, None));
    let rows = intervals(&sandbox);
    assert!(sum(&rows, 5) > 0, "{rows:?}");
    let ledger = AckLedger::read(&folder).expect("acked.json");
    assert!(!ledger.is_empty());
    assert_eq!(sandbox.entries(), ["results"]);
    until("the broker has ended", || TcpStream::connect(&broker).is_err());
}

/// A broker with topic `t`.
fn broker() -> EmbeddedKafka {
    let mut broker = EmbeddedKafka::start(1).expect("a broker");
    broker.create_topic("t", 1, 1).expect("created");
    broker
}

#[test]
fn interrupts_end_following() {
    let (sandbox, broker) = (Sandbox::new(TOOL), broker());
    let server = format!("--topic t --bootstrap-servers {}", broker.bootstrap_servers());
    let follow =
        Running::start(sandbox.command(&format!("drain --follow --interval 200ms {server}")));
    intervals(&sandbox);
    let output = sandbox.run(&format!("fill -n 700 --results-dir filled {server}"));
    assert_eq!(output.code, 0, "{output:?}");
    until("all are received", || sum(&intervals(&sandbox), 9) == 700);
    follow.interrupt();
    let output = follow.end();
    assert_eq!(output.code, 130, "{output:?}");
    let document = sandbox.document("results");
    assert_eq!(document.status, Status::Incomplete);
    let consumed = document.summary.and_then(|summary| summary.consumed).expect("figures");
    assert_eq!(consumed.received, 700);
}

#[test]
fn interrupts_end_waiting_for_a_group() {
    let (sandbox, broker) = (Sandbox::new(TOOL), broker());
    let server = format!("--bootstrap-servers {}", broker.bootstrap_servers());
    let drain = format!("drain --topic t --group g {server}");
    let output = sandbox.run(&format!("fill -n 10 --topic t --results-dir filled {server}"));
    assert_eq!(output.code, 0, "{output:?}");
    let output = sandbox.run(&format!("{drain} --results-dir first"));
    assert_eq!(output.code, 0, "{output:?}");
    // After a member has left, this broker makes the next one wait for most of a minute.
    let second = Running::start(sandbox.command(&drain));
    until("the run has begun", || sandbox.path().join("results").exists());
    second.interrupt();
    let output = second.end();
    assert_eq!((output.code, output.stdout.as_str()), (130, ""), "{output:?}");
    let document = sandbox.document("results");
    assert!(document.warnings[0].starts_with("interrupted while"), "{:?}", document.warnings);
    assert_eq!(document.summary, None);
}

#[test]
fn interrupts_do_not_wait_for_the_next_line() {
    let (sandbox, broker) = (Sandbox::new(TOOL), broker());
    let server = format!("--topic t --bootstrap-servers {}", broker.bootstrap_servers());
    let mut send = Running::start(sandbox.command(&format!("send {server}")));
    send.stdin().write_all(b"one\ntwo\nhalf").expect("written");
    let print = format!("print {server}");
    until("both lines are there", || sandbox.run(&print).stdout == "one\ntwo\n");
    send.interrupt();
    let output = send.end();
    assert_eq!(output.code, 130, "{output:?}");
}

#[test]
fn interrupts_while_connecting_end_every_mode() {
    for mode in ["", "fill", "drain", "drain --group g", "send", "print"] {
        let sandbox = Sandbox::new(TOOL);
        let silent = Silent::new();
        // It must end long before its timeout, or the test fails.
        let servers = format!("--bootstrap-servers {}", silent.address());
        let args = format!("{mode} --topic t --timeout 1h {servers}");
        let output = silent.interrupt(sandbox.command(&args));
        assert_eq!((output.code, output.stdout.as_str()), (130, ""), "{mode}: {output:?}");
        assert!(output.stderr.ends_with("interrupted while connecting to Kafka\n"), "{output:?}");
        assert_eq!(sandbox.entries(), [""; 0], "{mode}");
    }
}

#[test]
fn dying_brokers_do_not_hang_the_run() {
    let (sandbox, broker) = (Sandbox::new(TOOL), broker());
    let server = format!("--topic t --bootstrap-servers {}", broker.bootstrap_servers());
    let args = format!(
        "--rate 1000 --duration 2s --grace 500ms --drain-timeout 500ms --interval 100ms {server}"
    );
    let run = Running::start(sandbox.command(&args));
    until("a message is acknowledged", || sum(&intervals(&sandbox), 5) > 0);
    drop(broker);
    let output = run.end();
    assert_eq!(output.code, 3, "{output:?}");
    assert!(output.stdout.contains("--unanswered-max is 1 %"), "{output:?}");
    let document = sandbox.document("results");
    assert_eq!(document.status, Status::Complete);
    let summary = document.summary.as_ref().expect("figures");
    let produced = summary.produced.as_ref().expect("it sent");
    assert!(produced.unresolved > 0, "{produced:?}");
    assert!(produced.unanswered_share > 0.01, "{produced:?}");
    // The broker died early in a schedule of two seconds; the rate still covers all of it.
    let rate = produced.rate_msg_per_s.expect("two seconds");
    assert!(rate <= produced.acked as f64 / 2.0 + 1e-6, "{produced:?}");
    let publish = summary.publish_latency.as_ref().expect("measured");
    assert!(publish.unanswered >= produced.unresolved, "{publish:?}");
    assert!(publish.is_lower_bound(publish.p99_ns), "{publish:?}");
    assert!(output.stdout.contains("  >="), "{output:?}");
    assert_eq!(produced.acked + produced.failed + produced.unresolved, produced.sent);
    let expected = format!("{} messages were unacknowledged", produced.unresolved);
    assert!(document.warnings.iter().any(|warning| warning.starts_with(&expected)));
}

#[test]
fn drains_report_partial_records_of_killed_runs() {
    let (sandbox, broker) = (Sandbox::new(TOOL), broker());
    let server = format!("--topic t --bootstrap-servers {}", broker.bootstrap_servers());
    let fill = format!("fill --rate 1000 --duration 60s --interval 100ms {server}");
    let run = Running::start(sandbox.command(&fill));
    let sent = |sandbox: &Sandbox| sandbox.run_folder("results");
    intervals(&sandbox);
    until("acked.json is written", || AckLedger::read(&sent(&sandbox)).is_ok());
    run.send(Signal::KILL);
    assert_eq!(run.end().code, -1, "by a signal");

    let drain = format!("drain --from-run {} {server}", sent(&sandbox).display());
    let output = sandbox.run(&format!("{drain} --results-dir drained"));
    assert_eq!(output.code, 3, "{output:?}");
    assert!(output.stdout.lines().next().is_some_and(|line| line.ends_with("complete, PARTIAL")));
    let document = sandbox.document("drained");
    let verdict = document.verdict.expect("a verdict");
    assert_eq!(verdict.outcome, VerdictOutcome::Partial);
    assert!(verdict.reasons[0].contains("is partial"), "{verdict:?}");
    let audit = document.summary.and_then(|summary| summary.audit).expect("an audit");
    assert_eq!((audit.lost, audit.unread), (0, 0));
}

#[test]
fn runs_that_cannot_record_acks_fail() {
    let (sandbox, broker) = (Sandbox::new(TOOL), broker());
    let server = format!("--topic t --bootstrap-servers {}", broker.bootstrap_servers());
    let fill = format!("fill --rate 1000 --duration 2s --interval 100ms {server}");
    let run = Running::start(sandbox.command(&fill));
    intervals(&sandbox);
    // A folder that goes away has the effect of a full disk: nothing can be replaced. It is renamed,
    // since removing it would race with the files that are being written.
    let results = sandbox.path().join("results");
    std::fs::rename(&results, sandbox.path().join("gone")).expect("renamed");
    let output = run.end();
    assert_eq!(output.code, 1, "{output:?}");
    let heading = output.stdout.lines().next().unwrap_or_default();
    assert!(heading.contains(": failed, "), "{output:?}");
    let problem = "the record of acknowledged messages is incomplete";
    assert!(output.stdout.contains(problem) && output.stderr.contains(problem), "{output:?}");
}

#[test]
fn empty_topics_make_drains_invalid() {
    let (sandbox, broker) = (Sandbox::new(TOOL), broker());
    let server = format!("--topic t --bootstrap-servers {}", broker.bootstrap_servers());
    let output = sandbox.run(&format!("drain {server}"));
    assert_eq!(output.code, 3, "{output:?}");
    assert!(output.stdout.contains("INVALID\n  - nothing was received"), "{output:?}");
    let consumed = sandbox.document("results").summary.and_then(|summary| summary.consumed);
    assert_eq!(consumed.expect("it read").rate_msg_per_s, None);
}

/// Allowance beyond the configured times for a run without its broker.
const SLACK: Duration = Duration::from_secs(2);

/// Asserts that the outage is logged in exactly one line.
fn assert_outage_is_logged_once(output: &ToolOutput) {
    let lines: Vec<_> =
        output.stderr.lines().filter(|line| line.contains("brokers are down")).collect();
    assert_eq!(lines.len(), 1, "{output:?}");
    assert!(lines[0].contains("all brokers are down (127.0.0.1:"), "{lines:?}");
    // No additional line per client or retry.
    let failures = output.stderr.lines().filter(|line| line.contains("FAIL"));
    assert!(failures.count() <= 1, "{output:?}");
}

/// Runs the tool until `is_ready`, drops its broker, and asserts that the run then ends within
/// `bounds`.
fn end_without_broker(
    args: &str,
    bounds: Duration,
    is_ready: impl Fn(&Sandbox) -> bool,
) -> ToolOutput {
    let (sandbox, broker) = (Sandbox::new(TOOL), broker());
    let server = format!("--topic t --bootstrap-servers {}", broker.bootstrap_servers());
    let run = Running::start(sandbox.command(&format!("{args} --interval 100ms {server}")));
    until("the run is working", || is_ready(&sandbox));
    drop(broker);
    let start = Instant::now();
    let output = run.end();
    assert!(start.elapsed() < bounds + SLACK, "{:?} for {args}: {output:?}", start.elapsed());
    output
}

#[test]
fn runs_without_broker_end_within_their_bounds() {
    let acks = |sandbox: &Sandbox| sum(&intervals(sandbox), 5) > 0;
    // Long enough for an automatic commit of the group, which then waits for its coordinator.
    let committing = "--config auto.commit.interval.ms=300";
    let timed = "--rate 1k/s --duration 3s --grace 1s";
    for (args, bounds_s) in [
        (format!("{timed} --drain-timeout 1s -p 3 -c 3 {committing}"), 5),
        (format!("{timed} --drain-timeout 1s --no-group"), 5),
        (format!("{timed} --drain-timeout 1s --transactional -p 2"), 5),
        (format!("fill {timed}"), 4),
        (format!("fill {timed} --transactional --transaction-size 100"), 4),
    ] {
        let output = end_without_broker(&args, Duration::from_secs(bounds_s), acks);
        assert_outage_is_logged_once(&output);
    }
}

#[test]
fn drains_without_broker_end_after_their_timeout() {
    let args = "drain --follow --group g --duration 3s --drain-timeout 1s \
                --config auto.commit.interval.ms=300";
    let ready = |sandbox: &Sandbox| {
        sandbox.path().join("results").exists() && !intervals(sandbox).is_empty()
    };
    let output = end_without_broker(args, Duration::from_secs(3), ready);
    assert_outage_is_logged_once(&output);
}

#[test]
fn signals_end_runs_without_broker() {
    let (sandbox, broker) = (Sandbox::new(TOOL), broker());
    let server = format!("--topic t --bootstrap-servers {}", broker.bootstrap_servers());
    let args = format!(
        "--rate 1k/s --duration 60s --grace 500ms --drain-timeout 500ms --interval 100ms \
         --config auto.commit.interval.ms=300 -c 2 {server}"
    );
    let run = Running::start(sandbox.command(&args));
    until("a message is acknowledged", || sum(&intervals(&sandbox), 5) > 0);
    drop(broker);
    // The automatic commit becomes due and waits for a coordinator.
    std::thread::sleep(Duration::from_secs(1));
    let start = Instant::now();
    run.send(Signal::TERM);
    let output = run.end();
    assert!(start.elapsed() < Duration::from_secs(1) + SLACK, "{:?}: {output:?}", start.elapsed());
    assert_outage_is_logged_once(&output);
}

#[test]
fn lines_to_a_dead_broker_are_an_error() {
    let (sandbox, broker) = (Sandbox::new(TOOL), broker());
    let server =
        format!("--topic t --timeout 2s --bootstrap-servers {}", broker.bootstrap_servers());
    let mut send = Running::start(sandbox.command(&format!("send {server}")));
    send.stdin().write_all(b"one\n").expect("written");
    let print = format!("print {server}");
    until("it is there", || sandbox.run(&print).stdout == "one\n");
    drop(broker);
    send.stdin().write_all(b"two\n").expect("written");
    let start = Instant::now();
    let output = send.end();
    assert_eq!(output.code, 1, "{output:?}");
    assert!(
        output.stderr.contains("1 lines were not acknowledged: all brokers are down"),
        "{output:?}"
    );
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}
