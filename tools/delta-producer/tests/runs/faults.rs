//! An S3 that has trouble: what is confirmed is in the table once, and nothing of what is not.

use std::time::Duration;

use bench_core::results::Status;
use bench_testing::tool::{PATIENCE, Place, Running, Signal};
use embedded_s3::{Fault, Requests};

use crate::TOOL;
use crate::tables::{S3, acked, acked_in, count, messages};

const RUN: &str = "--lake-path s3://bench/t --rate 2k/s --duration 3s --commit-interval 50ms --follow \
                   --exactly-once";

#[test]
fn trouble_is_tried_again_and_counted_and_every_row_is_there_once() {
    for (name, requests, fault) in [
        ("503", Requests::matching("PUT", "/t/").every(4), Fault::Answer(503)),
        ("cut", Requests::matching("PUT", "/t/").every(5), Fault::Drop),
        ("answer lost", Requests::matching("PUT", "_delta_log").every(4), Fault::ForwardThenDrop),
        ("412", Requests::matching("PUT", "_delta_log").every(4), Fault::ForwardThenAnswer(412)),
        ("slow", Requests::matching("PUT", "").every(3), Fault::Delay(Duration::from_millis(80))),
        ("reads", Requests::matching("GET", "/t/").every(7), Fault::Answer(503)),
    ] {
        let (s3, place) = (S3::start(), Place::new(TOOL));
        // So that it strikes the run, and not the preparations for it.
        let warm =
            s3.run(&Place::new(TOOL), "--lake-path s3://bench/t -n 1 --commit-interval 10ms");
        assert_eq!(warm.code, 0, "{name}: {warm:?}");
        let injected = s3.server.faults().inject(requests, fault);
        let said = s3.run(&place, RUN);
        injected.release();
        assert_eq!(said.code, 0, "{name}: {said:?}");
        assert!(injected.struck() > 3, "{name}");
        let document = place.document("results");
        assert_eq!(document.status, Status::Complete, "{name}");
        let produced = document.summary.as_ref().and_then(|summary| summary.produced.as_ref());
        assert_eq!(produced.map(|produced| produced.acked), Some(6_000), "{name}");
        // One is that of the run before.
        assert_eq!(messages(&s3.table("t")).len(), acked(&place).len() + 1, "{name}");
        if name == "503" || name == "reads" {
            assert!(count(&document, "requests_retried") > 0, "{name}");
        }
        if name == "answer lost" || name == "412" {
            assert!(count(&document, "commits_recovered") > 0, "{name}");
        }
    }
}

#[test]
fn what_is_given_up_has_failed_and_is_not_in_the_table() {
    let (s3, place) = (S3::start(), Place::new(TOOL));
    let args = "--lake-path s3://bench/t -n 2000 --rate 2k/s --commit-interval 100ms --grace 2s \
                --timeout 1s";
    let run = Running::start(s3.command(&place, args));
    let committed = Requests::matching("PUT", "00001.json");
    let injected = s3.server.faults().inject(committed, Fault::Answer(503));
    assert!(injected.wait_for(1, PATIENCE));
    let said = run.end();
    injected.release();
    let document = place.document("results");
    let produced = document.summary.and_then(|summary| summary.produced).expect("figures");
    assert!(produced.failed > 0, "{produced:?} {said:?}");
    assert_eq!(produced.acked + produced.failed + produced.unresolved, produced.sent);
    let acked = if produced.acked > 0 { acked(&place) } else { Vec::new() };
    assert!(messages(&s3.table("t")) == acked, "{said:?}");
}

#[test]
fn a_producer_that_dies_before_its_commit_leaves_nothing_half_and_another_goes_on() {
    let (s3, place) = (S3::start(), Place::new(TOOL));
    let args = "--lake-path s3://bench/t --rate 2k/s --commit-interval 100ms --interval 100ms";
    let first = format!("{args} --duration 60s --results-dir first");
    let run = Running::start(s3.command(&place, &first));
    // Data files arrive, and from this log entry on no commit does.
    let held = Requests::matching("PUT", "_delta_log/00000000000000000020.json");
    let injected = s3.server.faults().inject(held, Fault::Hold);
    assert!(injected.wait_for(1, PATIENCE));
    run.send(Signal::KILL);
    assert_eq!(run.end().code, -1);
    // The request is that of a process that is gone: it may still be carried out, or not.
    injected.release();
    std::thread::sleep(Duration::from_millis(500));
    let acked = acked_in(&place.run_folder("first"));
    let there = messages(&s3.table("t"));
    assert!(acked.len() > 1_000 && acked.iter().all(|message| there.contains(message)));
    let said = s3.run(&place, &format!("{args} --duration 2s --follow"));
    assert_eq!(said.code, 0, "{said:?}");
    let audit = place.document("results").summary.and_then(|summary| summary.audit);
    let audit = audit.expect("an audit");
    assert_eq!((audit.received, audit.lost, audit.duplicated), (4_000, 0, 0));
    assert_eq!(messages(&s3.table("t")).len(), there.len() + 4_000);
}
