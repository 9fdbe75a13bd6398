//! The mode that only receives.

use anyhow::{Context, Result};
use bench_cli::{AckedRun, Exit, Measurement, Shutdown, UsageError, acked_in, check_limits};
use bench_core::clock::{Clock as _, InstantNs, SystemClock, duration_ns};
use bench_core::durations::Durations;
use bench_core::engine::{ConsumerConfig, Plan};
use bench_core::message::RunId;
use bench_core::results::Produced;
use bench_kafka::config::KafkaConfig;
use bench_kafka::{KafkaReceiver, StartOffset};
use bench_query::{Query, Subject, Tool};
use clap::ArgMatches;

use crate::clients;
use crate::cluster::Cluster;
use crate::consumers::{self, await_assignment, connect, connect_alone, take_partitions};
use crate::kills::{self, Follow};
use crate::landing::{self, Landing};
use crate::options::{DrainArgs, From, Options};
use crate::session::{Clients, Session};
use crate::settings::Settings;

/// Receives what is in the topic, or what comes.
pub(crate) fn drain(options: &Options, args: &DrainArgs, matches: &ArgMatches) -> Result<Exit> {
    if args.messages == Some(0) {
        let remedy = "name at least 1";
        return Err(UsageError::new("--messages", "0 messages measure nothing", remedy).into());
    }
    let interval_ns = args.run.interval_ns()?;
    let sent = args.from_run.as_deref().map(acked_in).transpose()?;
    let shutdown = Shutdown::install().context("failed to listen for signals")?;
    let settings = Settings::new(&options.connection)?;
    let (group, from) = (settings.group(args.group.as_deref()), settings.from(args.from));
    let config = consumer_config(&settings, args, group.as_deref())?;
    let cluster = Cluster::named(&settings, "drain", &shutdown)?;
    let landing = Landing::find(&args.consumer, &options.table_connection, &cluster, &shutdown)?;
    let starts = cluster.starts(&args.topic, from)?;
    let mut warnings = Vec::new();
    if sent.is_some() {
        cluster.refuse_compacted(&args.topic)?;
    } else if args.query.query.is_none() && cluster.is_compacted(&args.topic)? {
        warnings.push(format!(
            "topic '{}' is compacted: gaps in the sequence numbers are no loss",
            args.topic
        ));
    }
    let count = args.consumer.consumers as usize;
    // One without a partition would never know that it is at the end.
    let working = count.min(starts.len());
    if working < count {
        warnings.push(format!(
            "{working} consumers instead of {count}: the topic has no more partitions"
        ));
    }
    let read = clients::consumers(
        &options.connection,
        u32::try_from(working).unwrap_or(u32::MAX),
        None,
        cluster.target(u32::try_from(starts.len()).unwrap_or(u32::MAX)),
    )?;
    warnings.extend(check_limits(&[read])?);
    let follow = if args.follow { Follow::Yes } else { Follow::No };
    let kills = kills::check(&config, &args.consumer, working, group.is_some(), follow)?;
    let clock = SystemClock::new();
    let readers = Readers {
        args,
        cluster: &cluster,
        config: cluster.client(&config),
        in_group: group.is_some(),
        working,
        starts: &starts,
    };
    if let Some(field) = &args.query.query {
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        let receivers = readers.connect(clock, &shutdown)?;
        return query(options, args, receivers, clock, &shutdown, field);
    }
    let run = RunId::random();
    let run_args = &args.run;
    let clients = Clients::of_readers(&config, group.clone(), from);
    let session = Session {
        options,
        run_args,
        matches,
        cluster: &cluster,
        clients: &clients,
        landing: landing.as_ref(),
        run,
        clock,
        shutdown: shutdown.clone(),
    };
    session.carry_out(|| {
        if let Some(landing) = &landing {
            landing.prepare_table()?;
        }
        let receivers = readers.connect(clock, &shutdown)?;
        let (expected, ledger, partial) = AckedRun::expectation(sent, &mut warnings);
        let config = &readers.config;
        let guarantee = consumers::guarantee(config, args.consumer.exactly_once);
        let start_ns = clock.now_ns();
        let consumer = ConsumerConfig { guarantee, ..end(args, start_ns) };
        let plan = Plan::receiving(run, start_ns, interval_ns, expected, consumer);
        let receivers = kills::killable(receivers, config, &args.topic, clock, start_ns, &kills);
        Ok(Measurement {
            plan,
            publishers: Vec::new(),
            receivers: landing::consumers(receivers, landing.as_ref(), clock)?,
            ledger,
            partial,
            unanswered_max: Produced::UNANSWERED_MAX_DEFAULT,
            backlog_max_bytes: None,
            warnings,
            counts: landing.as_ref().map(|landing| landing.counts.clone()).unwrap_or_default(),
            durations: Durations::default(),
        })
    })
}

/// Prints the statistics of `field`.
fn query(
    options: &Options,
    args: &DrainArgs,
    receivers: Vec<KafkaReceiver>,
    clock: SystemClock,
    shutdown: &Shutdown,
    field: &str,
) -> Result<Exit> {
    let query = Query {
        tool: Tool { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") },
        args: &args.query,
        subject: Subject { kind: "topic", name: &args.topic },
        receivers,
        consumer: end(args, clock.now_ns()),
        records_max: args.messages,
        shutdown,
        clock,
        output: options.output.output,
    };
    query.carry_out(field)
}

/// Consumers that are to be connected.
struct Readers<'a> {
    args: &'a DrainArgs,
    cluster: &'a Cluster,
    config: KafkaConfig,
    in_group: bool,
    working: usize,
    starts: &'a [StartOffset],
}

impl Readers<'_> {
    fn connect(&self, clock: SystemClock, shutdown: &Shutdown) -> Result<Vec<KafkaReceiver>> {
        let topic = self.args.topic.as_str();
        if !self.in_group {
            let mut receivers = connect_alone(&self.config, self.working, clock)?;
            take_partitions(&mut receivers, topic, self.starts)?;
            return Ok(receivers);
        }
        let mut receivers = connect(&self.config, self.working, clock)?;
        for receiver in &mut receivers {
            receiver.join(topic)?;
        }
        // Joining may take longer than --drain-timeout, and would look like an empty topic.
        if !self.args.follow
            && let Err(error) =
                await_assignment(&mut receivers, self.cluster.timeout(), shutdown, |assigned| {
                    assigned.iter().any(|count| *count > 0)
                })
        {
            KafkaReceiver::close_all(receivers);
            return Err(error);
        }
        Ok(receivers)
    }
}

/// The settings of consumers that read as `group`, or as none.
fn consumer_config(
    settings: &Settings,
    args: &DrainArgs,
    group: Option<&str>,
) -> Result<KafkaConfig> {
    let mut config = settings.config.clone();
    match args.from {
        Some(from) => config.set_by_option("auto.offset.reset", from.property(), "--from"),
        None => config.set_default("auto.offset.reset", From::default().property()),
    }
    if let Some(isolation) = args.isolation {
        config.set_by_option("isolation.level", isolation.property(), "--isolation");
    }
    config.set("enable.partition.eof", (!args.follow).to_string());
    let config = match group {
        Some(group) => {
            settings.check_members(args.consumer.consumers)?;
            config.set("group.id", group);
            settings.consumer(config)
        }
        None => settings.consumer_alone(config),
    }?;
    config.check_consumer()?;
    Ok(config)
}

/// When the consumers stop that begin now.
fn end(args: &DrainArgs, start_ns: InstantNs) -> ConsumerConfig {
    let deadline_ns = args.duration.map(|duration| start_ns.saturating_add(duration_ns(duration)));
    // Following has no end of its own; reading what is there ends at the end, or when nothing comes.
    let drain_timeout_ns =
        if args.follow { u64::MAX } else { duration_ns(args.consumer.drain_timeout) };
    ConsumerConfig {
        raw: args.raw,
        messages_max: args.messages,
        deadline_ns,
        drain_timeout_ns,
        // A group that misses a member has not read to the end when all others have.
        stop_at_end: !args.follow && args.consumer.kill_consumer.is_empty(),
        ..ConsumerConfig::default()
    }
}
