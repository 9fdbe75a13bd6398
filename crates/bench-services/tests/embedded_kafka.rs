//! The embedded broker through the real client. This program is both the tests and, started again
//! by them, the broker; so it has a `main` of its own.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bench_services::embedded::{EmbeddedKafka, PARTITIONS_MAX, run_if_requested};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message};
use rustix::process::{Pid, Signal, getpgid, kill_process, test_kill_process};

/// Makes this program start a broker, say its process id, and then do nothing.
const HOLD: &str = "__hold-a-broker";

const TESTS: [(&str, fn()); 8] = [
    ("a_topic_has_the_partitions_asked_for", a_topic_has_the_partitions_asked_for),
    ("a_group_consumes_what_was_produced", a_group_consumes_what_was_produced),
    ("several_brokers_form_a_cluster", several_brokers_form_a_cluster),
    ("bad_requests_are_refused_with_a_reason", bad_requests_are_refused_with_a_reason),
    ("the_process_ends_with_its_value", the_process_ends_with_its_value),
    ("a_killed_broker_is_known_to_have_ended", a_killed_broker_is_known_to_have_ended),
    ("a_killed_parent_leaves_no_broker_behind", a_killed_parent_leaves_no_broker_behind),
    ("a_program_that_is_no_broker_is_told_apart", a_program_that_is_no_broker_is_told_apart),
];

fn main() -> ExitCode {
    if let Some(code) = run_if_requested() {
        return code;
    }
    if std::env::args().nth(1).as_deref() == Some(HOLD) {
        hold_a_broker();
    }
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    for (name, test) in TESTS {
        if filter.as_ref().is_none_or(|filter| name.contains(filter.as_str())) {
            test();
            say(&format!("test {name} ... ok"));
        }
    }
    ExitCode::SUCCESS
}

fn a_killed_broker_is_known_to_have_ended() {
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

fn several_brokers_form_a_cluster() {
    let mut kafka = EmbeddedKafka::start(3).expect("starts");
    assert_eq!(kafka.bootstrap_servers().split(',').count(), 3);
    kafka.create_topic("wide", 6, 2).expect("created");
    let client = consumer(&kafka, "looking");
    let metadata = client.fetch_metadata(None, Duration::from_secs(5)).expect("metadata");
    assert_eq!(metadata.brokers().len(), 3);
    assert!(metadata.topics()[0].partitions().iter().all(|p| p.replicas().len() == 2));
}

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

fn the_process_ends_with_its_value() {
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

fn a_killed_parent_leaves_no_broker_behind() {
    let myself = std::env::current_exe().expect("this program");
    let mut parent = Command::new(myself).arg(HOLD).stdout(Stdio::piped()).spawn().expect("starts");
    let mut line = String::new();
    let stdout = parent.stdout.take().expect("piped");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    let broker = pid(line.trim().parse().expect("a process id"));
    test_kill_process(broker).expect("the broker runs");
    parent.kill().expect("killed");
    parent.wait().expect("reaped");
    let deadline = Instant::now() + Duration::from_secs(5);
    // An orphan may stay as a zombie where nobody reaps it.
    while test_kill_process(broker).is_ok() && !is_zombie(broker) {
        assert!(Instant::now() < deadline, "the broker outlives its parent");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn a_program_that_is_no_broker_is_told_apart() {
    let error = EmbeddedKafka::start_from(Path::new("/bin/true"), 1).expect_err("no broker");
    assert!(error.to_string().contains("has ended"), "{error}");
    let error = EmbeddedKafka::start_from(Path::new("/bin/echo"), 1).expect_err("no broker");
    assert!(error.to_string().contains("answered '__embedded-kafka 1'"), "{error}");
    let error = EmbeddedKafka::start_from(Path::new("/nonexistent"), 1).expect_err("no file");
    assert!(error.to_string().contains("/nonexistent"), "{error}");
}

fn hold_a_broker() -> ! {
    let kafka = EmbeddedKafka::start(1).expect("starts");
    say(&kafka.pid().to_string());
    loop {
        std::thread::park();
    }
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

fn is_zombie(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")))
}

fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("standard output");
}
