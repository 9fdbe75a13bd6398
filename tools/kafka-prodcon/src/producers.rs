//! The producers of a run: what their options must fit, and how they are connected.

use std::time::Duration;

use anyhow::Result;
use bench_cli::{Shutdown, UsageError, Workload};
use bench_core::clock::SystemClock;
use bench_core::message::{Content, MessageSpec, RunId};
use bench_kafka::config::{REQUESTS_IN_FLIGHT, STATISTICS_INTERVAL};
use bench_kafka::error::KafkaError;
use bench_kafka::{KafkaPublisher, TransactionPlan};
use bench_tables::dynamodb::ROW_BYTES_MAX;

use crate::cluster::Cluster;
use crate::options::{Acks, Land, LandArgs, Options, ProducerArgs};

/// Messages without an answer at which a producer waits, unless they are large.
const IN_FLIGHT_DEFAULT: u32 = 100_000;

/// Memory that those messages may take in the client library: half of its default limit, so that it
/// never refuses one.
const IN_FLIGHT_MAX_BYTES: u64 = 512 << 20;

/// A transaction with too few messages ends after so long.
const TRANSACTION_AGE_MAX_NS: u64 = 100_000_000;

/// The client library's own `batch.size`, and the original script's.
const BATCH_SIZE_DEFAULT: u64 = 1_000_000;

/// The longest time that the client library takes for `--linger`.
const LINGER_MAX: Duration = Duration::from_mins(15);

/// How often the client library says how many requests are in flight, milliseconds.
const STATISTICS_INTERVAL_MS: u32 = 500;

/// Checks what no single option can.
pub(crate) fn check(producer: &ProducerArgs, workload: &Workload) -> Result<(), UsageError> {
    let largest = workload.messages.largest_bytes();
    let limit = 1_000_000_000;
    if largest > limit {
        return Err(UsageError::new(
            "--record-size",
            format!("{largest} bytes is more than the {limit} that a Kafka client can send"),
            "ask for smaller messages",
        ));
    }
    if producer.batch_size.is_some_and(|size| !(1..=2_147_483_647).contains(&size)) {
        let remedy = "name a size from 1 to 2147483647 bytes";
        return Err(UsageError::new("--batch-size", "out of range", remedy));
    }
    if producer.linger.is_some_and(|linger| linger > LINGER_MAX) {
        let problem = "longer than the client library lets a message wait";
        return Err(UsageError::new("--linger", problem, "name at most 15m"));
    }
    let needs_all = producer.idempotent || producer.transactional;
    if needs_all && producer.acks.is_some_and(|acks| acks != Acks::All) {
        return Err(UsageError::new(
            "--acks",
            "idempotent and transactional producers need the confirmation of all replicas",
            "leave the option out or say --acks all",
        ));
    }
    Ok(())
}

/// Checks that the client library takes what options, `--properties` and `--config` make together.
pub(crate) fn check_client(
    cluster: &Cluster,
    args: &ProducerArgs,
    messages: &MessageSpec,
) -> Result<()> {
    let config = cluster.client(&properties(cluster, args, messages))?;
    KafkaPublisher::check(&config).map_err(|error| match error {
        KafkaError::Client { reason, .. } => UsageError::from_library(format!(
            "the producers' options, --properties and --config do not fit together: {reason}; \
             change or leave out one of them"
        ))
        .into(),
        other => other.into(),
    })
}

/// Checks what an embedded broker cannot do.
pub(crate) fn check_for_embedded(
    cluster: &Cluster,
    options: &Options,
    workload: &Workload,
) -> Result<(), UsageError> {
    let largest = workload.messages.likely_largest_bytes();
    let embedded = cluster.batch_max_bytes();
    if embedded.is_some() && options.producer.abort_every.is_some() {
        return Err(UsageError::new(
            "--abort-every",
            "the embedded broker shows consumers what was aborted",
            "name a server with --bootstrap-servers",
        ));
    }
    match embedded {
        Some(limit) if largest > limit as f64 => Err(UsageError::new(
            "--record-size",
            format!("the embedded broker takes messages of {limit} bytes at most"),
            "ask for smaller ones, or name a server with --bootstrap-servers",
        )),
        _ => Ok(()),
    }
}

/// Checks what a table has no room for.
pub(crate) fn check_for_landing(land: &LandArgs, workload: &Workload) -> Result<(), UsageError> {
    let largest = workload.messages.likely_largest_bytes();
    if land.land == Some(Land::Dynamodb) && largest > ROW_BYTES_MAX as f64 {
        return Err(UsageError::new(
            "--record-size",
            format!("an item of DynamoDB has room for messages of {ROW_BYTES_MAX} bytes at most"),
            "ask for smaller ones, or say --land mysql",
        ));
    }
    Ok(())
}

/// What the reader of the figures must know about the producers' settings.
pub(crate) fn warnings(cluster: &Cluster, producer: &ProducerArgs) -> Vec<String> {
    let limit = cluster.batch_max_bytes().filter(|limit| batch_size(cluster, producer) > *limit);
    let capped = limit.map(|limit| {
        format!("batches have at most {limit} bytes, since the embedded broker loses larger ones")
    });
    let of_option = producer.acks.filter(|_| !cluster.config.is_from_command_line("acks"));
    let acks = of_option.map(Acks::property).or(cluster.config.get("acks"));
    let unconfirmed = (acks == Some("0")).then(|| {
        "with --acks 0 a message counts as confirmed when it has left: publish latency and \
         throughput say nothing about the broker"
            .to_owned()
    });
    capped.into_iter().chain(unconfirmed).collect()
}

/// The largest batch that was asked for, by option or properties file.
fn batch_size(cluster: &Cluster, args: &ProducerArgs) -> u64 {
    let from_file = || cluster.config.get("batch.size").and_then(|size| size.parse().ok());
    args.batch_size.or_else(from_file).unwrap_or(BATCH_SIZE_DEFAULT)
}

pub(crate) fn in_flight_max(producer: &ProducerArgs, messages: &MessageSpec) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    let by_memory = (IN_FLIGHT_MAX_BYTES as f64 / mean_bytes(messages).max(1.0)) as u32;
    producer.in_flight.unwrap_or(IN_FLIGHT_DEFAULT.min(by_memory).max(16))
}

/// Size of a message, without its key.
pub(crate) fn mean_bytes(messages: &MessageSpec) -> f64 {
    match &messages.content {
        Content::Generated { sizes, .. } => sizes.mean_bytes(),
        Content::Records(records) => records.max_bytes() as f64,
    }
}

pub(crate) fn connect_publishers(
    cluster: &Cluster,
    topic: &str,
    args: &ProducerArgs,
    messages: &MessageSpec,
    clock: SystemClock,
    run: RunId,
    shutdown: &Shutdown,
) -> Result<Vec<KafkaPublisher>> {
    let properties = properties(cluster, args, messages);
    let transaction = args.transactional.then_some(TransactionPlan {
        messages: args.transaction_size,
        age_max_ns: TRANSACTION_AGE_MAX_NS,
        abort_every: args.abort_every,
    });
    let mut publishers = Vec::new();
    for index in 0..args.producers {
        let mut config = cluster.client(&properties)?;
        if args.transactional && config.get("transactional.id").is_none() {
            config.set("transactional.id", format!("kafka-prodcon-{run}-{index}"));
        }
        // One stands for all, which have the same settings.
        if index == 0 {
            config.set_default(STATISTICS_INTERVAL, STATISTICS_INTERVAL_MS.to_string());
        }
        let (topic, timeout, asked) = (topic.to_owned(), cluster.timeout(), shutdown.clone());
        let mut publisher = shutdown.interruptible("the producers connected", move || {
            let cancelled = || asked.is_requested();
            KafkaPublisher::connect_unless(cancelled, &config, &topic, clock, transaction, timeout)
        })??;
        if let Some(ended) = cluster.broker_ended() {
            publisher.watch_broker(ended);
        }
        publishers.push(publisher);
    }
    Ok(publishers)
}

/// The librdkafka properties of a producer. Those that no option gives are left to a properties
/// file, where it has them.
fn properties(
    cluster: &Cluster,
    args: &ProducerArgs,
    messages: &MessageSpec,
) -> Vec<(&'static str, String)> {
    let in_flight = u64::from(in_flight_max(args, messages));
    let batch_size = batch_size(cluster, args).min(cluster.batch_max_bytes().unwrap_or(u64::MAX));
    // A request holds a batch and its framing; the library's own default is the least.
    let message_max = (batch_size.max(messages.largest_bytes() as u64) + 1_024).max(1_000_000);
    let smallest = messages.format.smallest_bytes().max(1) as u64;
    let derived = [
        // The library also limits a batch by number: the size is to be the limit that counts.
        ("batch.num.messages", (batch_size / smallest).clamp(10_000, 1_000_000)),
        ("message.max.bytes", message_max.min(1_000_000_000)),
        // Above what the engine lets out, so that it never refuses a message.
        ("queue.buffering.max.messages", in_flight * 2 + 1_000),
    ];
    let derived = derived.into_iter().filter(|(name, _)| cluster.config.get(name).is_none());
    let mut properties: Vec<_> = derived.map(|(name, value)| (name, value.to_string())).collect();
    properties.push(("batch.size", batch_size.to_string()));
    let mut given = |name, value: Option<String>| {
        properties.extend(value.map(|value| (name, value)));
    };
    given("acks", args.acks.map(|acks| acks.property().to_owned()));
    given("compression.codec", args.compression.map(|codec| codec.property().to_owned()));
    given("linger.ms", args.linger.map(|linger| (linger.as_secs_f64() * 1e3).to_string()));
    given(REQUESTS_IN_FLIGHT, args.requests_in_flight.map(|requests| requests.to_string()));
    let idempotent = args.idempotent || args.transactional;
    given("enable.idempotence", idempotent.then(|| "true".to_owned()));
    properties
}
