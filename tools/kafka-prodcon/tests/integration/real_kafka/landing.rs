//! A group's messages that land in an embedded `DynamoDB`: only landed messages are committed.

use bench_record::VerdictOutcome;

use super::{Bench, audit, reasons};

#[test]
fn messages_not_landed_are_lost_and_redelivered() {
    let Some(bench) = Bench::shared("landing for a group") else { return };
    let topic = bench.topic(1, 1, &[]);
    // About every third is too large for an item of 400 KiB.
    bench.measure(&format!("fill -n 60 -r uniform:1kB..600kB --topic {topic}"), "filled", 0);
    let group = format!("--group {topic}");
    let args = format!("{group} --land dynamodb --land-rows 10");
    let landed = bench.drain_from_run(&args, &topic, "filled", 3);
    let verdict = landed.verdict.as_ref().expect("a verdict");
    assert_eq!(verdict.outcome, VerdictOutcome::Invalid);
    let audit_of_landed = audit(&landed);
    let lost = audit_of_landed.lost;
    assert!((1..60).contains(&lost) && audit_of_landed.received == 60 - lost, "{lost}");
    let first_lost = audit_of_landed.producers[0].lost_ranges[0].0;
    let expected =
        format!("{lost} acknowledged messages did not land, the first of them {first_lost}");
    assert!(reasons(&landed)[0].starts_with(&expected), "{:?}", reasons(&landed));
    let counts = &landed.summary.as_ref().expect("figures").counts;
    assert_eq!(counts["rows_failed"], lost);

    let again = bench.measure(&format!("drain --topic {topic} {group}"), "again", 0);
    let again = audit(&again);
    assert_eq!((again.lost, again.corrupt), (0, 0));
    assert!(again.received >= 60 - first_lost, "{} of 60 from {first_lost} on", again.received);
}

#[test]
fn groups_are_at_end_after_all_landed() {
    let Some(bench) = Bench::shared("landing a whole topic") else { return };
    let topic = bench.topic(2, 1, &[]);
    bench.measure(&format!("fill -n 5000 -p 2 --topic {topic}"), "filled", 0);
    let group = format!("--group {topic} -c 2");
    let landed = bench.drain_from_run(&format!("{group} --land dynamodb"), &topic, "filled", 0);
    assert_eq!((audit(&landed).received, audit(&landed).duplicated), (5_000, 0));
    let rest = bench.measure(&format!("drain --topic {topic} {group}"), "rest", 3);
    assert_eq!(audit(&rest).received, 0, "no message was left");
}

#[test]
fn members_killed_while_landing_lose_nothing() {
    let Some(bench) = Bench::shared("killing a consumer whose messages land") else { return };
    let topic = bench.topic(2, 1, &[]);
    let args = format!(
        "--rate 2k/s --duration 2s -c 2 --topic {topic} --land dynamodb --kill-consumer 2@1s+500ms \
         --config session.timeout.ms=6000 --config heartbeat.interval.ms=300"
    );
    let document = bench.measure(&args, "killed", 0);
    let audit = audit(&document);
    assert_eq!((audit.received, audit.lost), (4_000, 0), "{audit:?}");
}
