//! Kafka on this machine, through the real client.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use bench_services::local::{ProcessState, Stack, StackOptions};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message};

const WAIT: Duration = Duration::from_secs(30);

#[test]
fn messages_pass_through_every_listener() {
    let Some(kafka) = bench_testing::local("every listener", &StackOptions::kafka(1)) else {
        return;
    };
    let mut plain = ClientConfig::new();
    plain.set("bootstrap.servers", kafka.bootstrap_servers());
    pass_a_message(&plain, "plaintext");
    let mut files = 0;
    for file in client_files(kafka.stack().dir()) {
        let name = file.file_stem().and_then(|name| name.to_str()).expect("a name");
        pass_a_message(&client(&file), name);
        files += 1;
    }
    assert_eq!(files, 5);
}

fn client_files(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(dir).expect("the folder").map(|entry| entry.expect("an entry"));
    let paths = entries.map(|entry| entry.path());
    paths.filter(|path| path.extension().is_some_and(|end| end == "properties")).collect()
}

fn client(file: &Path) -> ClientConfig {
    let mut config = ClientConfig::new();
    for line in fs::read_to_string(file).expect("the file").lines() {
        let (key, value) = line.split_once('=').expect("a setting");
        config.set(key, value);
    }
    config
}

fn pass_a_message(config: &ClientConfig, topic: &str) {
    let producer: BaseProducer = config.create().expect("a producer");
    producer.send(BaseRecord::<(), str>::to(topic).payload(topic)).expect("queued");
    producer.flush(WAIT).expect("acknowledged");
    let mut config = config.clone();
    config.set("group.id", topic).set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer = config.create().expect("a consumer");
    consumer.subscribe(&[topic]).expect("subscribed");
    let deadline = Instant::now() + WAIT;
    let payload = loop {
        assert!(Instant::now() < deadline, "nothing arrives by {topic}");
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            break message.payload().expect("a payload").to_vec();
        }
    };
    assert_eq!(payload, topic.as_bytes());
}

#[test]
fn three_brokers() {
    let Some(mut kafka) = bench_testing::alone("three brokers", &StackOptions::kafka(3)) else {
        return;
    };
    let stack: &mut Stack = kafka.stack_mut();
    let states: Vec<_> = stack.nodes().iter().map(|node| node.state).collect();
    assert_eq!(states, [ProcessState::Running; 3]);
    let t = Instant::now();
    stack.down(&mut |n| eprintln!("{n}")).expect("down");
    eprintln!("{:?}", t.elapsed());
}
