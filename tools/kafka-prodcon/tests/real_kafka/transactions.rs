//! Transactions: what was aborted is seen by nobody who reads what was committed.

use bench_core::results::Guarantee;

use crate::{Bench, audit, produced, reasons};

/// Of 40 transactions of 100 messages every fourth is aborted.
const ABORTING: &str = "-n 4000 --transactional --transaction-size 100 --abort-every 4";

#[test]
fn committed_messages_arrive_exactly_once_and_aborted_ones_never() {
    let Some(bench) = Bench::shared("transactions") else { return };
    let topic = bench.topic(3, 1, &[]);
    let args = format!("{ABORTING} -p 2 -c 2 --exactly-once --topic {topic}");
    let both = bench.measure(&args, "both", 0);
    let (produced, audit) = (produced(&both), audit(&both));
    assert_eq!(produced.acked + produced.failed, 4_000);
    assert_eq!(produced.failures["aborted on purpose"], produced.failed);
    // Few transactions may have ended for their age, with fewer messages.
    assert!((500..=1_500).contains(&produced.failed), "{produced:?}");
    assert_eq!((audit.received, audit.lost), (produced.acked, 0));
    assert_eq!((audit.duplicated, audit.aborted_received, audit.unacked_received), (0, 0, 0));
    assert_eq!(audit.guarantee, Guarantee::ExactlyOnce);
}

#[test]
fn who_reads_uncommitted_messages_sees_aborted_ones_and_is_told() {
    let Some(bench) = Bench::shared("aborted transactions") else { return };
    let topic = bench.topic(1, 1, &[]);
    let filled = bench.measure(&format!("fill {ABORTING} --topic {topic}"), "filled", 0);
    let (acked, aborted) = (produced(&filled).acked, produced(&filled).failed);
    assert!(acked > 0 && aborted > 0, "{filled:?}");
    for args in ["", "--isolation committed", "--exactly-once"] {
        let drained = bench.drain_from_run(args, &topic, "filled", 0);
        let audit = audit(&drained);
        assert_eq!((audit.received, audit.lost, audit.aborted_received), (acked, 0, 0), "{args}");
    }
    let drained = bench.drain_from_run("--isolation uncommitted", &topic, "filled", 0);
    assert_eq!(audit(&drained).aborted_received, aborted);
    assert_eq!(audit(&drained).guarantee, Guarantee::AtLeastOnce);

    let args = "--isolation uncommitted --exactly-once";
    let drained = bench.drain_from_run(args, &topic, "filled", 3);
    let audit = audit(&drained);
    assert_eq!((audit.received, audit.unacked_received), (acked + aborted, 0));
    let told = format!("{aborted} messages of aborted transactions were received");
    assert_eq!(reasons(&drained), [told]);
}
