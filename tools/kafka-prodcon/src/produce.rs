//! The modes that send: `fill`, and producing and consuming at once.

use anyhow::{Context, Result};
use bench_cli::{Amount, Exit, Measurement, Shutdown, Workload, check_limits};
use bench_core::audit::Expected;
use bench_core::clock::{SystemClock, duration_ns};
use bench_core::counts::Counts;
use bench_core::durations::Durations;
use bench_core::engine::{ConsumerConfig, Plan};
use bench_core::message::{MessageFormat, RunId};
use clap::ArgMatches;

use crate::clients::{self, Target};
use crate::cluster::Cluster;
use crate::consumers::{self, connect_receivers};
use crate::kills::{self, Follow};
use crate::landing::{Consumer, Landing};
use crate::options::{FillArgs, Options, ProducerArgs};
use crate::producers::{
    self, check, check_client, check_for_embedded, check_for_landing, connect_publishers,
    in_flight_max,
};
use crate::session::Session;

/// What is sent when no number and no time is given, as the original script did.
pub(crate) const AMOUNT_DEFAULT: Amount = Amount::Messages(10_000);

/// Messages that a producer hands over at once.
const BATCH_MAX: usize = 256;

/// Produces and consumes at once.
pub(crate) fn produce_and_consume(options: &Options, matches: &ArgMatches) -> Result<Exit> {
    let workload = options.workload.workload()?;
    check(&options.producer, &workload)?;
    let interval_ns = options.run.interval_ns()?;
    let consumers = options.consumer.consumers;
    let shutdown = Shutdown::install().context("failed to listen for signals")?;
    let wanted =
        options.topic.partitions.unwrap_or_else(|| options.producer.producers.max(consumers));
    let room = |target| -> Result<Option<String>> {
        let sent = Some(&workload);
        let producers = clients::producers(&options.producer, &workload, target);
        let consumers = clients::consumers(&options.connection, consumers, sent, target)?;
        Ok(check_limits(&[producers, consumers])?)
    };
    // Before an embedded broker starts, which gets its limits from this process.
    room(Target::embedded(wanted))?;
    let cluster = Cluster::named_or_embedded(&options.connection, &shutdown)?;
    let crowded = room(cluster.target(wanted))?;
    check_for_embedded(&cluster, options, &workload)?;
    check_client(&cluster, &options.producer, &workload.messages)?;
    check_for_landing(&options.consumer.land, &workload)?;
    cluster.refuse_compacted(&options.topic.topic)?;
    let landing = Landing::find(&options.consumer, &options.table_connection, &cluster, &shutdown)?;
    let in_group = !options.no_group;
    let kills =
        kills::check(&cluster, &options.consumer, consumers as usize, in_group, Follow::No)?;
    let clock = SystemClock::new();
    let run = RunId::random();
    let session = Session {
        options,
        run_args: &options.run,
        matches,
        cluster: &cluster,
        landing: landing.as_ref(),
        run,
        clock,
        shutdown: shutdown.clone(),
    };
    session.carry_out(|| {
        if let Some(landing) = &landing {
            landing.prepare_table()?;
        }
        let topic = cluster.prepare_topic(&options.topic, wanted)?;
        let mut warnings: Vec<String> = topic.warning.into_iter().collect();
        if consumers > topic.partitions {
            warnings.push(format!(
                "{} of {consumers} consumers have no partition to read",
                consumers - topic.partitions
            ));
        }
        warnings.extend(crowded);
        warnings.extend(producers::warnings(&cluster, &options.producer));
        let publishers = connect_publishers(
            &cluster,
            &options.topic.topic,
            &options.producer,
            &workload.messages,
            clock,
            run,
            &shutdown,
        )?;
        let config = consumers::config(&cluster, options, run)?;
        let receivers = connect_receivers(&cluster, &config, options, clock, &shutdown)?;
        let consumer = ConsumerConfig {
            raw: workload.messages.format == MessageFormat::Raw,
            drain_timeout_ns: duration_ns(options.consumer.drain_timeout),
            guarantee: consumers::guarantee(&config, options.consumer.exactly_once),
            ..ConsumerConfig::default()
        };
        let plan = plan(&workload, &options.producer, consumer, clock, interval_ns, run);
        let start_ns = plan.timeline.start_ns;
        let topic = &options.topic.topic;
        let receivers = kills::mortal(receivers, &config, topic, clock, start_ns, &kills);
        let backlog_max_bytes = cluster.backlog_max_bytes();
        Ok(Measurement {
            plan,
            publishers,
            receivers: Consumer::all(receivers, landing.as_ref(), clock)?,
            ledger: None,
            partial: None,
            unanswered_max: workload.unanswered_max,
            backlog_max_bytes,
            warnings,
            counts: landing.as_ref().map(|landing| landing.counts.clone()).unwrap_or_default(),
            durations: Durations::default(),
        })
    })
}

/// Produces only.
pub(crate) fn fill(options: &Options, fill: &FillArgs, matches: &ArgMatches) -> Result<Exit> {
    let workload = fill.workload.workload()?;
    check(&fill.producer, &workload)?;
    let interval_ns = fill.run.interval_ns()?;
    let shutdown = Shutdown::install().context("failed to listen for signals")?;
    let cluster = Cluster::named(&options.connection, "fill", &shutdown)?;
    let wanted = fill.topic.partitions.unwrap_or(fill.producer.producers);
    let producers = clients::producers(&fill.producer, &workload, cluster.target(wanted));
    let crowded = check_limits(&[producers])?;
    check_client(&cluster, &fill.producer, &workload.messages)?;
    cluster.refuse_compacted(&fill.topic.topic)?;
    let clock = SystemClock::new();
    let run = RunId::random();
    let run_args = &fill.run;
    let session = Session {
        options,
        run_args,
        matches,
        cluster: &cluster,
        landing: None,
        run,
        clock,
        shutdown: shutdown.clone(),
    };
    session.carry_out(|| {
        let topic = cluster.prepare_topic(&fill.topic, wanted)?;
        let mut warnings: Vec<String> = topic.warning.into_iter().collect();
        warnings.extend(crowded);
        warnings.extend(producers::warnings(&cluster, &fill.producer));
        let publishers = connect_publishers(
            &cluster,
            &fill.topic.topic,
            &fill.producer,
            &workload.messages,
            clock,
            run,
            &shutdown,
        )?;
        let plan =
            plan(&workload, &fill.producer, ConsumerConfig::default(), clock, interval_ns, run);
        Ok(Measurement {
            plan,
            publishers,
            receivers: Vec::new(),
            ledger: None,
            partial: None,
            unanswered_max: workload.unanswered_max,
            backlog_max_bytes: None,
            warnings,
            counts: Counts::default(),
            durations: Durations::default(),
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
