//! What the tests against either broker need: the tool, and messages to clean away.

use std::time::Duration;

use assert_cmd::Command;
use bench_core::clock::{BootId, ClockOrigin};
use bench_core::message::RunId;
use bench_core::message::header::{HEADER_BYTES, HeaderWriter};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

/// The tool, with none of the caller's settings.
pub(crate) fn topic_clean(servers: &str) -> Command {
    let mut command = Command::cargo_bin("topic-clean").expect("the tool is built");
    for (variable, _) in bench_kafka::config::ENVIRONMENT {
        command.env_remove(variable);
    }
    command.env_remove("RUST_LOG");
    command.args(["--bootstrap-servers", servers]);
    command
}

/// What the tool said and how it ended.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl std::fmt::Debug for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {}\n--- out\n{}--- err\n{}", self.code, self.stdout, self.stderr)
    }
}

/// Runs the tool on a broker.
pub(crate) fn run(servers: &str, arguments: &[&str]) -> Said {
    outcome(topic_clean(servers).args(arguments))
}

pub(crate) fn outcome(command: &mut Command) -> Said {
    let output = command.timeout(Duration::from_mins(1)).output().expect("it runs");
    Said {
        code: output.status.code().expect("it exits by itself"),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

/// A message as the benchmark writes it.
pub(crate) fn benchmark_message(sequence: u64) -> Vec<u8> {
    let origin = ClockOrigin { boot: BootId::from_hash(1), wall_offset_ns: 0 };
    let mut message = vec![7; HEADER_BYTES + 20];
    HeaderWriter::new(RunId::from_bits(5), 0, origin).seal(&mut message, sequence, 0, 0);
    message
}

/// A producer whose messages are all acknowledged once it is flushed.
pub(crate) fn producer(servers: &str, settings: &[(&str, &str)]) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers).set("linger.ms", "1");
    for (name, value) in settings {
        config.set(*name, *value);
    }
    config.create().expect("a producer")
}

pub(crate) fn send(producer: &BaseProducer, topic: &str, partition: i32, message: &[u8]) {
    let record = BaseRecord::<(), [u8]>::to(topic).partition(partition).payload(message);
    producer.send(record).expect("queued");
}

/// Puts `count` of the benchmark's messages into a partition.
pub(crate) fn fill(servers: &str, topic: &str, partition: i32, count: u64) {
    let producer = producer(servers, &[]);
    for sequence in 0..count {
        send(&producer, topic, partition, &benchmark_message(sequence));
    }
    producer.flush(Duration::from_secs(20)).expect("all acknowledged");
}

/// Puts one message of anything into a partition.
pub(crate) fn put(servers: &str, topic: &str, partition: i32, message: &[u8]) {
    let producer = producer(servers, &[]);
    send(&producer, topic, partition, message);
    producer.flush(Duration::from_secs(20)).expect("acknowledged");
}
