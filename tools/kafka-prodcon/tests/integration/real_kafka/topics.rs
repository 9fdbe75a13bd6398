//! Topics: extended in use, with all kinds of messages, emptied between runs, and compacted.

use bench_record::{AuditBasis, ServiceOrigin};

use super::{Bench, audit, produced, reasons, unused_name};

#[test]
fn topics_are_extended_while_in_use() {
    let Some(bench) = Bench::shared("extending a topic") else { return };
    let topic = bench.topic(1, 1, &[("retention.ms", "3600000")]);
    bench.measure(&format!("fill -n 500 --topic {topic}"), "before", 0);
    let (sandbox, servers) = (&bench.sandbox, bench.kafka.bootstrap_servers());
    // It discovers new partitions within half a second.
    let follow = format!(
        "drain --follow --topic {topic} --group {topic} -n 2500 --duration 40s --results-dir all \
         --config topic.metadata.refresh.interval.ms=500 --bootstrap-servers {servers}"
    );
    std::thread::scope(|scope| {
        let following = scope.spawn(move || sandbox.run(&follow));
        let both = format!("-n 2000 -p 3 -c 3 --topic {topic}");
        let extended = bench.measure(&both, "extended", 0);
        assert_eq!((audit(&extended).received, audit(&extended).lost), (2_000, 0));
        let output = following.join().expect("it ends");
        assert_eq!(output.code, 0, "{output:?}");
    });
    assert_eq!(audit(&sandbox.document("all")).received, 2_500);
    assert_eq!(bench.offsets(&topic).len(), 3);
    let settings = bench.admin.topic_config(&topic).expect("its settings");
    assert_eq!(settings["retention.ms"], "3600000");
    let kept = bench.measure(&format!("-n 100 -c 4 --keep-partitions --topic {topic}"), "kept", 0);
    assert!(kept.warnings[0].contains("has 3 partitions; 4 are needed"), "{kept:?}");
    let told = &kept.settings_in_force;
    assert_eq!(told["topic partitions"], "3", "{told:?}");
    assert_eq!(told["topic replication"], "1");
    assert_eq!(told["topic retention.ms"], "3600000");
    // Of those that it does not set itself.
    assert_eq!(told["topic cleanup.policy"], "delete");
    let broker: Vec<&String> = told.keys().filter(|name| name.starts_with("broker ")).collect();
    assert!(!broker.is_empty(), "what is set on the broker: {told:?}");
    assert!(!told.keys().any(|name| name.contains("listener") || name.contains("log.dir")));
}

#[test]
fn messages_of_all_kinds_arrive() {
    let Some(bench) = Bench::shared("messages of all kinds") else { return };
    for (number, args) in [
        "--compression gzip --compressibility 0.7 -r 1KiB",
        "--compression snappy --format json -r 300",
        "--compression lz4 --key zipf:100 --partitions 4 -p 2 -c 2",
        "--compression zstd --idempotent -r uniform:50..5KiB",
        "--key uniform:1000 --idempotent --acks all --partitions 3",
        "--acks 1 --no-group -c 2 --rate 5k/s",
    ]
    .iter()
    .enumerate()
    {
        let results = format!("kind-{number}");
        let document =
            bench.measure(&format!("-n 2000 --topic {} {args}", unused_name()), &results, 0);
        let audit = audit(&document);
        assert_eq!((produced(&document).acked, audit.received), (2_000, 2_000), "{args}");
        assert_eq!((audit.lost, audit.duplicated, audit.reordered), (0, 0, 0), "{args}");
    }
}

#[test]
fn messages_deleted_before_draining_are_lost() {
    let Some(bench) = Bench::shared("deleting between two runs") else { return };
    let topic = bench.topic(2, 1, &[]);
    let filled = bench.measure(&format!("fill -n 3000 -p 2 --topic {topic}"), "filled", 0);
    let drained = bench.drain_from_run("-c 2", &topic, "filled", 0);
    assert_eq!((audit(&drained).against, audit(&drained).received), (AuditBasis::Acked, 3_000));
    bench.admin.delete_records_to_end(&topic).expect("deleted");
    bench.measure(&format!("fill -n 100 --topic {topic}"), "later", 0);
    let drained = bench.drain_from_run("", &topic, "filled", 3);
    assert_eq!((audit(&drained).lost, audit(&drained).foreign), (3_000, 100));
    let expected = &reasons(&drained)[0];
    assert!(expected.starts_with("3000 acknowledged messages were not received"), "{expected}");
    assert_eq!(audit(&drained).producers[0].run_id, filled.run_id);
}

#[test]
fn compacted_topics_are_refused_before_sending() {
    let Some(bench) = Bench::shared("compacted topics") else { return };
    let plain = bench.topic(1, 1, &[]);
    bench.measure(&format!("fill -n 100 --topic {plain}"), "filled", 0);
    let folder = bench.sandbox.run_folder("filled");
    for policy in ["compact", "compact,delete"] {
        let topic = bench.topic(1, 1, &[("cleanup.policy", policy)]);
        for mode in ["", "fill", &format!("drain --from-run {}", folder.display())] {
            let output = bench.run(&format!("{mode} --topic {topic} --results-dir none"));
            assert_eq!((output.code, output.stderr.lines().count()), (2, 1), "{output:?}");
            assert!(output.stderr.contains("--topic: topic"), "{output:?}");
            assert!(output.stderr.contains("set cleanup.policy=delete"), "{output:?}");
        }
        assert_eq!(bench.offsets(&topic), [0]);
        let drained = bench.measure(&format!("drain --topic {topic}"), policy, 3);
        assert_eq!(reasons(&drained), ["nothing was received"]);
        assert!(drained.warnings[0].contains("is compacted"), "{:?}", drained.warnings);
    }
    assert!(!bench.sandbox.path().join("none").exists());
}

#[test]
fn services_of_the_stack_are_local_others_external() {
    let options = bench_stack::StackOptions::of(["kafka"]);
    let Some(kafka) = bench_testing::local("where a service comes from", &options) else { return };
    let bench = Bench::on(kafka);
    let topic = bench.topic(1, 1, &[]);
    let args = format!("fill -n 100 --topic {topic}");
    let local = bench.measure(&args, "local", 0);
    assert_eq!(local.services[0].origin, ServiceOrigin::Local);
    assert!(local.services[0].version.starts_with("Apache Kafka "), "{:?}", local.services);
    // The same server, without the stack's environment.
    let servers = bench.kafka.bootstrap_servers();
    let args = format!("{args} --results-dir external --bootstrap-servers {servers}");
    assert_eq!(bench.sandbox.run(&args).code, 0);
    assert_eq!(bench.sandbox.document("external").services[0].origin, ServiceOrigin::External);
}
