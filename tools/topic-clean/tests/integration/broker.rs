//! Helpers for tests with either broker: the tool, and messages to delete.

use std::process::Command;
use std::time::Duration;

use bench_core::clock::{BootId, ClockOrigin};
use bench_core::message::RunId;
use bench_core::message::header::{HEADER_BYTES, HeaderWriter};
use bench_testing::tool::{Sandbox, ToolOutput};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

pub(crate) const TOOL: &str = env!("CARGO_BIN_EXE_topic-clean");

/// The tool in `sandbox`, on a broker.
pub(crate) fn command(sandbox: &Sandbox, servers: &str, arguments: &[&str]) -> Command {
    let mut command = sandbox.command("");
    command.args(["--bootstrap-servers", servers]).args(arguments);
    command
}

/// Runs the tool on a broker.
pub(crate) fn run(servers: &str, arguments: &[&str]) -> ToolOutput {
    ToolOutput::of(command(&Sandbox::new(TOOL), servers, arguments))
}

/// A message in the benchmark's format.
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

/// Writes `count` of the benchmark's messages to a partition.
pub(crate) fn fill(servers: &str, topic: &str, partition: i32, count: u64) {
    let producer = producer(servers, &[]);
    for sequence in 0..count {
        send(&producer, topic, partition, &benchmark_message(sequence));
    }
    producer.flush(Duration::from_secs(20)).expect("all acknowledged");
}

/// Writes one arbitrary message to a partition.
pub(crate) fn put(servers: &str, topic: &str, partition: i32, message: &[u8]) {
    let producer = producer(servers, &[]);
    send(&producer, topic, partition, message);
    producer.flush(Duration::from_secs(20)).expect("acknowledged");
}
