//! Brokers that go away: clients report it, and none of them waits for a dead broker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::mock::{Cluster, TOPIC, cluster, config};
use bench_core::clock::{Clock as _, InstantNs, SECOND_NS, SystemClock};
use bench_core::transport::{Batch, Completion, Failure, Publish as _, Receive as _};
use bench_kafka::config::KafkaConfig;
use bench_kafka::{KafkaPublisher, KafkaReceiver, SendPlan, StartOffset, TransactionPlan};
use rdkafka::types::{RDKafkaApiKey, RDKafkaErrorCode, RDKafkaRespErr};

const BROKER: i32 = 1;

/// Maximum time for a client to end when brokers do not answer.
const SOON: Duration = Duration::from_secs(2);

fn publisher(config: &KafkaConfig, transaction: Option<TransactionPlan>) -> KafkaPublisher {
    let plan = SendPlan { transaction, ..SendPlan::default() };
    let timeout = Duration::from_secs(10);
    KafkaPublisher::connect(config, TOPIC, SystemClock::new(), plan, timeout).expect("a producer")
}

fn submit(publisher: &mut KafkaPublisher, messages: u32) {
    let mut batch = Batch::default();
    for token in 0..messages {
        batch.push(token, |_| false, |out, _| out.extend_from_slice(&token.to_le_bytes()));
    }
    publisher.submit(&mut batch).expect("submits");
    assert!(batch.is_empty());
}

/// Polls until `count` messages have completed.
fn completed(publisher: &mut KafkaPublisher, count: usize) -> Vec<Completion> {
    let mut completions = Vec::new();
    until("messages complete", || {
        publisher.poll(soon(), &mut completions).expect("polls");
        completions.len() >= count
    });
    completions
}

/// An instant 50 ms from now.
fn soon() -> InstantNs {
    SystemClock::new().now_ns() + SECOND_NS / 20
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
    }
}

/// Measures how long `work` takes.
fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

#[test]
fn producers_report_outages_until_messages_are_acknowledged() {
    let cluster = cluster();
    let mut publisher = publisher(&config(&cluster, &[]), None);
    submit(&mut publisher, 1);
    completed(&mut publisher, 1);
    assert_eq!(publisher.outage(), None);
    cluster.broker_down(BROKER).expect("down");
    submit(&mut publisher, 1);
    until("the outage is known", || {
        publisher.poll(soon(), &mut Vec::new()).expect("polls");
        publisher.outage().is_some_and(|outage| outage.contains("Connection refused"))
    });
    let expected = format!("all brokers are down ({}: ", cluster.bootstrap_servers());
    let outage = publisher.outage().expect("an outage");
    assert!(outage.starts_with(&expected), "{outage}");
    cluster.broker_up(BROKER).expect("up");
    let done = completed(&mut publisher, 1);
    assert!(done.iter().all(|done| done.delivery.is_acknowledged()), "{done:?}");
    assert_eq!(publisher.outage(), None);
}

#[test]
fn producers_report_the_end_of_embedded_brokers() {
    let cluster = cluster();
    let mut publisher = publisher(&config(&cluster, &[]), None);
    let ended = Arc::new(AtomicBool::new(false));
    publisher.watch_broker(Arc::clone(&ended));
    assert_eq!(publisher.outage(), None);
    ended.store(true, Ordering::Relaxed);
    let outage = publisher.outage();
    assert_eq!(outage.as_deref(), Some("the embedded broker's process has ended"));
}

#[test]
fn messages_abandoned_by_the_client_are_unanswered() {
    let cluster = cluster();
    let settings = [("message.timeout.ms", "500"), ("linger.ms", "1")];
    let mut publisher = publisher(&config(&cluster, &settings), None);
    cluster.broker_down(BROKER).expect("down");
    submit(&mut publisher, 3);
    for done in completed(&mut publisher, 3) {
        let failure = done.delivery.failure().expect("no broker answers");
        let is_unanswered = matches!(failure, Failure::Unanswered(_));
        assert!(is_unanswered, "{}", publisher.explain(failure));
    }
}

#[test]
fn messages_refused_by_the_broker_are_answered() {
    let cluster = cluster();
    let mut publisher = publisher(&config(&cluster, &[]), None);
    let refusal = RDKafkaErrorCode::TopicAuthorizationFailed;
    let answers = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED];
    cluster.request_errors(RDKafkaApiKey::Produce, &answers);
    submit(&mut publisher, 1);
    let done = completed(&mut publisher, 1);
    assert_eq!(done[0].delivery.failure(), Some(Failure::Refused(refusal as i32)));
}

#[test]
fn transactions_return_while_no_broker_answers() {
    let cluster = cluster();
    let plan = TransactionPlan { messages: 10, age_max_ns: SECOND_NS / 10, abort_every: None };
    let config = config(&cluster, &[("transactional.id", "the-only-one")]);
    let mut publisher = publisher(&config, Some(plan));
    submit(&mut publisher, 10);
    let done = completed(&mut publisher, 10);
    assert!(done.iter().all(|done| done.delivery.is_acknowledged()), "{done:?}");
    cluster.broker_down(BROKER).expect("down");
    submit(&mut publisher, 5);
    let polled = time(|| {
        publisher.finish().expect("returns without an answer");
        let mut completions = Vec::new();
        for _ in 0..5 {
            publisher.poll(soon(), &mut completions).expect("polls");
        }
        assert_eq!(completions, [], "nothing is committed");
    });
    assert!(polled < SOON, "{polled:?}");
    cluster.broker_up(BROKER).expect("up");
    let done = completed(&mut publisher, 5);
    assert!(done.iter().all(|done| done.delivery.is_acknowledged()), "{done:?}");
    cluster.broker_down(BROKER).expect("down");
    submit(&mut publisher, 5);
    publisher.poll(soon(), &mut Vec::new()).expect("polls");
    let dropped = time(|| drop(publisher));
    assert!(dropped < SOON, "{dropped:?}");
}

/// A group member that has read `messages` without committing them.
fn member(cluster: &Cluster, messages: u32) -> KafkaReceiver {
    let settings = [
        ("group.id", "g"),
        ("auto.offset.reset", "earliest"),
        ("enable.partition.eof", "true"),
        ("auto.commit.interval.ms", "300"),
    ];
    let mut receiver = KafkaReceiver::connect(&config(cluster, &settings), SystemClock::new())
        .expect("a consumer");
    receiver.join(TOPIC).expect("joins");
    assert!(receiver.is_behind() && !receiver.at_end(), "it has no partition yet");
    let mut read = 0;
    until("all is read", || {
        read += receiver.receive(soon(), |_| ()).expect("receives");
        receiver.at_end()
    });
    assert_eq!(read, messages as usize);
    assert!(!receiver.is_behind());
    receiver
}

#[test]
fn members_without_brokers_are_behind_and_end_soon() {
    let cluster = cluster();
    let mut publisher = publisher(&config(&cluster, &[]), None);
    submit(&mut publisher, 7);
    completed(&mut publisher, 7);
    let mut receiver = member(&cluster, 7);
    cluster.broker_down(BROKER).expect("down");
    until("the outage is known", || {
        receiver.receive(soon(), |_| ()).expect("receives");
        receiver.is_behind()
    });
    assert!(receiver.lasting_outage(Duration::ZERO).is_some());
    cluster.broker_up(BROKER).expect("up");
    until("the broker is found again", || {
        receiver.receive(soon(), |_| ()).expect("receives");
        !receiver.is_behind()
    });
    submit(&mut publisher, 1);
    until("it reads on", || receiver.receive(soon(), |_| ()).expect("receives") > 0);
    cluster.broker_down(BROKER).expect("down");
    // The commit due meanwhile waits for a coordinator until the session times out.
    let deadline = Instant::now() + Duration::from_secs(1);
    while Instant::now() < deadline {
        receiver.receive(soon(), |_| ()).expect("receives");
    }
    let dropped = time(|| drop(receiver));
    assert!(dropped < SOON, "{dropped:?}");
}

#[test]
fn committing_ends_when_cancelled() {
    let cluster = cluster();
    let config = config(&cluster, &[("group.id", "g")]);
    let mut receiver = KafkaReceiver::connect(&config, SystemClock::new()).expect("a consumer");
    cluster.broker_down(BROKER).expect("down");
    let starts = [StartOffset { partition: 0, offset: 0, high: 0 }];
    let ended = time(|| {
        let start = Instant::now();
        let committed = receiver.commit(TOPIC, &starts, || start.elapsed().as_millis() > 300);
        assert!(committed.is_err());
        drop(receiver);
    });
    assert!(ended < SOON, "{ended:?}");
}
