//! Checks the producers' options and connects the producers of a run.

use std::time::Duration;

use anyhow::Result;
use bench_cli::{Shutdown, UsageError, Workload};
use bench_core::clock::SystemClock;
use bench_core::message::{Content, KEY_BYTES, MessageSpec, RunId};
use bench_kafka::config::{
    KafkaConfig, REQUESTS_IN_FLIGHT, REQUESTS_IN_FLIGHT_DEFAULT, STATISTICS_INTERVAL,
};
use bench_kafka::{KafkaPublisher, SendPlan, SendRate, TransactionPlan};
use bench_tables::dynamodb::ROW_BYTES_MAX;

use crate::cluster::Cluster;
use crate::options::{Acks, Land, LandArgs, Options, ProducerArgs};
use crate::settings::Settings;

const BATCH_SIZE: &str = "batch.size";
const TRANSACTIONAL_ID: &str = "transactional.id";

/// Default of `--in-flight`, unless messages are large.
const IN_FLIGHT_DEFAULT: u32 = 100_000;

/// Maximum memory of in-flight messages in the client library: half of its default limit, so that
/// it never rejects one.
const IN_FLIGHT_MAX_BYTES: u64 = 512 << 20;

/// Maximum age of a transaction with too few messages.
const TRANSACTION_AGE_MAX_NS: u64 = 100_000_000;

/// The client library's default `batch.size`, and the original script's.
const BATCH_SIZE_DEFAULT: u64 = 1_000_000;

/// The client library's default `message.max.bytes`.
const MESSAGE_MAX_DEFAULT: u64 = 1_000_000;

/// The client library's maximum of `--linger`.
const LINGER_MAX: Duration = Duration::from_mins(15);

/// Interval between the client library's statistics on requests in flight, milliseconds.
const STATISTICS_INTERVAL_MS: u32 = 500;

/// Checks options against each other and the client library's limits.
pub(crate) fn check(producer: &ProducerArgs, workload: &Workload) -> Result<(), UsageError> {
    let largest = workload.messages.largest_bytes();
    let limit = 1_000_000_000;
    if largest > limit {
        return Err(UsageError::new(
            "--record-size",
            format!("{largest} bytes exceed the maximum of {limit} for a Kafka client"),
            "use smaller messages",
        ));
    }
    if producer.batch_size.is_some_and(|size| !(1..=2_147_483_647).contains(&size)) {
        let remedy = "use 1 to 2147483647 bytes";
        return Err(UsageError::new("--batch-size", "out of range", remedy));
    }
    if producer.linger.is_some_and(|linger| linger > LINGER_MAX) {
        let problem = "exceeds the client library's maximum";
        return Err(UsageError::new("--linger", problem, "use at most 15m"));
    }
    let needs_all = producer.idempotent || producer.transactional;
    if needs_all && producer.acks.is_some_and(|acks| acks != Acks::All) {
        return Err(UsageError::new(
            "--acks",
            "idempotent and transactional producers need acknowledgements of all replicas",
            "remove the option or use --acks all",
        ));
    }
    Ok(())
}

/// Checks that producers can be created with the settings from [`config`].
pub(crate) fn check_config(
    args: &ProducerArgs,
    config: &KafkaConfig,
    messages: &MessageSpec,
) -> Result<()> {
    match transactional_id(config) {
        Some(id) if !args.transactional => {
            // Without a transaction, such a producer rejects every message.
            let problem = format!("{id} requires this option");
            let remedy = "add it, or remove the setting";
            return Err(UsageError::new("--transactional", problem, remedy).into());
        }
        Some(id) if args.producers > 1 => {
            let problem = format!("{} producers cannot share {id}", args.producers);
            let remedy = "use 1, or remove the setting";
            return Err(UsageError::new("--producers", problem, remedy).into());
        }
        _ => {}
    }
    let mut whole = config.clone();
    if args.transactional && config.get(TRANSACTIONAL_ID).is_none() {
        whole.set_by_option(TRANSACTIONAL_ID, "kafka-prodcon-RUN-PRODUCER", "--transactional");
    }
    whole.check_producer()?;
    check_linger(config, args.grace, "--grace")?;
    let largest = messages.largest_bytes() + KEY_BYTES;
    check_queue(
        config,
        largest as u64,
        "--record-size",
        "use smaller messages, or raise the \
                                                          setting",
    )?;
    Ok(())
}

/// Checks that the largest message fits into the empty queue: otherwise it would wait forever.
fn check_queue(
    config: &KafkaConfig,
    largest_bytes: u64,
    option: &str,
    remedy: &str,
) -> Result<(), UsageError> {
    let name = "queue.buffering.max.kbytes";
    let limit: Option<u64> = config.get(name).and_then(|kilobytes| kilobytes.parse().ok());
    if limit.is_none_or(|kilobytes| largest_bytes <= kilobytes.saturating_mul(1_024)) {
        return Ok(());
    }
    let shown = config.shown(name);
    let problem = format!("messages of up to {largest_bytes} bytes exceed {shown}");
    Err(UsageError::new(option, problem, remedy))
}

/// The settings of `send`'s producer, which waits up to `flush` for the last acknowledgements.
pub(crate) fn config_of_lines(settings: &Settings, flush: Duration) -> Result<KafkaConfig> {
    let config = settings.producer(settings.config.clone())?;
    if let Some(id) = transactional_id(&config) {
        let problem = format!("lines are sent without transactions, which conflicts with {id}");
        return Err(UsageError::new("send", problem, "remove the setting").into());
    }
    config.check_producer()?;
    check_linger(&config, flush, "send")?;
    let largest = config.get("message.max.bytes").and_then(|largest| largest.parse().ok());
    let remedy = "raise the setting, or lower message.max.bytes";
    check_queue(&config, largest.unwrap_or(MESSAGE_MAX_DEFAULT), "send", remedy)?;
    Ok(config)
}

/// The `transactional.id`, with its origin.
fn transactional_id(config: &KafkaConfig) -> Option<String> {
    config.get(TRANSACTIONAL_ID).map(|_| config.shown(TRANSACTIONAL_ID))
}

/// Checks that the last messages, which wait for others to fill their batches, can still be
/// acknowledged in time.
fn check_linger(config: &KafkaConfig, wait: Duration, option: &str) -> Result<(), UsageError> {
    let linger: Option<f64> = config.get("linger.ms").and_then(|linger| linger.parse().ok());
    let is_late = |linger: f64| linger > 0.0 && linger >= wait.as_secs_f64() * 1e3;
    if !linger.is_some_and(is_late) {
        return Ok(());
    }
    let problem = format!(
        "{wait:?} must be longer than {}, for which the last messages may wait",
        config.shown("linger.ms")
    );
    let remedy =
        if option == "send" { "lower the setting" } else { "raise it, or lower the setting" };
    Err(UsageError::new(option, problem, remedy))
}

/// Refuses options that an embedded broker does not support.
pub(crate) fn check_for_embedded(
    settings: &Settings,
    options: &Options,
    workload: &Workload,
) -> Result<(), UsageError> {
    let largest = workload.messages.likely_largest_bytes();
    let embedded = settings.batch_max_bytes();
    if embedded.is_some() && options.producer.abort_every.is_some() {
        return Err(UsageError::new(
            "--abort-every",
            "the embedded broker delivers aborted messages to consumers",
            "use a server with --bootstrap-servers",
        ));
    }
    match embedded {
        Some(limit) if largest > limit as f64 => Err(UsageError::new(
            "--record-size",
            format!("the embedded broker accepts messages of at most {limit} bytes"),
            "use smaller messages, or a server with --bootstrap-servers",
        )),
        _ => Ok(()),
    }
}

/// Refuses messages that are too large for the table.
pub(crate) fn check_for_landing(land: &LandArgs, workload: &Workload) -> Result<(), UsageError> {
    let largest = workload.messages.likely_largest_bytes();
    if land.land == Some(Land::Dynamodb) && largest > ROW_BYTES_MAX as f64 {
        return Err(UsageError::new(
            "--record-size",
            format!("a DynamoDB item holds messages of at most {ROW_BYTES_MAX} bytes"),
            "use smaller messages, or --land mysql",
        ));
    }
    Ok(())
}

/// Warnings about producer settings that affect the figures.
pub(crate) fn warnings(
    settings: &Settings,
    args: &ProducerArgs,
    config: &KafkaConfig,
) -> Vec<String> {
    let set = settings.config.get(BATCH_SIZE).and_then(|size| size.parse().ok());
    let wanted = args.batch_size.max(set);
    let limit = settings.batch_max_bytes().filter(|limit| wanted > Some(*limit));
    let capped = limit.map(|limit| {
        format!("batches are limited to {limit} bytes, since the embedded broker loses larger ones")
    });
    let unacknowledged = (config.get("acks") == Some("0")).then(|| {
        "with --acks 0 a message counts as acknowledged once it is sent: publish latency and \
         throughput say nothing about the broker"
            .to_owned()
    });
    capped.into_iter().chain(unacknowledged).collect()
}

pub(crate) fn in_flight_max(producer: &ProducerArgs, messages: &MessageSpec) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    let by_memory = (IN_FLIGHT_MAX_BYTES as f64 / mean_bytes(messages).max(1.0)) as u32;
    producer.in_flight.unwrap_or(IN_FLIGHT_DEFAULT.min(by_memory).max(16))
}

/// Mean size of a message, without its key.
pub(crate) fn mean_bytes(messages: &MessageSpec) -> f64 {
    match &messages.content {
        Content::Generated { sizes, .. } => sizes.mean_bytes(),
        Content::Records(records) => records.max_bytes() as f64,
    }
}

/// The common settings of the producers of a run.
pub(crate) struct Producers<'a> {
    count: u32,
    config: &'a KafkaConfig,
    plan: SendPlan,
}

impl<'a> Producers<'a> {
    pub(crate) fn new(args: &ProducerArgs, config: &'a KafkaConfig, workload: &Workload) -> Self {
        let transaction = args.transactional.then_some(TransactionPlan {
            messages: args.transaction_size,
            age_max_ns: TRANSACTION_AGE_MAX_NS,
            abort_every: args.abort_every,
        });
        let rate = workload.schedule.peak_rate_per_s().map(|rate_per_s| {
            let messages_per_s = rate_per_s / f64::from(args.producers);
            let bytes_per_s = messages_per_s * mean_bytes(&workload.messages).max(1.0);
            SendRate { messages_per_s, bytes_per_s }
        });
        Self { count: args.producers, config, plan: SendPlan { transaction, rate } }
    }
}

pub(crate) fn connect_publishers(
    cluster: &Cluster,
    topic: &str,
    producers: &Producers<'_>,
    clock: SystemClock,
    run: RunId,
    shutdown: &Shutdown,
) -> Result<Vec<KafkaPublisher>> {
    let &Producers { count, config, plan } = producers;
    let mut publishers = Vec::new();
    for index in 0..count {
        let mut config = cluster.client(config);
        if plan.transaction.is_some() {
            config.set_default(TRANSACTIONAL_ID, format!("kafka-prodcon-{run}-{index}"));
        }
        // One producer is enough: all have the same settings.
        if index == 0 {
            config.set_default(STATISTICS_INTERVAL, STATISTICS_INTERVAL_MS.to_string());
        }
        let (topic, timeout, asked) = (topic.to_owned(), cluster.timeout(), shutdown.clone());
        let mut publisher = shutdown.interruptible("the producers connected", move || {
            let cancelled = || asked.is_requested();
            KafkaPublisher::connect_unless(cancelled, &config, &topic, clock, plan, timeout)
        })??;
        if let Some(ended) = cluster.broker_ended() {
            publisher.watch_broker(ended);
        }
        publishers.push(publisher);
    }
    Ok(publishers)
}

/// The settings of the producers. Options override a properties file; defaults apply last.
pub(crate) fn config(
    settings: &Settings,
    args: &ProducerArgs,
    messages: &MessageSpec,
) -> Result<KafkaConfig> {
    let mut config = settings.config.clone();
    let mut given = |name, value: Option<String>, option| {
        if let Some(value) = value {
            config.set_by_option(name, value, option);
        }
    };
    given(BATCH_SIZE, args.batch_size.map(|size| size.to_string()), "--batch-size");
    given("acks", args.acks.map(|acks| acks.property().to_owned()), "--acks");
    let compression = args.compression.map(|codec| codec.property().to_owned());
    given("compression.codec", compression, "--compression");
    let linger = args.linger.map(|linger| (linger.as_secs_f64() * 1e3).to_string());
    given("linger.ms", linger, "--linger");
    let requests = args.requests_in_flight.map(|requests| requests.to_string());
    given(REQUESTS_IN_FLIGHT, requests, "--requests-in-flight");
    let enabled = |option: bool| option.then(|| "true".to_owned());
    given("enable.idempotence", enabled(args.idempotent), "--idempotent");
    given("enable.idempotence", enabled(args.transactional), "--transactional");
    let mut config = settings.producer(config)?;
    set_derived(&mut config, args, messages);
    Ok(config)
}

/// Sets properties that depend on batch and message sizes, unless they are set.
fn set_derived(config: &mut KafkaConfig, args: &ProducerArgs, messages: &MessageSpec) {
    config.set_default(REQUESTS_IN_FLIGHT, REQUESTS_IN_FLIGHT_DEFAULT.to_string());
    config.set_default(BATCH_SIZE, BATCH_SIZE_DEFAULT.to_string());
    let batch_size = config.get(BATCH_SIZE).and_then(|size| size.parse().ok());
    let batch_size: u64 = batch_size.unwrap_or(BATCH_SIZE_DEFAULT);
    let in_flight = u64::from(in_flight_max(args, messages));
    // A request holds a batch and its framing; never below the library's default.
    let largest = batch_size.max(messages.largest_bytes() as u64).saturating_add(1_024);
    let smallest = messages.format.smallest_bytes().max(1) as u64;
    for (name, value) in [
        // The library also limits the number of messages in a batch; the size should be the
        // effective limit.
        ("batch.num.messages", (batch_size / smallest).clamp(10_000, 1_000_000)),
        ("message.max.bytes", largest.clamp(1_000_000, 1_000_000_000)),
        // Above the engine's limit, so that the library never rejects a message.
        ("queue.buffering.max.messages", in_flight * 2 + 1_000),
    ] {
        config.set_default(name, value.to_string());
    }
}
