//! A faulty S3: confirmed messages are in the table once, and failed ones are not.

use std::time::Duration;

use bench_record::Status;
use bench_testing::tool::{PATIENCE, Running, Sandbox, Signal};
use embedded_s3::{Fault, Requests};

use crate::TOOL;
use crate::tables::{S3, acked, acked_in, count, messages};

const RUN: &str = "--lake-path s3://bench/t --rate 2k/s --duration 3s --commit-interval 50ms --follow \
                   --exactly-once";

#[test]
fn faults_are_retried_and_rows_stored_once() {
    for (name, requests, fault) in [
        ("503", Requests::matching("PUT", "/t/").every(4), Fault::Answer(503)),
        ("cut", Requests::matching("PUT", "/t/").every(5), Fault::Drop),
        ("answer lost", Requests::matching("PUT", "_delta_log").every(4), Fault::ForwardThenDrop),
        ("412", Requests::matching("PUT", "_delta_log").every(4), Fault::ForwardThenAnswer(412)),
        ("slow", Requests::matching("PUT", "").every(3), Fault::Delay(Duration::from_millis(80))),
        ("reads", Requests::matching("GET", "/t/").every(7), Fault::Answer(503)),
    ] {
        let (s3, sandbox) = (S3::start(), Sandbox::new(TOOL));
        // So that the fault hits the run and not its preparation.
        let warm =
            s3.run(&Sandbox::new(TOOL), "--lake-path s3://bench/t -n 1 --commit-interval 10ms");
        assert_eq!(warm.code, 0, "{name}: {warm:?}");
        let injected = s3.server.faults().inject(requests, fault);
        let output = s3.run(&sandbox, RUN);
        injected.release();
        assert_eq!(output.code, 0, "{name}: {output:?}");
        assert!(injected.struck() > 3, "{name}");
        let document = sandbox.document("results");
        assert_eq!(document.status, Status::Complete, "{name}");
        let produced = document.summary.as_ref().and_then(|summary| summary.produced.as_ref());
        assert_eq!(produced.map(|produced| produced.acked), Some(6_000), "{name}");
        // One message is from the run before.
        assert_eq!(messages(&s3.table("t")).len(), acked(&sandbox).len() + 1, "{name}");
        if name == "503" || name == "reads" {
            assert!(count(&document, "requests_retried") > 0, "{name}");
        }
        if name == "answer lost" || name == "412" {
            assert!(count(&document, "commits_recovered") > 0, "{name}");
        }
    }
}

#[test]
fn abandoned_messages_fail_and_stay_invisible() {
    let (s3, sandbox) = (S3::start(), Sandbox::new(TOOL));
    let args = "--lake-path s3://bench/t -n 2000 --rate 2k/s --commit-interval 100ms --grace 2s \
                --timeout 1s";
    let run = Running::start(s3.command(&sandbox, args));
    let committed = Requests::matching("PUT", "00001.json");
    let injected = s3.server.faults().inject(committed, Fault::Answer(503));
    assert!(injected.wait_for(1, PATIENCE));
    let output = run.end();
    injected.release();
    let document = sandbox.document("results");
    let produced = document.summary.and_then(|summary| summary.produced).expect("figures");
    assert!(produced.failed > 0, "{produced:?} {output:?}");
    assert_eq!(produced.acked + produced.failed + produced.unresolved, produced.sent);
    let acked = if produced.acked > 0 { acked(&sandbox) } else { Vec::new() };
    assert!(messages(&s3.table("t")) == acked, "{output:?}");
}

#[test]
fn killed_producers_leave_no_partial_commit() {
    let (s3, sandbox) = (S3::start(), Sandbox::new(TOOL));
    let args = "--lake-path s3://bench/t --rate 2k/s --commit-interval 100ms --interval 100ms";
    let first = format!("{args} --duration 60s --results-dir first");
    let run = Running::start(s3.command(&sandbox, &first));
    // Data files arrive, but no commit from this log entry on.
    let held = Requests::matching("PUT", "_delta_log/00000000000000000020.json");
    let injected = s3.server.faults().inject(held, Fault::Hold);
    assert!(injected.wait_for(1, PATIENCE));
    run.send(Signal::KILL);
    assert_eq!(run.end().code, -1);
    // The process that sent the request is gone; it may or may not be executed.
    injected.release();
    std::thread::sleep(Duration::from_millis(500));
    let acked = acked_in(&sandbox.run_folder("first"));
    let there = messages(&s3.table("t"));
    assert!(acked.len() > 1_000 && acked.iter().all(|message| there.contains(message)));
    let output = s3.run(&sandbox, &format!("{args} --duration 2s --follow"));
    assert_eq!(output.code, 0, "{output:?}");
    let audit = sandbox.document("results").summary.and_then(|summary| summary.audit);
    let audit = audit.expect("an audit");
    assert_eq!((audit.received, audit.lost, audit.duplicated), (4_000, 0, 0));
    assert_eq!(messages(&s3.table("t")).len(), there.len() + 4_000);
}
