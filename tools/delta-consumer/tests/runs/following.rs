//! Following a table while it is written.

use std::time::Duration;

use bench_record::Status;
use bench_testing::tool::{Running, ToolOutput, until};

use crate::tables::{Tables, audit, faults};

#[test]
fn two_processes_measure_like_one() {
    for path in ["s3://bench/t", "folder"] {
        let Some(tables) = Tables::new("a producer and a consumer at once") else { return };
        // The consumer starts first and waits for the table.
        let args = format!("--lake-path {path} --expected-messages 10000 --exactly-once");
        let reading = Running::start(tables.command(&args));
        tables.send(&format!("--lake-path {path} -n 10000 --rate 5k/s --commit-interval 100ms"));
        let output = reading.end();
        assert_eq!(output.code, 0, "{path}: {output:?}");
        let document = tables.sandbox.document("results");
        assert_eq!((audit(&document).received, faults(&document)), (10_000, [0; 5]), "{path}");
        let summary = document.summary.expect("figures");
        let latency = summary.end_to_end_latency.expect("latencies");
        assert_eq!(latency.count, 10_000);
        assert!(latency.p50_ns > 10_000_000 && latency.p50_ns < 30_000_000_000, "{latency:?}");
        assert!(summary.counts["log_polls_empty"] > 0);
    }
}

#[test]
fn unfinished_runs_are_audited_after_their_end() {
    let Some(tables) = Tables::new("auditing a run that goes on") else { return };
    let args = "--lake-path t --rate 2k/s --duration 4s --commit-interval 50ms";
    let sending = Running::start(tables.producer(args));
    until("it has a folder", || tables.sandbox.entries().contains(&"sent".to_owned()));
    until("it is recorded", || tables.sandbox.run_folder("sent").join("run.json").exists());
    let output = tables.run(&tables.run_option());
    assert_eq!((output.code, sending.end().code), (0, 0), "{output:?}");
    assert!(output.stderr.contains("waiting for its end"), "{output:?}");
    let document = tables.sandbox.document("results");
    assert_eq!((audit(&document).received, faults(&document)), (8_000, [0; 5]));
}

#[test]
fn following_ends_on_interrupt_or_duration() {
    let Some(tables) = Tables::new("following to an interrupt") else { return };
    tables.send("--lake-path t -n 1000 --commit-interval 50ms");
    let reading = Running::start(tables.command("--lake-path t --follow --results-dir first"));
    until("it has read", || tables.sandbox.entries().contains(&"first".to_owned()));
    std::thread::sleep(Duration::from_secs(2));
    reading.interrupt();
    let output = reading.end();
    assert_eq!(output.code, 130, "{output:?}");
    let document = tables.sandbox.document("first");
    assert_eq!((document.status, audit(&document).received), (Status::Incomplete, 1_000));
    let output = tables.run("--lake-path t --follow --duration 1s --results-dir second");
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(audit(&tables.sandbox.document("second")).received, 1_000);
}

#[test]
fn waiting_for_a_table_can_be_interrupted() {
    let Some(tables) = Tables::new("waiting for a table") else { return };
    let args = "--lake-path s3://bench/nothing --follow --wait-for-table 1h";
    let reading = Running::start(tables.command(args));
    until("it has a folder", || tables.sandbox.entries() == ["results"]);
    std::thread::sleep(Duration::from_millis(300));
    reading.interrupt();
    let output = reading.end();
    assert_eq!(output.code, 130, "{output:?}");
    assert!(output.stderr.contains("interrupted while waiting for the table"), "{output:?}");
    assert_eq!(tables.sandbox.document("results").status, Status::Incomplete);
}

#[test]
fn following_from_the_end_skips_existing_rows() {
    let Some(tables) = Tables::new("following from the end") else { return };
    tables.send("--lake-path t -n 1000 --commit-interval 50ms");
    let args = "--lake-path t --from end --follow --duration 8s";
    let reading = Running::start(tables.command(args));
    until("it follows", || tables.sandbox.entries().contains(&"results".to_owned()));
    std::thread::sleep(Duration::from_secs(1));
    let more = ToolOutput::of(tables.producer("--lake-path t -n 500 --commit-interval 50ms"));
    assert_eq!(more.code, 0, "{more:?}");
    let output = reading.end();
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(audit(&tables.sandbox.document("results")).received, 500);
}
