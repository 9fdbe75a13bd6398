//! Latency, throughput and audit of what is read.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use bench_cli::{
    Exit, Measurement, Shutdown, StartedRun, Surroundings, UsageError, acked_in, options_in_force,
};
use bench_core::audit::{AckLedger, Expected};
use bench_core::clock::{Clock as _, SystemClock, duration_ns};
use bench_core::counts::Counts;
use bench_core::durations::Durations;
use bench_core::engine::{ConsumerConfig, Plan};
use bench_core::message::RunId;
use bench_core::results::Guarantee;
use bench_core::transport::NoConnection;
use clap::{ArgMatches, CommandFactory};

use crate::expect::{Expectation, Expecting};
use crate::options::{EndArgs, Options};
use crate::source::{Connected, Source};

/// Reads what is in the stream, or what comes, and says how it went.
pub(crate) fn measure(options: &Options, matches: &ArgMatches) -> Result<Exit> {
    options.end.check()?;
    let interval_ns = options.run.interval_ns()?;
    let sent = options.audit.from_run.as_deref().map(acked_in).transpose()?;
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
        plan: Plan::receiving(run, clock.now_ns(), interval_ns, expected, consumer),
        publishers: Vec::<NoConnection>::new(),
        receivers: Expecting::all(receivers, expectation, end.drain_timeout, clock),
        ledger,
        backlog_max_bytes: None,
        warnings: Vec::new(),
        counts,
        durations: Durations::default(),
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
