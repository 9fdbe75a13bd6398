//! The embedded broker through the real client.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bench_service_kafka::stand_in::{EmbeddedKafka, KIND, PARTITIONS_MAX};
use bench_stand_in::StandInProcess;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message};
use rustix::process::{Pid, Signal, getpgid, kill_process, test_kill_process};

#[test]
fn killed_broker_is_noticed() {
    let kafka = EmbeddedKafka::start(1).expect("starts");
    let ended = kafka.ended();
    assert!(!ended.load(Ordering::Relaxed));
    let pid = i32::try_from(kafka.pid()).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, Signal::KILL).expect("killed");
    let deadline = Instant::now() + Duration::from_secs(10);
    while !ended.load(Ordering::Relaxed) {
        assert!(Instant::now() < deadline, "nobody has noticed");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_topic_has_the_partitions_asked_for() {
    let mut kafka = EmbeddedKafka::start(1).expect("starts");
    kafka.create_topic("seven", 7, 1).expect("created");
    let client = consumer(&kafka, "looking");
    let metadata = client.fetch_metadata(None, Duration::from_secs(5)).expect("metadata");
    assert_eq!(metadata.brokers().len(), 1);
    assert_eq!(metadata.topics().len(), 1);
    assert_eq!(metadata.topics()[0].name(), "seven");
    assert_eq!(metadata.topics()[0].partitions().len(), 7);
}

#[test]
fn a_group_consumes_what_was_produced() {
    const MESSAGES: usize = 1_000;
    let mut kafka = EmbeddedKafka::start(1).expect("starts");
    kafka.create_topic("t", 2, 1).expect("created");
    let producer: BaseProducer = config(&kafka).create().expect("a producer");
    for number in 0..MESSAGES {
        let payload = number.to_string();
        producer.send(BaseRecord::<(), str>::to("t").payload(&payload)).expect("queued");
    }
    producer.flush(Duration::from_secs(10)).expect("all acknowledged");

    let consumer = consumer(&kafka, "readers");
    let started = Instant::now();
    consumer.subscribe(&["t"]).expect("subscribed");
    let mut numbers = Vec::new();
    while numbers.len() < MESSAGES {
        assert!(started.elapsed() < Duration::from_secs(20), "only {} arrived", numbers.len());
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            let message = message.expect("a message");
            let text = message.payload_view::<str>().expect("a payload").expect("text");
            numbers.push(text.parse::<usize>().expect("a number"));
            if numbers.len() == 1 {
                let joined = started.elapsed();
                assert!(joined < Duration::from_secs(2), "joining the group took {joined:?}");
            }
        }
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..MESSAGES).collect::<Vec<_>>());
}

#[test]
fn several_brokers_form_a_cluster() {
    let mut kafka = EmbeddedKafka::start(3).expect("starts");
    assert_eq!(kafka.bootstrap_servers().split(',').count(), 3);
    kafka.create_topic("wide", 6, 2).expect("created");
    let client = consumer(&kafka, "looking");
    let metadata = client.fetch_metadata(None, Duration::from_secs(5)).expect("metadata");
    assert_eq!(metadata.brokers().len(), 3);
    assert!(metadata.topics()[0].partitions().iter().all(|p| p.replicas().len() == 2));
}

#[test]
fn bad_requests_are_refused_with_a_reason() {
    let mut kafka = EmbeddedKafka::start(1).expect("starts");
    kafka.create_topic("t", 1, 1).expect("created");
    let mut refused = |name: &str, partitions, replication, reason: &str| {
        let error = kafka.create_topic(name, partitions, replication).expect_err("refused");
        assert!(error.to_string().contains(reason), "{error}");
    };
    refused("t", 1, 1, "exists already");
    refused("", 1, 1, "1 to 249");
    refused("a b", 1, 1, "1 to 249");
    refused("new\nline", 1, 1, "1 to 249");
    refused("u", 0, 1, "1 to 1000 partitions");
    refused("u", PARTITIONS_MAX + 1, 1, "1 to 1000 partitions");
    refused("u", 1, 2, "1 to 1 replicas");
    refused("u", 1, 0, "1 to 1 replicas");
    kafka.create_topic("u", 1, 1).expect("it still works after all these");
    for brokers in [0, 1_000] {
        let error = EmbeddedKafka::start(brokers).expect_err("refused");
        assert!(error.to_string().contains("1 to 16 brokers"), "{error}");
    }
}

#[test]
fn dropped_broker_ends_its_process() {
    let kafka = EmbeddedKafka::start(1).expect("starts");
    let pid = pid(kafka.pid());
    assert_ne!(pid, rustix::process::getpid());
    let group = getpgid(Some(pid)).expect("it runs");
    assert_ne!(group, rustix::process::getpgrp(), "a Ctrl-C must not reach it");
    // A client that is still connected must not keep it.
    let client = consumer(&kafka, "lingering");
    client.fetch_metadata(None, Duration::from_secs(5)).expect("metadata");
    let started = Instant::now();
    drop(kafka);
    assert!(test_kill_process(pid).is_err(), "it is still there");
    assert!(started.elapsed() < Duration::from_secs(1), "took {:?}", started.elapsed());
}

#[test]
fn other_programs_are_refused() {
    let error = |program: &str| {
        let started = StandInProcess::start_program(&KIND, program.into(), &1, "start a cluster");
        started.expect_err("no broker").to_string()
    };
    assert!(error("/bin/true").contains("has ended"), "{}", error("/bin/true"));
    let echoed = format!("answered '{} 1'", bench_stand_in::PROTOCOL);
    assert!(error("/bin/echo").contains(&echoed), "{}", error("/bin/echo"));
    assert!(error("/nonexistent").contains("/nonexistent"), "{}", error("/nonexistent"));
}

fn config(kafka: &EmbeddedKafka) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.bootstrap_servers());
    config
}

fn consumer(kafka: &EmbeddedKafka, group: &str) -> BaseConsumer {
    let mut config = config(kafka);
    config.set("group.id", group).set("auto.offset.reset", "earliest");
    config.create().expect("a consumer")
}

fn pid(number: u32) -> Pid {
    i32::try_from(number).ok().and_then(Pid::from_raw).expect("a process id")
}
