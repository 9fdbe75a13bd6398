//! Measures latency and throughput, and audits the messages.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use bench_cli::{
    AckedRun, Exit, Expecting, Measurement, Shutdown, StartedRun, Surroundings, acked_in,
    options_in_force,
};
use bench_core::audit::AckLedger;
use bench_core::clock::{Clock as _, SystemClock};
use bench_core::counts::Counts;
use bench_core::durations::Durations;
use bench_core::engine::{ConsumerConfig, Plan};
use bench_core::message::RunId;
use bench_core::results::Produced;
use bench_core::transport::NoConnection;
use clap::{ArgMatches, CommandFactory};

use crate::options::Options;
use crate::source::{Connected, Source};

/// Reads the stream's records, or new ones, and reports the result.
pub(crate) fn measure(options: &Options, matches: &ArgMatches) -> Result<Exit> {
    options.end.check()?;
    let interval_ns = options.run.interval_ns()?;
    let sent = options.audit.from_run.as_deref().map(acked_in).transpose()?;
    let shutdown = Shutdown::install().context("failed to listen for signals")?;
    let source = Source::named(options, &shutdown)?;
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
    let mut warnings = Vec::new();
    let (expected, ledger, partial) = AckedRun::expectation(sent, &mut warnings);
    let consumer = ConsumerConfig {
        raw: options.audit.raw,
        guarantee: options.audit.guarantee(),
        ..options.end.consumer_config(clock)
    };
    let end = &options.end;
    let expectation = end.expectation(ledger.as_ref().map_or(0, AckLedger::len));
    let measurement = Measurement {
        plan: Plan::receiving(run, clock.now_ns(), interval_ns, expected, consumer),
        publishers: Vec::<NoConnection>::new(),
        receivers: Expecting::all(receivers, expectation, end.drain_timeout, clock),
        ledger,
        partial,
        unanswered_max: Produced::UNANSWERED_MAX_DEFAULT,
        backlog_max_bytes: None,
        warnings,
        counts,
        durations: Durations::default(),
    };
    let progress = options.log.progress();
    let around = Surroundings { clock, shutdown, progress, output: options.output.output };
    let exit = measurement.carry_out(record, around);
    drop(fan_out);
    exit
}
