//! Groups that resume, and groups with killed members.

use super::{Bench, audit, reasons, unused_name};

/// A killed member is noticed after six seconds, the brokers' default minimum; nothing is committed
/// in the first three seconds.
const QUICK: &str = "--config session.timeout.ms=6000 --config heartbeat.interval.ms=300 \
                     --config auto.commit.interval.ms=3000";

#[test]
fn groups_resume_at_their_committed_offsets() {
    let Some(bench) = Bench::shared("resuming a group") else { return };
    let topic = bench.topic(2, 1, &[]);
    bench.measure(&format!("fill -n 20000 -p 2 --topic {topic}"), "filled", 0);
    let drain = format!("drain --topic {topic} --group {topic} -c 2");
    let part = bench.measure(&format!("{drain} -n 5000"), "part", 0);
    let rest = bench.measure(&drain, "rest", 0);
    let (part, rest) = (audit(&part).received, audit(&rest).received);
    assert!((5_000..20_000).contains(&part), "{part}");
    assert_eq!(part + rest, 20_000, "each exactly once");
}

#[test]
fn rejected_session_timeouts_end_the_run() {
    let Some(bench) = Bench::shared("sessions that are too short") else { return };
    let output =
        bench.run(&format!("-n 10 --topic {} --config session.timeout.ms=50", unused_name()));
    assert_eq!((output.code, output.stderr.lines().count()), (1, 1), "{output:?}");
    assert!(output.stderr.contains("session.timeout.ms is outside"), "{output:?}");
}

#[test]
fn killed_members_repeat_messages_and_lose_none() {
    let Some(bench) = Bench::shared("killing consumers") else { return };
    // At most the messages sent until each kill may arrive again; a kill is at most half a second
    // late.
    let runs = [
        ("--kill-consumer 2@1200ms", 3 * (1_200 + 500)),
        ("--kill-consumer 1@700ms+1s --kill-consumer 3@2s", 3 * (700 + 2_000 + 2 * 500)),
    ];
    std::thread::scope(|scope| {
        // They mostly wait, so they can run at the same time.
        for (kills, again) in runs {
            let bench = &bench;
            scope.spawn(move || {
                let topic = bench.topic(3, 1, &[]);
                let args =
                    format!("--rate 3k/s --duration 3s -c 3 --topic {topic} {QUICK} {kills}");
                let document = bench.measure(&args, &unused_name(), 0);
                let audit = audit(&document);
                assert_eq!((audit.received, audit.lost), (9_000, 0), "{kills}: {audit:?}");
                assert!((1..=again).contains(&audit.duplicated), "{kills}: {audit:?}");
            });
        }
    });
    let topic = bench.topic(3, 1, &[]);
    let args = format!("--rate 3k/s --duration 2s -c 3 --topic {topic} {QUICK} --exactly-once");
    let document = bench.measure(&format!("{args} --kill-consumer 2@1200ms"), "strict", 3);
    let expected = format!(
        "{} messages were received more than once, although exactly-once was required",
        audit(&document).duplicated
    );
    assert_eq!(reasons(&document), [expected]);
}

#[test]
fn members_killed_during_a_drain_lose_nothing() {
    let Some(bench) = Bench::shared("killing a consumer that drains") else { return };
    let topic = bench.topic(3, 1, &[]);
    let sandbox = &bench.sandbox;
    bench.measure(&format!("fill -n 3000 -p 3 --topic {topic}"), "filled", 0);
    let args = format!("-c 3 --group {topic} {QUICK} --kill-consumer 3@300ms --drain-timeout 8s");
    let drained = bench.drain_from_run(&args, &topic, "filled", 0);
    assert_eq!((audit(&drained).received, audit(&drained).lost), (3_000, 0));
    for (args, expected) in [
        ("--kill-consumer 1@1s", "without a group"),
        ("--kill-consumer 4@1s -c 4 --group g --drain-timeout 1m", "no consumer 4"),
        ("--kill-consumer 1@1s --group g", "--drain-timeout: 10s is too short"),
    ] {
        let output = bench.run(&format!("drain --topic {topic} --results-dir none {args}"));
        assert_eq!((output.code, output.stderr.lines().count()), (2, 1), "{output:?}");
        assert!(output.stderr.contains(expected), "{output:?}");
    }
    assert!(!sandbox.path().join("none").exists());
}
