//! The modes that send: `fill`, and producing and consuming at once.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bench_cli::{Amount, Exit, Measurement, Shutdown, UsageError, Workload};
use bench_core::audit::Expected;
use bench_core::clock::{Clock as _, SystemClock};
use bench_core::engine::{ConsumerConfig, Plan, Timeline};
use bench_core::message::{
    Content, MESSAGE_BYTES_MAX, MessageFormat, MessageSpec, RunId, SizeDistribution, SizeSampler,
};
use bench_core::pacing::Limit;
use bench_kafka::{KafkaPublisher, KafkaReceiver, StartOffset, TransactionSize};
use clap::ArgMatches;

use crate::cluster::Cluster;
use crate::options::{Acks, FillArgs, From, Options, ProducerArgs};
use crate::session::{Session, duration_ns};

/// What is sent when no number and no time is given, as the original script did.
const AMOUNT_DEFAULT: Amount = Amount::Messages(10_000);

/// Messages without an answer at which a producer waits, unless they are large.
const IN_FLIGHT_DEFAULT: u32 = 100_000;

/// Memory that those messages may take in the client library: half of its default limit, so that it
/// never refuses one.
const IN_FLIGHT_MAX_BYTES: u64 = 512 << 20;

/// Messages that a producer hands over at once.
const BATCH_MAX: usize = 256;

/// A transaction with too few messages is committed after so long.
const TRANSACTION_AGE_MAX_NS: u64 = 100_000_000;

/// Time between setting up and the first message, for the threads to start.
const START_DELAY_NS: u64 = 20_000_000;

/// The longest time that the client library takes for `--linger`.
const LINGER_MAX: Duration = Duration::from_mins(15);

/// Longest time for a group to share out its partitions.
const JOIN_TIMEOUT: Duration = Duration::from_mins(1);

/// Produces and consumes at once.
pub(crate) fn produce_and_consume(options: &Options, matches: &ArgMatches) -> Result<Exit> {
    let workload = options.workload.workload()?;
    check(&options.producer, &workload)?;
    let interval_ns = options.run.interval_ns()?;
    let shutdown = Shutdown::install().context("failed to listen for signals")?;
    let cluster = Cluster::named_or_embedded(&options.connection)?;
    check_for_embedded(&cluster, &workload)?;
    let consumers = options.consumer.consumers;
    let wanted =
        options.topic.partitions.unwrap_or_else(|| options.producer.producers.max(consumers));
    let clock = SystemClock::new();
    let run = RunId::random();
    let session = Session {
        options,
        run_args: &options.run,
        matches,
        cluster: &cluster,
        run,
        clock,
        shutdown: shutdown.clone(),
    };
    session.carry_out(|| {
        let topic = cluster.prepare_topic(&options.topic, wanted)?;
        let mut warnings: Vec<String> = topic.warning.into_iter().collect();
        if consumers > topic.partitions {
            warnings.push(format!(
                "{} of {consumers} consumers have no partition to read",
                consumers - topic.partitions
            ));
        }
        warnings.extend(acks_warning(&options.producer));
        warnings.extend(batch_warning(&cluster, &options.producer));
        let publishers = connect_publishers(
            &cluster,
            &options.topic.topic,
            &options.producer,
            &workload.messages,
            clock,
            &run.to_string(),
        )?;
        let receivers = connect_receivers(&cluster, options, &run.to_string(), clock, &shutdown)?;
        let raw = workload.messages.format == MessageFormat::Raw;
        let consumer = ConsumerConfig {
            raw,
            // Without headers there is no audit to tell when all has come; the number does.
            messages_max: match workload.amount.unwrap_or(AMOUNT_DEFAULT) {
                Amount::Messages(messages) if raw => Some(messages),
                _ => None,
            },
            deadline_ns: None,
            drain_timeout_ns: duration_ns(options.consumer.drain_timeout),
            stop_at_end: false,
        };
        let plan = plan(&workload, &options.producer, consumer, clock, interval_ns, run);
        let backlog_max_bytes = cluster.backlog_max_bytes();
        Ok(Measurement { plan, publishers, receivers, ledger: None, backlog_max_bytes, warnings })
    })
}

/// Produces only.
pub(crate) fn fill(options: &Options, fill: &FillArgs, matches: &ArgMatches) -> Result<Exit> {
    let workload = fill.workload.workload()?;
    check(&fill.producer, &workload)?;
    let interval_ns = fill.run.interval_ns()?;
    let shutdown = Shutdown::install().context("failed to listen for signals")?;
    let cluster = Cluster::named(&options.connection, "fill")?;
    let wanted = fill.topic.partitions.unwrap_or(fill.producer.producers);
    let clock = SystemClock::new();
    let run = RunId::random();
    let run_args = &fill.run;
    let session = Session { options, run_args, matches, cluster: &cluster, run, clock, shutdown };
    session.carry_out(|| {
        let topic = cluster.prepare_topic(&fill.topic, wanted)?;
        let mut warnings: Vec<String> = topic.warning.into_iter().collect();
        warnings.extend(acks_warning(&fill.producer));
        let publishers = connect_publishers(
            &cluster,
            &fill.topic.topic,
            &fill.producer,
            &workload.messages,
            clock,
            &run.to_string(),
        )?;
        let consumer = ConsumerConfig {
            raw: false,
            messages_max: None,
            deadline_ns: None,
            drain_timeout_ns: 0,
            stop_at_end: false,
        };
        let plan = plan(&workload, &fill.producer, consumer, clock, interval_ns, run);
        Ok(Measurement {
            plan,
            publishers,
            receivers: Vec::new(),
            ledger: None,
            backlog_max_bytes: None,
            warnings,
        })
    })
}

/// Checks what no single option can.
fn check(producer: &ProducerArgs, workload: &Workload) -> Result<(), UsageError> {
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
fn check_for_embedded(cluster: &Cluster, workload: &Workload) -> Result<(), UsageError> {
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

fn batch_warning(cluster: &Cluster, producer: &ProducerArgs) -> Option<String> {
    let limit = cluster.batch_max_bytes().filter(|limit| producer.batch_size > *limit)?;
    Some(format!("batches have at most {limit} bytes, since the embedded broker loses larger ones"))
}

fn acks_warning(producer: &ProducerArgs) -> Option<String> {
    (producer.acks == Acks::None).then(|| {
        "with --acks 0 a message counts as confirmed when it has left: publish latency and \
         throughput say nothing about the broker"
            .to_owned()
    })
}

fn plan(
    workload: &Workload,
    producer: &ProducerArgs,
    consumer: ConsumerConfig,
    clock: SystemClock,
    interval_ns: u64,
    run: RunId,
) -> Plan {
    let warm_up_ns = duration_ns(workload.warm_up);
    let start_ns = clock.now_ns() + START_DELAY_NS;
    Plan {
        run,
        schedule: workload.schedule,
        limit: match workload.amount.unwrap_or(AMOUNT_DEFAULT) {
            Amount::Messages(messages) => Limit::Messages(messages),
            Amount::Duration(duration) => {
                Limit::DurationNs(warm_up_ns.saturating_add(duration_ns(duration)))
            }
        },
        messages: workload.messages.clone(),
        timeline: Timeline {
            start_ns,
            warm_up_end_ns: start_ns.saturating_add(warm_up_ns),
            interval_ns,
        },
        in_flight_max: in_flight_max(producer, &workload.messages),
        batch_max: BATCH_MAX,
        grace_ns: duration_ns(producer.grace),
        expected: Expected::Run(run),
        consumer,
    }
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

fn in_flight_max(producer: &ProducerArgs, messages: &MessageSpec) -> u32 {
    let mean_bytes = match &messages.content {
        Content::Generated { sizes, .. } => sizes.mean_bytes(),
        Content::Records(records) => records.max_bytes() as f64,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    let by_memory = (IN_FLIGHT_MAX_BYTES as f64 / mean_bytes.max(1.0)) as u32;
    producer.in_flight.unwrap_or(IN_FLIGHT_DEFAULT.min(by_memory).max(16))
}

fn connect_publishers(
    cluster: &Cluster,
    topic: &str,
    args: &ProducerArgs,
    messages: &MessageSpec,
    clock: SystemClock,
    run: &str,
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

/// Consumers that begin where the topic ends now, and read every partition.
fn connect_receivers(
    cluster: &Cluster,
    options: &Options,
    run: &str,
    clock: SystemClock,
    shutdown: &Shutdown,
) -> Result<Vec<KafkaReceiver>> {
    let topic = options.topic.topic.as_str();
    let starts = cluster.starts(topic, From::Latest)?;
    let count = options.consumer.consumers as usize;
    let isolation =
        if options.producer.transactional { "read_committed" } else { "read_uncommitted" };
    let group = options.group.clone().unwrap_or_else(|| format!("kafka-prodcon-{run}"));
    let properties = [
        ("auto.offset.reset", "earliest".to_owned()),
        // The default of a second stalls a consumer that keeps up.
        ("fetch.queue.backoff.ms", "1".to_owned()),
        ("group.id", group),
        ("isolation.level", isolation.to_owned()),
    ];
    let config = cluster.client(&properties)?;
    let mut receivers = Vec::new();
    for _ in 0..count {
        receivers.push(KafkaReceiver::connect(&config, clock)?);
    }
    if options.no_group {
        take_partitions(&mut receivers, topic, &starts)?;
    } else {
        // The group goes on from where the topic ends now, whoever gets which partition and when.
        if let Some(first) = receivers.first_mut() {
            first.commit(topic, &starts)?;
        }
        for receiver in &mut receivers {
            receiver.join(topic)?;
        }
        let busy = receivers.len().min(starts.len());
        await_assignment(&mut receivers, shutdown, |assigned| {
            let reading = assigned.iter().filter(|count| **count > 0).count();
            assigned.iter().sum::<usize>() == starts.len() && reading == busy
        })?;
    }
    Ok(receivers)
}

/// Shares the partitions out evenly, without a group.
pub(crate) fn take_partitions(
    receivers: &mut [KafkaReceiver],
    topic: &str,
    starts: &[StartOffset],
) -> Result<()> {
    let count = receivers.len();
    for (index, receiver) in receivers.iter_mut().enumerate() {
        let share: Vec<StartOffset> = starts.iter().skip(index).step_by(count).copied().collect();
        if !share.is_empty() {
            receiver.take(topic, &share)?;
        }
    }
    Ok(())
}

/// Waits until the members of a group have got their partitions: `is_complete` is asked with the
/// number that each has.
pub(crate) fn await_assignment(
    receivers: &mut [KafkaReceiver],
    shutdown: &Shutdown,
    is_complete: impl Fn(&[usize]) -> bool,
) -> Result<()> {
    let deadline = Instant::now() + JOIN_TIMEOUT;
    loop {
        let assigned: Vec<usize> = receivers.iter_mut().map(KafkaReceiver::assigned).collect();
        if is_complete(&assigned) {
            return Ok(());
        }
        anyhow::ensure!(!shutdown.is_requested(), "interrupted while the consumers joined");
        anyhow::ensure!(
            Instant::now() < deadline,
            "the consumers did not get their partitions within {JOIN_TIMEOUT:?}: other members of \
             the group have them; name another --group, or none"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
