//! The `rdkafka` crate's own producer and consumer, one message at a time and without measurement:
//! the baseline for this crate's batch calls in `docs/performance.md`.
//!
//! `plain_client produce|consume SERVERS TOPIC MESSAGES`

#![expect(clippy::print_stdout, reason = "an example prints its result")]

use std::time::{Duration, Instant};

use bench_core::results::ResourceMeter;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, servers, topic, messages] = &arguments[..] else {
        return Err("usage: plain_client produce|consume SERVERS TOPIC MESSAGES".into());
    };
    let messages: u64 = messages.parse()?;
    let (meter, started) = (ResourceMeter::start(), Instant::now());
    match mode.as_str() {
        "produce" => produce(servers, topic, messages)?,
        "consume" => consume(servers, topic, messages)?,
        other => return Err(format!("{other} is neither produce nor consume").into()),
    }
    let used = meter.read(messages);
    println!(
        "{:.0} msg/s, {:.3} us of CPU per message",
        messages as f64 / started.elapsed().as_secs_f64(),
        used.cpu_us_per_message.unwrap_or_default()
    );
    Ok(())
}

fn produce(servers: &str, topic: &str, messages: u64) -> Result<()> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("acks", "1")
        .set("queue.buffering.max.messages", "100000")
        .create()?;
    let payload = [7; 100];
    for _ in 0..messages {
        let mut record = BaseRecord::<(), _>::to(topic).payload(&payload[..]);
        loop {
            match producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    producer.poll(Duration::from_millis(10));
                    record = refused;
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }
    producer.flush(Duration::from_secs(30))?;
    Ok(())
}

fn consume(servers: &str, topic: &str, messages: u64) -> Result<()> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", "plain-client")
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "1")
        .create()?;
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, Offset::Beginning)?;
    consumer.assign(&partitions)?;
    let mut received = 0;
    while received < messages {
        match consumer.poll(Duration::from_secs(10)) {
            Some(message) => {
                message?;
                received += 1;
            }
            None => return Err(format!("no message after {received} messages").into()),
        }
    }
    Ok(())
}
