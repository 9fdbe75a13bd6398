//! Explanations of refusals, reading without permissions on groups, and null as distinct from
//! empty.

use std::time::Duration;

use crate::mock::{Cluster, TOPIC, cluster, config};
use bench_core::clock::{Clock as _, SECOND_NS, SystemClock};
use bench_core::transport::{Completion, Failure, Publish as _, Receive as _};
use bench_kafka::config::KafkaConfig;
use bench_kafka::{KafkaPublisher, KafkaReceiver, SendPlan, SizeLimit, StartOffset};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

/// Far longer than anything here takes.
const PATIENCE_NS: u64 = 60 * SECOND_NS;

fn publisher(config: &KafkaConfig) -> KafkaPublisher {
    let timeout = Duration::from_secs(10);
    let plan = SendPlan::default();
    KafkaPublisher::connect(config, TOPIC, SystemClock::new(), plan, timeout).expect("a producer")
}

/// Sends one message and waits for its completion.
fn outcome(
    publisher: &mut KafkaPublisher,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> Result<(), Failure> {
    assert!(publisher.submit_one(0, key, value), "there is room");
    let clock = SystemClock::new();
    let deadline_ns = clock.now_ns() + PATIENCE_NS;
    let mut completions: Vec<Completion> = Vec::new();
    while completions.is_empty() {
        assert!(clock.now_ns() < deadline_ns, "no completion");
        publisher.poll(clock.now_ns() + SECOND_NS / 20, &mut completions).expect("polls");
    }
    completions[0].delivery.failure().map_or(Ok(()), Err)
}

/// Key and value of a message.
type BorrowedPair<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// Owned key and value of a message.
type Pair = (Option<Vec<u8>>, Option<Vec<u8>>);

/// Reads the topic to its end without a group.
fn read_alone(cluster: &Cluster, high: i64) -> Vec<Pair> {
    let settings = [("group.id", "g"), ("enable.partition.eof", "true")];
    let clock = SystemClock::new();
    let config = config(cluster, &settings);
    let mut receiver = KafkaReceiver::connect_alone(&config, clock).expect("a consumer");
    receiver.take(TOPIC, &[StartOffset { partition: 0, offset: 0, high }]).expect("takes");
    let deadline_ns = clock.now_ns() + PATIENCE_NS;
    let mut read = Vec::new();
    while !receiver.at_end() {
        assert!(clock.now_ns() < deadline_ns, "no end after {read:?}");
        let until_ns = clock.now_ns() + SECOND_NS / 20;
        let result = receiver.receive_records(until_ns, |record, _| {
            read.push((record.key().map(<[u8]>::to_vec), record.value().map(<[u8]>::to_vec)));
        });
        result.expect("receives");
    }
    read
}

#[test]
fn readers_without_group_need_no_group_permission() {
    let cluster = cluster();
    let refusals = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED; 100];
    cluster.request_errors(RDKafkaApiKey::FindCoordinator, &refusals);
    let mut publisher = publisher(&config(&cluster, &[]));
    for _ in 0..7 {
        assert_eq!(outcome(&mut publisher, None, Some(b"v")), Ok(()));
    }
    assert_eq!(read_alone(&cluster, 7).len(), 7);
    // A group member is refused, which proves that the refusals were in effect.
    let config = config(&cluster, &[("group.id", "g")]);
    let clock = SystemClock::new();
    let mut member = KafkaReceiver::connect(&config, clock).expect("a consumer");
    member.join(TOPIC).expect("subscribes");
    let deadline_ns = clock.now_ns() + PATIENCE_NS;
    let error = loop {
        assert!(clock.now_ns() < deadline_ns, "no refusal");
        if let Err(error) = member.receive(clock.now_ns() + SECOND_NS / 20, |_| ()) {
            break error.to_string();
        }
    };
    assert!(error.contains("the user lacks READ on group 'g'"), "{error}");
}

#[test]
fn null_and_empty_survive_the_round_trip() {
    let cluster = cluster();
    let mut publisher = publisher(&config(&cluster, &[]));
    let pairs: [BorrowedPair<'_>; 4] =
        [(Some(b"k"), None), (Some(b"k"), Some(b"")), (None, Some(b"v")), (Some(b""), Some(b"v"))];
    for (key, value) in pairs {
        assert_eq!(outcome(&mut publisher, key, value), Ok(()));
    }
    let owned = |part: Option<&[u8]>| part.map(<[u8]>::to_vec);
    let expected: Vec<Pair> = pairs.map(|(key, value)| (owned(key), owned(value))).into();
    assert_eq!(read_alone(&cluster, 4), expected);
}

#[test]
fn refusals_name_the_permission_and_the_limit() {
    let cluster = cluster();
    let mut publisher = publisher(&config(&cluster, &[("message.max.bytes", "2000")]));
    let own = outcome(&mut publisher, None, Some(&[b'x'; 5_000])).expect_err("too large");
    assert_eq!(publisher.size_limit(own), Some(SizeLimit::Client));
    assert!(!publisher.is_about_batch(own) && matches!(own, Failure::Unsent(_)));
    let text = publisher.explain(own);
    assert!(text.contains("the client's message.max.bytes"), "{text}");
    for (error, needles) in [
        (
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
            ["--batch-size", "the topic's max.message.bytes"],
        ),
        (
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
            ["WRITE on topic 't'", "kafka-acls"],
        ),
    ] {
        cluster.request_errors(RDKafkaApiKey::Produce, &[error]);
        let refused = outcome(&mut publisher, None, Some(b"v")).expect_err("refused");
        let text = publisher.explain(refused);
        for needle in needles {
            assert!(text.contains(needle), "no {needle}: {text}");
        }
    }
    let too_large = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE as i32;
    let too_large = Failure::Refused(too_large);
    assert_eq!(publisher.size_limit(too_large), Some(SizeLimit::Topic));
    assert!(publisher.is_about_batch(too_large));
}
