//! The producers of a run: what their options must fit, and how they are connected.

use std::time::Duration;

use anyhow::Result;
use bench_cli::{UsageError, Workload};
use bench_core::clock::SystemClock;
use bench_core::message::{
    Content, MESSAGE_BYTES_MAX, MessageSpec, RunId, SizeDistribution, SizeSampler,
};
use bench_kafka::{KafkaPublisher, TransactionSize};

use crate::cluster::Cluster;
use crate::options::{Acks, ProducerArgs};

/// Messages without an answer at which a producer waits, unless they are large.
const IN_FLIGHT_DEFAULT: u32 = 100_000;

/// Memory that those messages may take in the client library: half of its default limit, so that it
/// never refuses one.
const IN_FLIGHT_MAX_BYTES: u64 = 512 << 20;

/// A transaction with too few messages is committed after so long.
const TRANSACTION_AGE_MAX_NS: u64 = 100_000_000;

/// The longest time that the client library takes for `--linger`.
const LINGER_MAX: Duration = Duration::from_mins(15);

/// Checks what no single option can.
pub(crate) fn check(producer: &ProducerArgs, workload: &Workload) -> Result<(), UsageError> {
    let largest = largest_message_bytes(&workload.messages);
    let limit = 1_000_000_000;
    if largest > limit {
        return Err(UsageError::new(
            "--record-size",
            format!("{largest} bytes is more than the {limit} that a Kafka client can send"),
            "ask for smaller messages",
        ));
    }
    if producer.batch_size == 0 || producer.batch_size > 2_147_483_647 {
        let remedy = "name a size from 1 to 2147483647 bytes";
        return Err(UsageError::new("--batch-size", "out of range", remedy));
    }
    if producer.linger > LINGER_MAX {
        let problem = "longer than the client library lets a message wait";
        return Err(UsageError::new("--linger", problem, "name at most 15m"));
    }
    if (producer.idempotent || producer.transactional) && producer.acks != Acks::All {
        return Err(UsageError::new(
            "--acks",
            "idempotent and transactional producers need the confirmation of all replicas",
            "leave the option out or say --acks all",
        ));
    }
    Ok(())
}

/// Checks what an embedded broker cannot do.
pub(crate) fn check_for_embedded(cluster: &Cluster, workload: &Workload) -> Result<(), UsageError> {
    let largest = match &workload.messages.content {
        // Larger than six standard deviations above the middle is one message in a billion.
        Content::Generated {
            sizes: SizeDistribution::Normal { mean_bytes, std_dev_bytes },
            ..
        } => mean_bytes + 6.0 * std_dev_bytes,
        Content::Generated {
            sizes: SizeDistribution::LogNormal { median_bytes, sigma }, ..
        } => median_bytes * (6.0 * sigma).exp(),
        _ => largest_message_bytes(&workload.messages) as f64,
    };
    match cluster.batch_max_bytes() {
        Some(limit) if largest > limit as f64 => Err(UsageError::new(
            "--record-size",
            format!("the embedded broker takes messages of {limit} bytes at most"),
            "ask for smaller ones, or name a server with --bootstrap-servers",
        )),
        _ => Ok(()),
    }
}

pub(crate) fn batch_warning(cluster: &Cluster, producer: &ProducerArgs) -> Option<String> {
    let limit = cluster.batch_max_bytes().filter(|limit| producer.batch_size > *limit)?;
    Some(format!("batches have at most {limit} bytes, since the embedded broker loses larger ones"))
}

pub(crate) fn acks_warning(producer: &ProducerArgs) -> Option<String> {
    (producer.acks == Acks::None).then(|| {
        "with --acks 0 a message counts as confirmed when it has left: publish latency and \
         throughput say nothing about the broker"
            .to_owned()
    })
}

fn largest_message_bytes(messages: &MessageSpec) -> u64 {
    let bytes = match &messages.content {
        Content::Generated { sizes, .. } => {
            let sampler = SizeSampler::new(sizes, 0, MESSAGE_BYTES_MAX);
            sampler.map_or(0, |sampler| sampler.max_bytes())
        }
        Content::Records(records) => records.max_bytes() + messages.format.smallest_bytes(),
    };
    bytes as u64
}

pub(crate) fn in_flight_max(producer: &ProducerArgs, messages: &MessageSpec) -> u32 {
    let mean_bytes = match &messages.content {
        Content::Generated { sizes, .. } => sizes.mean_bytes(),
        Content::Records(records) => records.max_bytes() as f64,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    let by_memory = (IN_FLIGHT_MAX_BYTES as f64 / mean_bytes.max(1.0)) as u32;
    producer.in_flight.unwrap_or(IN_FLIGHT_DEFAULT.min(by_memory).max(16))
}

pub(crate) fn connect_publishers(
    cluster: &Cluster,
    topic: &str,
    args: &ProducerArgs,
    messages: &MessageSpec,
    clock: SystemClock,
    run: RunId,
) -> Result<Vec<KafkaPublisher>> {
    let in_flight = u64::from(in_flight_max(args, messages));
    let batch_size = args.batch_size.min(cluster.batch_max_bytes().unwrap_or(u64::MAX));
    // A request holds a batch and its framing; the library's own default is the least.
    let message_max = (batch_size.max(largest_message_bytes(messages)) + 1_024).max(1_000_000);
    let smallest = messages.format.smallest_bytes().max(1) as u64;
    let properties = [
        ("acks", args.acks.property().to_owned()),
        ("batch.size", batch_size.to_string()),
        // The library also limits a batch by number: the size is to be the limit that counts.
        ("batch.num.messages", (batch_size / smallest).clamp(10_000, 1_000_000).to_string()),
        ("compression.codec", args.compression.property().to_owned()),
        ("enable.idempotence", (args.idempotent || args.transactional).to_string()),
        ("linger.ms", (args.linger.as_secs_f64() * 1e3).to_string()),
        ("message.max.bytes", message_max.min(1_000_000_000).to_string()),
        // Above what the engine lets out, so that it never refuses a message.
        ("queue.buffering.max.messages", (in_flight * 2 + 1_000).to_string()),
    ];
    let transaction = args.transactional.then_some(TransactionSize {
        messages: args.transaction_size,
        age_max_ns: TRANSACTION_AGE_MAX_NS,
    });
    let mut publishers = Vec::new();
    for index in 0..args.producers {
        let mut config = cluster.client(&properties)?;
        if args.transactional && config.get("transactional.id").is_none() {
            config.set("transactional.id", format!("kafka-prodcon-{run}-{index}"));
        }
        let timeout = cluster.timeout();
        publishers.push(KafkaPublisher::connect(&config, topic, clock, transaction, timeout)?);
    }
    Ok(publishers)
}
