//! Three brokers, of which some die: what is confirmed is there, and where it is not, it shows.

use std::thread::sleep;
use std::time::{Duration, Instant};

use bench_stack::StackOptions;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::{Bench, audit, produced, reasons};

const WAIT: Duration = Duration::from_secs(40);

/// A partition as the brokers see it.
#[derive(Debug)]
struct Partition {
    leader: i32,
    replicas: Vec<i32>,
    in_sync: Vec<i32>,
}

impl Partition {
    fn follower(&self) -> i32 {
        let other = self.replicas.iter().find(|replica| **replica != self.leader);
        *other.expect("a second replica")
    }
}

/// Waits until the only partition of `topic` is as wanted.
fn await_partition(bench: &Bench, topic: &str, wanted: impl Fn(&Partition) -> bool) -> Partition {
    let servers = bench.kafka.bootstrap_servers();
    let config = ClientConfig::new().set("bootstrap.servers", servers).clone();
    let consumer: BaseConsumer = config.create().expect("a client");
    let deadline = Instant::now() + WAIT;
    loop {
        let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(2));
        let found = metadata.ok().and_then(|metadata| {
            let partition = metadata.topics().first()?.partitions().first()?;
            Some(Partition {
                leader: partition.leader(),
                replicas: partition.replicas().to_vec(),
                in_sync: partition.isr().to_vec(),
            })
        });
        match found {
            Some(partition) if wanted(&partition) => return partition,
            other => assert!(Instant::now() < deadline, "{topic} stays {other:?}"),
        }
        sleep(Duration::from_millis(100));
    }
}

fn node(id: i32) -> String {
    format!("kafka-{id}")
}

#[test]
fn three_brokers_keep_what_they_confirm_or_are_found_out() {
    let options = StackOptions::of([]).with("kafka", "brokers", 3);
    let options = options.with("kafka", "replica.lag.time.max.ms", 2000);
    let Some(kafka) = bench_testing::alone("three brokers", &options) else { return };
    let mut bench = Bench::on(kafka);
    replicated_messages_are_kept(&bench);
    an_unclean_leader_loses_what_only_the_dead_one_had(&mut bench);
    too_few_replicas_confirm_nothing(&mut bench);
}

fn replicated_messages_are_kept(bench: &Bench) {
    let topic = bench.topic(3, 3, &[("min.insync.replicas", "2")]);
    let args = format!("fill -n 5000 -p 2 --acks all --idempotent --topic {topic}");
    bench.measure(&args, "replicated", 0);
    let drained = bench.drain_from_run("-c 3", &topic, "replicated", 0);
    assert_eq!((audit(&drained).received, audit(&drained).lost), (5_000, 0));
}

/// A follower misses messages that the leader alone confirms, and becomes leader when that dies.
fn an_unclean_leader_loses_what_only_the_dead_one_had(bench: &mut Bench) {
    let settings = [("unclean.leader.election.enable", "true"), ("min.insync.replicas", "1")];
    let topic = bench.topic(1, 2, &settings);
    bench.measure(&format!("fill -n 300 --acks all --topic {topic}"), "kept", 0);
    let partition = await_partition(bench, &topic, |partition| partition.in_sync.len() == 2);
    let (leader, follower) = (partition.leader, partition.follower());
    bench.kafka.stack_mut().freeze(&node(follower)).expect("frozen");
    await_partition(bench, &topic, |partition| partition.in_sync == [leader]);
    let filled = bench.measure(&format!("fill -n 2000 --acks 1 --topic {topic}"), "lost", 0);
    assert_eq!(produced(&filled).acked, 2_000);
    bench.kafka.stack_mut().kill(&node(leader)).expect("killed");
    bench.kafka.stack_mut().thaw(&node(follower)).expect("thawed");
    await_partition(bench, &topic, |partition| partition.leader == follower);

    let drained = bench.drain_from_run("", &topic, "lost", 3);
    assert_eq!((audit(&drained).lost, audit(&drained).foreign), (2_000, 300));
    let told = "2000 acknowledged messages were not received, the first of them 0..=1999";
    assert!(reasons(&drained)[0].starts_with(told), "{:?}", reasons(&drained));
    bench.kafka.stack_mut().start(&node(leader), &mut |_| ()).expect("started again");
}

/// With two of three brokers gone, `acks=all` confirms nothing, and says why.
fn too_few_replicas_confirm_nothing(bench: &mut Bench) {
    let topic = bench.topic(1, 3, &[("min.insync.replicas", "2")]);
    bench.measure(&format!("fill -n 1000 --topic {topic}"), "before", 0);
    let partition = await_partition(bench, &topic, |partition| partition.in_sync.len() == 3);
    let others: Vec<i32> =
        partition.replicas.iter().copied().filter(|replica| *replica != partition.leader).collect();
    for &other in &others {
        bench.kafka.stack_mut().freeze(&node(other)).expect("frozen");
    }
    // The leader stays, but has nobody to follow it.
    let args =
        format!("fill -n 200 --topic {topic} --config message.timeout.ms=8000 --timeout 20s");
    let refused = bench.measure(&args, "refused", 3);
    let produced = produced(&refused);
    assert_eq!((produced.acked, produced.failed), (0, 200), "{produced:?}");
    let told = produced.failures.keys().cloned().collect::<Vec<_>>().join("; ");
    assert!(told.contains("NotEnoughReplicas") || told.contains("MessageTimedOut"), "{told}");
    for &other in &others {
        bench.kafka.stack_mut().thaw(&node(other)).expect("thawed");
    }
    await_partition(bench, &topic, |partition| partition.in_sync.len() == 3);
    let drained = bench.drain_from_run("", &topic, "before", 0);
    assert_eq!((audit(&drained).received, audit(&drained).lost), (1_000, 0));
}
