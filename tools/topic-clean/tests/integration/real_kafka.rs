//! Emptying topics on a real broker, and the administration of `bench-kafka` beneath it, in topics
//! of its own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::broker::{benchmark_message, fill, producer, put, run, send};
use bench_kafka::admin::{Admin, TopicOutcome};
use bench_kafka::config::KafkaConfig;
use bench_testing::tool::ToolOutput;
use bench_testing::{BROKER_TIMEOUT, TestStack};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::Producer;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// A real broker, and the topics created for one test, which are deleted with it.
struct Cluster {
    servers: String,
    admin: Admin,
    made: Vec<String>,
    _kafka: TestStack,
}

impl Cluster {
    /// The broker to test with, if this machine can run one; prints `test` as skipped otherwise.
    fn for_test(test: &str) -> Option<Self> {
        let kafka = bench_testing::broker(test)?;
        let servers = kafka.bootstrap_servers().to_owned();
        let mut config = KafkaConfig::new();
        config.set("bootstrap.servers", &servers);
        let admin = Admin::connect(&config, BROKER_TIMEOUT).expect("the broker answers");
        Some(Self { servers, admin, made: Vec::new(), _kafka: kafka })
    }

    /// A name that no other test uses.
    fn name(&mut self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bench-test-{}-{number}", std::process::id());
        self.made.push(name.clone());
        name
    }

    fn topic(&mut self, partitions: u32, settings: &[(&str, &str)]) -> String {
        let name = self.name();
        let settings = settings.iter().map(|(key, value)| ((*key).into(), (*value).into()));
        let settings: BTreeMap<String, String> = settings.collect();
        self.admin.create_topic(&name, partitions, Some(1), &settings).expect("created");
        name
    }

    fn run(&self, arguments: &[&str]) -> ToolOutput {
        run(&self.servers, arguments)
    }

    /// The watermarks of each partition.
    fn watermarks(&self, topic: &str) -> Vec<(i64, i64)> {
        let all = self.admin.watermarks(topic).expect("watermarks");
        all.iter().map(|partition| (partition.low, partition.high)).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for topic in &self.made {
            if let Ok(Some(_)) = self.admin.topic(topic) {
                let _ = self.admin.delete_topic(topic);
            }
        }
    }
}

#[test]
fn records_are_deleted_up_to_the_high_watermark() {
    let Some(mut cluster) = Cluster::for_test("deleting records") else { return };
    let topic = cluster.topic(3, &[("retention.ms", "600000")]);
    fill(&cluster.servers, &topic, 0, 1_000);
    fill(&cluster.servers, &topic, 2, 10);
    let output = cluster.run(&["--yes", "--output", "json", &topic]);
    assert_eq!(output.code, 0, "{output:?}");
    let json = output.json();
    assert_eq!(json["topics"][0]["outcome"], "records_deleted");
    assert_eq!(json["topics"][0]["messages"], 1_010);
    assert_eq!(cluster.watermarks(&topic), [(1_000, 1_000), (0, 0), (10, 10)]);
    let again = cluster.run(&["--yes", &topic]);
    assert!(again.code == 0 && again.stdout.contains("was empty"), "{again:?}");
}

#[test]
fn compacted_topics_are_recreated_unchanged() {
    let Some(mut cluster) = Cluster::for_test("recreating a compacted topic") else { return };
    let settings = [("cleanup.policy", "compact"), ("segment.bytes", "2097152")];
    let topic = cluster.topic(2, &settings);
    let producer = producer(&cluster.servers, &[]);
    for (sequence, key) in (0..50_u64).zip((0..10).cycle()) {
        let message = benchmark_message(sequence);
        let key = format!("key {key}");
        let record = rdkafka::producer::BaseRecord::to(&topic).key(&key).payload(&message);
        producer.send(record).expect("queued");
    }
    producer.flush(Duration::from_secs(20)).expect("acknowledged");
    // The broker itself refuses, as the tool's plan expects.
    let error = cluster.admin.delete_records_to_end(&topic).expect_err("compacted");
    assert!(error.is_refusal(), "{error}");
    let output = cluster.run(&["--yes", &topic]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("deleted and recreated"), "{output:?}");
    assert_eq!(cluster.watermarks(&topic), [(0, 0), (0, 0)]);
    let kept = cluster.admin.topic_config(&topic).expect("settings");
    let expected: BTreeMap<_, _> =
        settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    assert_eq!(kept, expected);
}

#[test]
fn recreated_topics_start_at_offset_zero() {
    let Some(mut cluster) = Cluster::for_test("recreating a topic") else { return };
    let topic = cluster.topic(4, &[]);
    for _ in 0..3 {
        fill(&cluster.servers, &topic, 3, 5);
        let output = cluster.run(&["--yes", "--recreate", &topic]);
        assert_eq!(output.code, 0, "{output:?}");
        assert_eq!(cluster.watermarks(&topic), [(0, 0); 4]);
    }
}

#[test]
fn committed_offsets_end_with_recreated_topics() {
    let Some(mut cluster) = Cluster::for_test("committed offsets") else { return };
    let topic = cluster.topic(1, &[]);
    fill(&cluster.servers, &topic, 0, 5);
    let group = format!("{topic}-readers");
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &cluster.servers).set("group.id", &group);
    let reader: BaseConsumer = config.create().expect("a consumer");
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(&topic, 0, Offset::Offset(3)).expect("an offset");
    // A new cluster's first group has no coordinator at first.
    let deadline = Instant::now() + Duration::from_mins(1);
    while let Err(error) = reader.commit(&offsets, CommitMode::Sync) {
        assert!(Instant::now() < deadline, "not committed: {error}");
        std::thread::sleep(Duration::from_millis(50));
    }
    let committed = || {
        let found = reader.committed_offsets(offsets.clone(), BROKER_TIMEOUT).expect("an answer");
        found.elements()[0].offset()
    };
    assert_eq!(committed(), Offset::Offset(3));
    assert_eq!(cluster.run(&["--yes", &topic]).code, 0);
    assert_eq!(committed(), Offset::Offset(3), "deleting records leaves it");
    assert_eq!(cluster.run(&["--yes", "--recreate", &topic]).code, 0);
    // The group's coordinator learns of the deletion a moment later.
    let deadline = Instant::now() + Duration::from_mins(1);
    while committed() != Offset::Invalid {
        assert!(Instant::now() < deadline, "still {:?}", committed());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn patterns_empty_several_topics() {
    let Some(mut cluster) = Cluster::for_test("emptying by pattern") else { return };
    let prefix = format!("bench-glob-{}", std::process::id());
    for number in 0..3 {
        let name = format!("{prefix}-{number}");
        cluster.admin.create_topic(&name, 1, None, &BTreeMap::new()).expect("created");
        cluster.made.push(name.clone());
        fill(&cluster.servers, &name, 0, 7);
    }
    let output = cluster.run(&["--yes", &format!("{prefix}-[01]")]);
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(cluster.watermarks(&format!("{prefix}-0")), [(7, 7)]);
    assert_eq!(cluster.watermarks(&format!("{prefix}-1")), [(7, 7)]);
    assert_eq!(cluster.watermarks(&format!("{prefix}-2")), [(0, 7)]);
}

#[test]
fn foreign_messages_are_kept_unless_forced() {
    let Some(mut cluster) = Cluster::for_test("refusing foreign messages") else { return };
    let topic = cluster.topic(2, &[]);
    fill(&cluster.servers, &topic, 0, 100);
    put(&cluster.servers, &topic, 1, b"order 17");
    let output = cluster.run(&["--yes", &topic]);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("partition 1, offset 0"), "{output:?}");
    assert_eq!(cluster.watermarks(&topic), [(0, 100), (0, 1)]);
    let output = cluster.run(&["--yes", "--force", &topic]);
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(cluster.watermarks(&topic), [(100, 100), (1, 1)]);
}

#[test]
fn last_message_is_found_behind_transaction_markers() {
    let Some(mut cluster) = Cluster::for_test("looking behind transaction markers") else { return };
    let topic = cluster.topic(1, &[]);
    let id = format!("{topic}-transactions");
    let producer = producer(&cluster.servers, &[("transactional.id", &id)]);
    let wait = Duration::from_secs(20);
    producer.init_transactions(wait).expect("ready");
    producer.begin_transaction().expect("begun");
    for sequence in 0..20 {
        send(&producer, &topic, 0, &benchmark_message(sequence));
    }
    producer.commit_transaction(wait).expect("committed");
    let output = cluster.run(&["--dry-run", &topic]);
    assert_eq!(output.code, 0, "all of it is ours: {output:?}");
    producer.begin_transaction().expect("begun");
    send(&producer, &topic, 0, b"order 17");
    producer.commit_transaction(wait).expect("committed");
    // 20 messages, a marker, the foreign message, a marker.
    let output = cluster.run(&["--dry-run", &topic]);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("partition 0, offset 21"), "{output:?}");
    let output = cluster.run(&["--yes", "--force", &topic]);
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(cluster.watermarks(&topic), [(23, 23)]);
    // By now the broker has its own topic for transactions.
    let output = cluster.run(&["--yes", "--force", "__transaction_state"]);
    assert_eq!(output.code, 2, "{output:?}");
}

#[test]
fn open_transaction_messages_count_and_are_deleted() {
    let Some(mut cluster) = Cluster::for_test("open transactions") else { return };
    let topic = cluster.topic(1, &[]);
    let id = format!("{topic}-open");
    let producer = producer(&cluster.servers, &[("transactional.id", &id)]);
    let wait = Duration::from_secs(20);
    producer.init_transactions(wait).expect("ready");
    producer.begin_transaction().expect("begun");
    for sequence in 0..521 {
        send(&producer, &topic, 0, &benchmark_message(sequence));
    }
    producer.flush(wait).expect("delivered");
    let json = cluster.run(&["describe", &topic, "--output", "json"]).json();
    assert_eq!((&json["messages"], &json["watermarks"][0]["high"]), (&521.into(), &521.into()));
    let output = cluster.run(&["--yes", "--output", "json", &topic]);
    assert_eq!(output.code, 0, "{output:?}");
    let json = output.json();
    assert_eq!(json["topics"][0]["outcome"], "records_deleted");
    assert_eq!(json["topics"][0]["messages"], 521);
    assert_eq!(cluster.watermarks(&topic), [(521, 521)]);
    // Messages of open transactions are inspected too.
    send(&producer, &topic, 0, b"order 17");
    producer.flush(wait).expect("delivered");
    let output = cluster.run(&["--yes", &topic]);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("partition 0, offset 521"), "{output:?}");
    producer.abort_transaction(wait).expect("aborted");
}

#[test]
fn topics_are_created_once_and_described() {
    let Some(mut cluster) = Cluster::for_test("creating topics") else { return };
    let topic = cluster.name();
    let arguments = ["create", &topic, "--partitions", "5", "--topic-config", "retention.ms=60000"];
    let output = cluster.run(&arguments);
    assert_eq!(output.code, 0, "{output:?}");
    let json = cluster.run(&["describe", &topic, "--output", "json"]).json();
    assert_eq!(json["partitions"], 5);
    assert_eq!(json["settings"], serde_json::json!({"retention.ms": "60000"}));
    assert_eq!(json["watermarks"].as_array().map(Vec::len), Some(5));
    let output = cluster.run(&arguments);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("TopicAlreadyExists"), "{output:?}");
    for (option, value) in [("--replication-factor", "99"), ("--topic-config", "no.such=1")] {
        let other = cluster.name();
        let output = cluster.run(&["create", &other, option, value]);
        assert_eq!(output.code, 1, "{output:?}");
        assert!(output.stderr.contains(&other) && output.stderr.contains("--"), "{output:?}");
    }
}

#[test]
fn topics_are_extended_to_the_wanted_partitions() {
    let Some(mut cluster) = Cluster::for_test("adapting partitions") else { return };
    let topic = cluster.name();
    let ensure = |wanted, may_extend| {
        cluster.admin.ensure_topic(&topic, wanted, None, may_extend).expect("an outcome")
    };
    assert_eq!(ensure(2, false), TopicOutcome::Created);
    assert_eq!(ensure(2, false), TopicOutcome::Enough { partitions: 2 });
    assert_eq!(ensure(1, true), TopicOutcome::Enough { partitions: 2 });
    assert_eq!(ensure(6, false), TopicOutcome::TooFew { have: 2, wanted: 6 });
    assert_eq!(ensure(6, true), TopicOutcome::Extended { from: 2, to: 6 });
    // Requests that follow at once see all of them.
    assert_eq!(cluster.watermarks(&topic), [(0, 0); 6]);
    cluster.admin.delete_records_to_end(&topic).expect("no unknown partition");
    cluster.admin.delete_topic(&topic).expect("deleted");
    assert_eq!(cluster.admin.topic(&topic).expect("an answer"), None);
    let cluster_info = cluster.admin.cluster().expect("an answer");
    assert!(cluster_info.brokers >= 1 && cluster_info.id.is_some(), "{cluster_info:?}");
}
