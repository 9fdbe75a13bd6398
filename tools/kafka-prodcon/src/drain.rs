//! The mode that only receives.

use anyhow::{Context, Result};
use bench_cli::{AckedRun, Exit, Measurement, Shutdown, UsageError, acked_in, check_limits};
use bench_core::audit::Expected;
use bench_core::clock::{Clock as _, SystemClock, duration_ns};
use bench_core::durations::Durations;
use bench_core::engine::{ConsumerConfig, Plan};
use bench_core::message::RunId;
use bench_core::results::{Guarantee, Produced};
use bench_kafka::KafkaReceiver;
use bench_kafka::config::KafkaConfig;
use clap::ArgMatches;

use crate::clients;
use crate::cluster::Cluster;
use crate::consumers::{self, await_assignment, connect, connect_alone, take_partitions};
use crate::kills::{self, Follow};
use crate::landing::{Consumer, Landing};
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
    } else if cluster.is_compacted(&args.topic)? {
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
        let config = cluster.client(&config);
        let mut receivers;
        if group.is_some() {
            receivers = connect(&config, working, clock)?;
            for receiver in &mut receivers {
                receiver.join(&args.topic)?;
            }
            // Joining may take longer than --drain-timeout, and would look like an empty topic.
            if !args.follow
                && let Err(error) =
                    await_assignment(&mut receivers, cluster.timeout(), &shutdown, |assigned| {
                        assigned.iter().any(|count| *count > 0)
                    })
            {
                KafkaReceiver::close_all(receivers);
                return Err(error);
            }
        } else {
            receivers = connect_alone(&config, working, clock)?;
            take_partitions(&mut receivers, &args.topic, &starts)?;
        }
        let (expected, ledger, partial) = AckedRun::expectation(sent, &mut warnings);
        let guarantee = consumers::guarantee(&config, args.consumer.exactly_once);
        let plan = plan(args, clock, interval_ns, run, expected, guarantee);
        let start_ns = plan.timeline.start_ns;
        let receivers = kills::mortal(receivers, &config, &args.topic, clock, start_ns, &kills);
        Ok(Measurement {
            plan,
            publishers: Vec::new(),
            receivers: Consumer::all(receivers, landing.as_ref(), clock)?,
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

fn plan(
    args: &DrainArgs,
    clock: SystemClock,
    interval_ns: u64,
    run: RunId,
    expected: Expected,
    guarantee: Guarantee,
) -> Plan {
    let start_ns = clock.now_ns();
    let deadline_ns = args.duration.map(|duration| start_ns.saturating_add(duration_ns(duration)));
    // Following has no end of its own; reading what is there ends at the end, or when nothing comes.
    let drain_timeout_ns =
        if args.follow { u64::MAX } else { duration_ns(args.consumer.drain_timeout) };
    let consumer = ConsumerConfig {
        raw: args.raw,
        messages_max: args.messages,
        messages_expected: None,
        deadline_ns,
        drain_timeout_ns,
        // A group that misses a member has not read to the end when all others have.
        stop_at_end: !args.follow && args.consumer.kill_consumer.is_empty(),
        guarantee,
        unordered: false,
    };
    Plan::receiving(run, start_ns, interval_ns, expected, consumer)
}
