//! Transactions: read-committed consumers never see aborted messages.

use std::time::Duration;

use bench_core::clock::{BootId, ClockOrigin};
use bench_core::message::RunId;
use bench_core::message::header::{HEADER_BYTES, HeaderWriter};
use bench_record::Guarantee;
use bench_testing::tool::{Running, until};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::{Bench, audit, produced, reasons, unused_name};

/// 40 transactions of 100 messages each; every fourth is aborted.
const ABORTING: &str = "-n 4000 --transactional --transaction-size 100 --abort-every 4";

#[test]
fn committed_messages_arrive_once_and_aborted_never() {
    let Some(bench) = Bench::shared("transactions") else { return };
    let topic = bench.topic(3, 1, &[]);
    let args = format!("{ABORTING} -p 2 -c 2 --exactly-once --topic {topic}");
    let both = bench.measure(&args, "both", 0);
    let (produced, audit) = (produced(&both), audit(&both));
    assert_eq!(produced.acked + produced.failed, 4_000);
    assert_eq!(produced.failures["aborted on purpose"], produced.failed);
    // Some transactions may have ended at their maximum age, with fewer messages.
    assert!((500..=1_500).contains(&produced.failed), "{produced:?}");
    assert_eq!((audit.received, audit.lost), (produced.acked, 0));
    assert_eq!((audit.duplicated, audit.aborted_received, audit.unacked_received), (0, 0, 0));
    assert_eq!(audit.guarantee, Guarantee::ExactlyOnce);
}

#[test]
fn read_uncommitted_sees_aborted_and_warns() {
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
    let expected = format!("{aborted} messages of aborted transactions were received");
    assert_eq!(reasons(&drained), [expected]);
}

/// Messages of another producer's transaction, which stays open until the broker aborts it.
const HIDDEN: u64 = 521;

/// Begins a transaction in `topic` that its producer never ends, as after a crash.
fn leave_a_transaction_open(bench: &Bench, topic: &str) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bench.kafka.bootstrap_servers())
        .set("transactional.id", unused_name())
        .set("transaction.timeout.ms", "6000")
        .create()
        .expect("a producer");
    let wait = Duration::from_secs(20);
    producer.init_transactions(wait).expect("ready");
    producer.begin_transaction().expect("begun");
    let origin = ClockOrigin { boot: BootId::from_hash(1), wall_offset_ns: 0 };
    let mut message = vec![7; HEADER_BYTES + 20];
    for sequence in 0..HIDDEN {
        HeaderWriter::new(RunId::from_bits(5), 0, origin).seal(&mut message, sequence, 0, 0);
        producer.send(BaseRecord::<(), _>::to(topic).payload(&message)).expect("queued");
    }
    producer.flush(wait).expect("delivered");
}

#[test]
fn drains_wait_for_open_transactions() {
    let Some(bench) = Bench::shared("open transactions") else { return };
    let topic = bench.topic(1, 1, &[]);
    bench.measure(&format!("fill -n 3 --topic {topic}"), "before", 0);
    leave_a_transaction_open(&bench, &topic);
    assert_eq!(bench.offsets(&topic), [3 + HIDDEN]);
    let args = format!("fill --transactional -n 4000 --topic {topic}");
    bench.measure(&args, "filled", 0);

    // Read-uncommitted consumers do not wait, and older messages are ignored.
    let drained = bench.drain_from_run("--isolation uncommitted", &topic, "filled", 0);
    assert_eq!((audit(&drained).received, audit(&drained).lost), (4_000, 0));
    assert_eq!(audit(&drained).foreign, 3 + HIDDEN);
    let both = bench.measure(&format!("-n 1000 --topic {topic}"), "both", 0);
    assert_eq!((audit(&both).received, audit(&both).foreign), (1_000, 0));
    let latest = bench.run(&format!("print --from latest --topic {topic}"));
    assert_eq!((latest.code, latest.stdout.as_str()), (0, ""), "{latest:?}");

    // The broker takes up to 16 s to abort it, longer than the drain timeout.
    let folder = bench.sandbox.run_folder("filled");
    let args = format!(
        "drain --topic {topic} --from-run {} --drain-timeout 2s --results-dir waited",
        folder.display()
    );
    let output = bench.run(&args);
    assert_eq!(output.code, 0, "{output:?}");
    let lines =
        output.stderr.lines().filter(|line| line.contains("waiting for an open transaction"));
    assert_eq!(lines.count(), 1, "{output:?}");
    let drained = bench.sandbox.document("waited");
    assert_eq!((audit(&drained).received, audit(&drained).lost), (4_000, 0));
    assert_eq!(audit(&drained).foreign, 3 + 1_000, "aborted messages stay hidden");
}

#[test]
fn groups_and_print_wait_for_open_transactions() {
    let Some(bench) = Bench::shared("groups and open transactions") else { return };
    let topic = bench.topic(1, 1, &[]);
    leave_a_transaction_open(&bench, &topic);
    bench.measure(&format!("fill -n 100 --topic {topic}"), "filled", 0);
    let (sandbox, servers) = (&bench.sandbox, bench.kafka.bootstrap_servers());
    std::thread::scope(|scope| {
        let print = format!("print --topic {topic} --bootstrap-servers {servers}");
        let printed = scope.spawn(move || bench_testing::tool::output(sandbox.command(&print), ""));
        let args = format!("--group {topic} --drain-timeout 2s");
        let drained = bench.drain_from_run(&args, &topic, "filled", 0);
        assert_eq!((audit(&drained).received, audit(&drained).lost), (100, 0));
        let printed = printed.join().expect("it ends");
        assert!(printed.status.success(), "{printed:?}");
        // Each line is a message of 100 bytes and a line end.
        assert_eq!(printed.stdout.len(), 100 * 101);
    });
}

#[test]
fn interrupts_end_waiting_for_open_transactions() {
    let Some(bench) = Bench::shared("interrupted waiting for a transaction") else { return };
    let topic = bench.topic(1, 1, &[]);
    leave_a_transaction_open(&bench, &topic);
    let servers = bench.kafka.bootstrap_servers();
    let args = format!("drain --topic {topic} --drain-timeout 1s --bootstrap-servers {servers}");
    let drain = Running::start(bench.sandbox.command(&args));
    until("the drain has begun", || bench.sandbox.path().join("results").exists());
    std::thread::sleep(Duration::from_millis(1_500));
    let start = std::time::Instant::now();
    drain.interrupt();
    let output = drain.end();
    assert_eq!(output.code, 130, "{output:?}");
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}
