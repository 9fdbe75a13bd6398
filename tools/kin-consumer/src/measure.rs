//! Latency, throughput and audit of what is read.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use bench_cli::{
    Exit, Measurement, Shutdown, StartedRun, Surroundings, UsageError, options_in_force,
};
use bench_core::audit::{AckLedger, Expected};
use bench_core::clock::{Clock as _, SystemClock, duration_ns};
use bench_core::counts::Counts;
use bench_core::engine::{ConsumerConfig, Plan, Timeline};
use bench_core::message::{
    Content, KeyDistribution, MessageFormat, MessageSpec, RunId, SizeDistribution,
};
use bench_core::pacing::{Limit, Schedule};
use bench_core::results::Guarantee;
use bench_kinesis::KinesisPublisher;
use clap::{ArgMatches, CommandFactory};

use crate::expect::{Expectation, Expecting};
use crate::options::{EndArgs, Options};
use crate::source::{Connected, Source};

/// Reads what is in the stream, or what comes, and says how it went.
pub(crate) fn measure(options: &Options, matches: &ArgMatches) -> Result<Exit> {
    options.end.check()?;
    let interval_ns = options.run.interval_ns()?;
    let sent = options.audit.from_run.as_deref().map(expected_run).transpose()?;
    let shutdown = Shutdown::install().context("failed to listen for signals")?;
    let source = Source::named(options)?;
    let (clock, run, counts) = (SystemClock::new(), RunId::random(), Counts::default());
    let record = options.run.start(StartedRun {
        tool: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        run,
        options: options_in_force(&Options::command(), matches),
        services: vec![source.service.clone()],
        versions: BTreeMap::new(),
    })?;
    let Connected { receivers, fan_out } = match source.connect(run, clock, &counts) {
        Ok(connected) => connected,
        Err(error) => {
            record.fail(&error);
            return Err(error);
        }
    };
    let (expected, ledger) = match sent {
        Some((run, ledger)) => (Expected::Run(run), Some(ledger)),
        None => (Expected::Any, None),
    };
    let consumer = ConsumerConfig {
        raw: options.audit.raw,
        guarantee: guarantee(options),
        ..options.end.consumer_config(clock)
    };
    let end = &options.end;
    let before_end = ledger.as_ref().map_or(0, AckLedger::len);
    let expectation = Expectation { required: end.expected, before_end };
    let measurement = Measurement {
        plan: plan(clock, interval_ns, run, expected, consumer),
        publishers: Vec::<KinesisPublisher>::new(),
        receivers: Expecting::all(receivers, expectation, end.drain_timeout, clock),
        ledger,
        backlog_max_bytes: None,
        warnings: Vec::new(),
        counts,
    };
    let progress = options.log.progress();
    let around = Surroundings { clock, shutdown, progress, output: options.output.output };
    let exit = measurement.carry_out(record, around);
    drop(fan_out);
    exit
}

fn guarantee(options: &Options) -> Guarantee {
    if options.audit.exactly_once { Guarantee::ExactlyOnce } else { Guarantee::AtLeastOnce }
}

impl EndArgs {
    /// Refuses what would measure nothing.
    pub(crate) fn check(&self) -> Result<(), UsageError> {
        for (option, count) in [("--messages", self.messages), ("--expected", self.expected)] {
            if count == Some(0) {
                let problem = "0 messages measure nothing";
                return Err(UsageError::new(option, problem, "name at least 1"));
            }
        }
        Ok(())
    }

    /// When the consumers stop.
    pub(crate) fn consumer_config(&self, clock: SystemClock) -> ConsumerConfig {
        let deadline_ns = |duration| clock.now_ns().saturating_add(duration_ns(duration));
        // Following has no end of its own, and what is expected is waited for elsewhere.
        let waits = self.follow || self.expected.is_some();
        ConsumerConfig {
            messages_max: self.messages.or(self.expected),
            deadline_ns: self.duration.map(deadline_ns),
            drain_timeout_ns: if waits { u64::MAX } else { duration_ns(self.drain_timeout) },
            stop_at_end: !waits,
            ..ConsumerConfig::default()
        }
    }
}

/// A plan in which nothing is sent.
pub(crate) fn plan(
    clock: SystemClock,
    interval_ns: u64,
    run: RunId,
    expected: Expected,
    consumer: ConsumerConfig,
) -> Plan {
    Plan {
        run,
        schedule: Schedule::Unpaced,
        limit: Limit::Messages(0),
        messages: MessageSpec {
            format: MessageFormat::Raw,
            content: Content::Generated {
                sizes: SizeDistribution::Fixed { size_bytes: 0 },
                compressibility: 0.0,
            },
            keys: KeyDistribution::None,
            seed: 0,
        },
        // Messages are older than the run, so no instant of theirs is in a warm-up.
        timeline: Timeline { start_ns: clock.now_ns(), warm_up_end_ns: 0, interval_ns },
        in_flight_max: 1,
        batch_max: 1,
        grace_ns: 0,
        expected,
        consumer,
    }
}

/// The run that left its results in `folder`, and what it had acknowledged.
fn expected_run(folder: &Path) -> Result<(RunId, AckLedger)> {
    let ledger = AckLedger::read(folder)
        .map_err(|error| UsageError::from_library(format!("--from-run: {error}")))?;
    let mut runs: Vec<RunId> = ledger.streams().map(|(stream, _)| stream.run).collect();
    runs.dedup();
    if let [run] = runs[..] {
        return Ok((run, ledger));
    }
    let problem = format!("{} holds the messages of {} runs", folder.display(), runs.len());
    Err(UsageError::new("--from-run", problem, "name the folder of one run").into())
}
