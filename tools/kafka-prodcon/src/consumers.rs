//! Connects the consumers of a run so that they miss no new message and read no old one.

use std::time::{Duration, Instant};

use anyhow::Result;
use bench_cli::{Interrupted, Shutdown};
use bench_core::clock::SystemClock;
use bench_core::message::RunId;
use bench_kafka::config::KafkaConfig;
use bench_kafka::{KafkaReceiver, StartOffset};
use bench_record::Guarantee;

use crate::cluster::Cluster;
use crate::options::{From, Isolation, Options};
use crate::settings::Settings;

/// Maximum time for a group to assign its partitions.
const JOIN_TIMEOUT: Duration = Duration::from_mins(1);

/// The settings of the consumers of a run that also produces.
pub(crate) fn config(settings: &Settings, options: &Options, run: RunId) -> Result<KafkaConfig> {
    let isolation =
        if options.producer.transactional { Isolation::Committed } else { Isolation::Uncommitted };
    let mut config = settings.config.clone();
    config.set_default("auto.offset.reset", "earliest");
    config.set_default("isolation.level", isolation.property());
    let own = format!("kafka-prodcon-{run}");
    if options.no_group {
        settings.refuse_group()?;
        return settings.consumer_alone(config);
    }
    config.set("group.id", settings.group(options.group.as_deref()).unwrap_or(own));
    settings.consumer(config)
}

/// Connects consumers that start at the topic's current end and together read every partition.
pub(crate) fn connect_receivers(
    cluster: &Cluster,
    config: &KafkaConfig,
    options: &Options,
    clock: SystemClock,
    shutdown: &Shutdown,
) -> Result<Vec<KafkaReceiver>> {
    let topic = options.topic.topic.as_str();
    if Isolation::of(config) == Isolation::Committed {
        // Otherwise latencies would include the wait for another producer's transaction.
        let (name, cancelled) = (topic.to_owned(), shutdown.clone());
        cluster.ask("waiting for an open transaction", move |admin| {
            admin.await_transactions(&name, || cancelled.is_requested())
        })??;
    }
    let starts = cluster.starts(topic, From::Latest)?;
    let count = options.consumer.consumers as usize;
    if options.no_group {
        let mut receivers = connect_alone(config, count, clock)?;
        take_partitions(&mut receivers, topic, &starts)?;
        return Ok(receivers);
    }
    let mut receivers = connect(config, count, clock)?;
    let timeout = cluster.timeout();
    match join_at(&mut receivers, topic, &starts, timeout, shutdown) {
        Ok(()) => Ok(receivers),
        Err(error) => {
            KafkaReceiver::close_all(receivers);
            Err(error)
        }
    }
}

/// Commits `starts` as the group's offsets, joins its members, and waits until all partitions are
/// assigned.
fn join_at(
    receivers: &mut [KafkaReceiver],
    topic: &str,
    starts: &[StartOffset],
    timeout: Duration,
    shutdown: &Shutdown,
) -> Result<()> {
    if let Some(first) = receivers.first_mut() {
        let committed = first.commit(topic, starts, || shutdown.is_requested());
        anyhow::ensure!(!shutdown.is_requested(), Interrupted("the consumers joined their group"));
        committed?;
    }
    for receiver in receivers.iter_mut() {
        receiver.join(topic)?;
    }
    let busy = receivers.len().min(starts.len());
    await_assignment(receivers, timeout, shutdown, |assigned| {
        let reading = assigned.iter().filter(|count| **count > 0).count();
        assigned.iter().sum::<usize>() == starts.len() && reading == busy
    })
}

/// Connects consumers that can join a group.
pub(crate) fn connect(
    config: &KafkaConfig,
    count: usize,
    clock: SystemClock,
) -> Result<Vec<KafkaReceiver>> {
    (0..count).map(|_| Ok(KafkaReceiver::connect(config, clock)?)).collect()
}

/// Connects consumers without a group, which need no permission on one.
pub(crate) fn connect_alone(
    config: &KafkaConfig,
    count: usize,
    clock: SystemClock,
) -> Result<Vec<KafkaReceiver>> {
    (0..count).map(|_| Ok(KafkaReceiver::connect_alone(config, clock)?)).collect()
}

/// The delivery guarantee of consumers with this configuration.
pub(crate) fn guarantee(config: &KafkaConfig, exactly_once: bool) -> Guarantee {
    match (exactly_once, Isolation::of(config)) {
        (true, _) => Guarantee::ExactlyOnce,
        (false, Isolation::Committed) => Guarantee::Committed,
        (false, Isolation::Uncommitted) => Guarantee::AtLeastOnce,
    }
}

/// Distributes the partitions evenly, without a group.
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

/// Waits until the members of a group have their partitions: `is_complete` is called with the
/// number that each has. If all brokers are down, waits no longer than `timeout`.
pub(crate) fn await_assignment(
    receivers: &mut [KafkaReceiver],
    timeout: Duration,
    shutdown: &Shutdown,
    is_complete: impl Fn(&[usize]) -> bool,
) -> Result<()> {
    let deadline = Instant::now() + JOIN_TIMEOUT;
    loop {
        let assigned: Vec<usize> =
            receivers.iter_mut().map(KafkaReceiver::assigned).collect::<Result<_, _>>()?;
        if is_complete(&assigned) {
            return Ok(());
        }
        anyhow::ensure!(!shutdown.is_requested(), Interrupted("the consumers joined their group"));
        if let Some(outage) = receivers.iter().find_map(|one| one.lasting_outage(timeout)) {
            anyhow::bail!("the consumers did not get their partitions: {outage}");
        }
        anyhow::ensure!(
            Instant::now() < deadline,
            "the consumers did not get their partitions within {JOIN_TIMEOUT:?}: other members of \
             the group have them; use another --group, or none"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
