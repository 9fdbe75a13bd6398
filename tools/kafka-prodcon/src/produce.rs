//! The modes that produce: `fill`, and producing and consuming at once.

use anyhow::Result;
use bench_cli::{Amount, Exit, Invocation, Measurement, Workload, check_limits};
use bench_core::audit::Expected;
use bench_core::clock::{SystemClock, duration_ns};
use bench_core::engine::{ConsumerConfig, Plan};
use bench_core::message::{MessageFormat, RunId};
use bench_kafka::config::KafkaConfig;

use crate::clients;
use crate::cluster::{Cluster, ClusterSize};
use crate::consumers::{self, connect_receivers};
use crate::kills;
use crate::landing::{self, Landing};
use crate::options::{FillArgs, Options, ProducerArgs};
use crate::producers::{
    self, Producers, check, check_for_embedded, check_for_landing, connect_publishers,
    in_flight_max,
};
use crate::session::{Clients, Session};
use crate::settings::Settings;

/// The amount by default, as in the original script.
pub(crate) const AMOUNT_DEFAULT: Amount = Amount::Messages(10_000);

/// Messages that a producer hands over per call.
const BATCH_MAX: usize = 256;

/// Produces and consumes at once.
pub(crate) fn produce_and_consume(options: &Options, invocation: &Invocation) -> Result<Exit> {
    let workload = options.workload.workload()?;
    check(&options.producer, &workload)?;
    let interval_ns = options.run.interval_ns()?;
    let settings = Settings::new(&options.connection)?;
    check_for_embedded(&settings, options, &workload)?;
    check_for_landing(&options.consumer.land, &workload)?;
    let consumers = options.consumer.consumers;
    let shutdown = &invocation.shutdown;
    let wanted =
        options.topic.partitions.unwrap_or_else(|| options.producer.producers.max(consumers));
    let room = |target| -> Result<Option<String>> {
        let sent = Some(&workload);
        let producers = clients::producers(&options.producer, &workload, target);
        let consumers = clients::consumers(&options.connection, consumers, sent, target)?;
        Ok(check_limits(&[producers, consumers])?)
    };
    // Before an embedded broker starts, which inherits this process's limits.
    room(ClusterSize::embedded(wanted))?;
    let run = RunId::random();
    let (producer_config, consumer_config) = configs(&settings, options, &workload, run)?;
    let kills = kills::check(
        &consumer_config,
        &options.consumer,
        consumers as usize,
        !options.no_group,
        Some(options.drain.drain_timeout),
    )?;
    let cluster = Cluster::named_or_embedded(&settings, shutdown)?;
    let crowded = room(cluster.target(wanted))?;
    cluster.refuse_compacted(&options.topic.topic)?;
    let landing = Landing::find(&options.consumer, &options.table_connection, &cluster, shutdown)?;
    let clock = SystemClock::new();
    let clients = Clients {
        producer: Some(producer_config.clone()),
        consumer: Some(consumer_config.clone()),
        group: settings.group(options.group.as_deref()).filter(|_| !options.no_group),
        from: None,
    };
    let session = Session {
        invocation,
        run_args: &options.run,
        output: options.output.format,
        cluster: &cluster,
        clients: &clients,
        landing: landing.as_ref(),
        run,
        clock,
    };
    session.measure(|| {
        let topic = cluster.prepare_topic(&options.topic, wanted)?;
        let settings_in_force = cluster.settings_in_force(&options.topic.topic)?;
        let mut warnings: Vec<String> = topic.warning.into_iter().collect();
        if consumers > topic.partitions {
            warnings.push(format!(
                "{} of {consumers} consumers have no partition to read",
                consumers - topic.partitions
            ));
        }
        warnings.extend(crowded);
        warnings.extend(producers::warnings(&settings, &options.producer, &producer_config));
        let publishers = connect_publishers(
            &cluster,
            &options.topic.topic,
            &Producers::new(&options.producer, &producer_config, &workload),
            clock,
            run,
            shutdown,
        )?;
        let config = cluster.client(&consumer_config);
        let receivers = connect_receivers(&cluster, &config, options, clock, shutdown)?;
        let consumer = ConsumerConfig {
            raw: workload.messages.format == MessageFormat::Raw,
            drain_timeout_ns: options.drain.drain_timeout_ns(),
            guarantee: consumers::guarantee(&config, options.exactly_once),
            ..ConsumerConfig::default()
        };
        let plan = plan(&workload, &options.producer, consumer, clock, interval_ns, run);
        let start_ns = plan.timeline.start_ns;
        let topic = &options.topic.topic;
        let receivers = kills::killable(receivers, &config, topic, clock, start_ns, &kills);
        let receivers = landing::consumers(receivers, landing.as_ref(), clock)?;
        Ok(Measurement {
            unanswered_max: workload.unanswered_max,
            backlog_max_bytes: cluster.backlog_max_bytes(),
            warnings,
            settings_in_force,
            ..Measurement::new(plan, publishers, receivers)
        })
    })
}

/// The settings of producers and consumers, checked before anything is connected.
fn configs(
    settings: &Settings,
    options: &Options,
    workload: &Workload,
    run: RunId,
) -> Result<(KafkaConfig, KafkaConfig)> {
    let producer = producers::config(settings, &options.producer, &workload.messages)?;
    producers::check_config(&options.producer, &producer, &workload.messages)?;
    let consumer = consumers::config(settings, options, run)?;
    consumer.check_consumer()?;
    if !options.no_group {
        settings.check_members(options.consumer.consumers)?;
    }
    Ok((producer, consumer))
}

/// Produces only.
pub(crate) fn fill(options: &Options, fill: &FillArgs, invocation: &Invocation) -> Result<Exit> {
    let workload = fill.workload.workload()?;
    check(&fill.producer, &workload)?;
    let interval_ns = fill.run.interval_ns()?;
    let shutdown = &invocation.shutdown;
    let settings = Settings::new(&options.connection)?;
    let config = producers::config(&settings, &fill.producer, &workload.messages)?;
    producers::check_config(&fill.producer, &config, &workload.messages)?;
    let cluster = Cluster::named(&settings, "fill", shutdown)?;
    let wanted = fill.topic.partitions.unwrap_or(fill.producer.producers);
    let producers = clients::producers(&fill.producer, &workload, cluster.target(wanted));
    let crowded = check_limits(&[producers])?;
    cluster.refuse_compacted(&fill.topic.topic)?;
    let clock = SystemClock::new();
    let run = RunId::random();
    let clients =
        Clients { producer: Some(config.clone()), consumer: None, group: None, from: None };
    let session = Session {
        invocation,
        run_args: &fill.run,
        output: options.output.format,
        cluster: &cluster,
        clients: &clients,
        landing: None,
        run,
        clock,
    };
    session.measure(|| {
        let topic = cluster.prepare_topic(&fill.topic, wanted)?;
        let settings_in_force = cluster.settings_in_force(&fill.topic.topic)?;
        let mut warnings: Vec<String> = topic.warning.into_iter().collect();
        warnings.extend(crowded);
        warnings.extend(producers::warnings(&settings, &fill.producer, &config));
        let publishers = connect_publishers(
            &cluster,
            &fill.topic.topic,
            &Producers::new(&fill.producer, &config, &workload),
            clock,
            run,
            shutdown,
        )?;
        let plan =
            plan(&workload, &fill.producer, ConsumerConfig::default(), clock, interval_ns, run);
        Ok(Measurement {
            unanswered_max: workload.unanswered_max,
            warnings,
            settings_in_force,
            ..Measurement::new(plan, publishers, Vec::new())
        })
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
    Plan {
        run,
        schedule: workload.schedule,
        limit: workload.limit(AMOUNT_DEFAULT),
        messages: workload.messages.clone(),
        timeline: workload.timeline(clock, interval_ns),
        in_flight_max: in_flight_max(producer, &workload.messages),
        batch_max: BATCH_MAX,
        grace_ns: duration_ns(producer.grace),
        expected: Expected::Run(run),
        consumer,
    }
}
