//! The mode that only consumes.

use anyhow::Result;
use bench_cli::{Exit, Invocation, Measurement, Required, Shutdown, check_limits};
use bench_core::clock::{Clock as _, SystemClock};
use bench_core::engine::ConsumerConfig;
use bench_core::message::RunId;
use bench_kafka::config::KafkaConfig;
use bench_kafka::{KafkaReceiver, StartOffset};
use bench_query::{Query, Subject};

use crate::clients;
use crate::cluster::Cluster;
use crate::consumers::{self, await_assignment, connect, connect_alone, take_partitions};
use crate::kills;
use crate::landing::{self, Landing};
use crate::options::{DrainModeArgs, From, Options};
use crate::session::{Clients, Session};
use crate::settings::Settings;

/// Consumes the messages in the topic, or new ones.
pub(crate) fn drain(
    options: &Options,
    args: &DrainModeArgs,
    invocation: &Invocation,
) -> Result<Exit> {
    args.reader.check()?;
    let interval_ns = args.run.interval_ns()?;
    let expect = &args.reader.expect;
    let shutdown = &invocation.shutdown;
    let settings = Settings::new(&options.connection)?;
    let (group, from) = (settings.group(args.group.as_deref()), settings.from(args.from));
    let config = consumer_config(&settings, args, group.as_deref())?;
    let required = expect.required(shutdown)?;
    let cluster = Cluster::named(&settings, "drain", shutdown)?;
    let landing = Landing::find(&args.consumer, &options.table_connection, &cluster, shutdown)?;
    let starts = cluster.starts(&args.topic, from)?;
    let mut warnings = Vec::new();
    if required.acked.is_some() {
        cluster.refuse_compacted(&args.topic)?;
    } else if args.query.query.is_none() && cluster.is_compacted(&args.topic)? {
        warnings.push(format!(
            "topic '{}' is compacted: gaps in the sequence numbers are not losses",
            args.topic
        ));
    }
    let count = args.consumer.consumers as usize;
    // A consumer without a partition would never know that it is at the end.
    let working = count.min(starts.len());
    if working < count {
        warnings.push(format!(
            "using {working} consumers instead of {count}: the topic has only {working} partitions"
        ));
    }
    let read = clients::consumers(
        &options.connection,
        u32::try_from(working).unwrap_or(u32::MAX),
        None,
        cluster.target(u32::try_from(starts.len()).unwrap_or(u32::MAX)),
    )?;
    warnings.extend(check_limits(&[read])?);
    let drain_timeout = (!expect.follow).then_some(expect.drain.drain_timeout);
    let kills = kills::check(&config, &args.consumer, working, group.is_some(), drain_timeout)?;
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
        let query = Query {
            tool: invocation.tool,
            args: &args.query,
            subject: Subject { kind: "topic", name: &args.topic },
            receivers: readers.connect(clock, shutdown)?,
            consumer: engine_config(args, &required, clock),
            shutdown,
            clock,
            output: options.output.format,
        };
        return query.run(field);
    }
    let run = RunId::random();
    let session = Session {
        invocation,
        run_args: &args.run,
        output: options.output.format,
        cluster: &cluster,
        clients: &Clients::of_readers(&config, group.clone(), from),
        landing: landing.as_ref(),
        run,
        clock,
    };
    session.measure(|| {
        let settings_in_force = cluster.settings_in_force(&args.topic)?;
        let receivers = readers.connect(clock, shutdown)?;
        let (config, exactly_once) = (&readers.config, args.reader.exactly_once);
        let consumer = ConsumerConfig {
            guarantee: consumers::guarantee(config, exactly_once),
            ..engine_config(args, &required, clock)
        };
        let start_ns = clock.now_ns();
        let receivers = kills::killable(receivers, config, &args.topic, clock, start_ns, &kills);
        let receivers = landing::consumers(receivers, landing.as_ref(), clock)?;
        let mut measurement =
            Measurement::receiving(run, clock, interval_ns, required, consumer, receivers);
        measurement.warnings.splice(..0, warnings);
        Ok(Measurement { settings_in_force, ..measurement })
    })
}

/// The consumers to connect.
struct Readers<'a> {
    args: &'a DrainModeArgs,
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
        if !self.args.reader.expect.follow
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

/// The settings of consumers that read as `group`, or without a group.
fn consumer_config(
    settings: &Settings,
    args: &DrainModeArgs,
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
    config.set("enable.partition.eof", (!args.reader.expect.follow).to_string());
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

/// How the engine's consumers work that start now.
fn engine_config(args: &DrainModeArgs, required: &Required, clock: SystemClock) -> ConsumerConfig {
    let config = args.reader.consumer_config(required, clock);
    // While a member of the group is killed, the others may be at the end before all is read.
    let stop_at_end = config.stop_at_end && args.consumer.kill_consumer.is_empty();
    ConsumerConfig { stop_at_end, ..config }
}
