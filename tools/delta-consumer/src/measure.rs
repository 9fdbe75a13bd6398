//! Measuring latency and throughput, and auditing what was read.

use std::path::Path;

use anyhow::{Context, Result};
use bench_cli::{
    AckedRun, Exit, Expecting, Measurement, Shutdown, StartedRun, Surroundings, acked_in,
    await_run_end, options_in_force,
};
use bench_core::audit::AckLedger;
use bench_core::clock::{Clock as _, SystemClock, duration_ns};
use bench_core::counts::Counts;
use bench_core::durations::Durations;
use bench_core::engine::{ConsumerConfig, Plan};
use bench_core::message::RunId;
use bench_core::results::Produced;
use bench_core::results::windows::WindowLength;
use bench_core::transport::NoConnection;
use clap::{ArgMatches, CommandFactory};

use crate::options::Options;
use crate::source::Source;

/// Reads the table to its end or follows it, and reports.
pub(crate) fn measure(options: &Options, matches: &ArgMatches) -> Result<Exit> {
    options.end.check()?;
    let interval_ns = interval_ns(options)?;
    let shutdown = Shutdown::install().context("failed to listen for signals")?;
    let sent = options.audit.from_run.as_deref();
    let sent = sent.map(|folder| sent_by(folder, &shutdown)).transpose()?;
    let source = Source::find(options, &shutdown)?;
    let (clock, run, counts) = (SystemClock::new(), RunId::random(), Counts::default());
    let receiver = source.try_connect(clock, &counts)?;
    let windows = options.windows.file()?;
    let mut record = options.run.start(started(matches, &source, run))?;
    let connected = match receiver {
        Some(receiver) => Ok(receiver),
        None => source.wait_and_connect(clock, &counts, &shutdown),
    };
    let receiver = match connected {
        Ok(receiver) => receiver,
        Err(error) => {
            record.fail(&error);
            return Err(error);
        }
    };
    let run_dir = record.folder_mut().path().to_owned();
    let mut warnings: Vec<String> = source.warning().into_iter().collect();
    let (expected, ledger, partial) = AckedRun::expectation(sent, &mut warnings);
    let end = &options.end;
    let consumer = ConsumerConfig {
        raw: options.audit.raw,
        messages_expected: end.expected,
        guarantee: options.audit.guarantee(),
        ..end.consumer_config(clock)
    };
    let expectation = end.expectation(ledger.as_ref().map_or(0, AckLedger::len));
    let measurement = Measurement {
        plan: Plan::receiving(run, clock.now_ns(), interval_ns, expected, consumer),
        publishers: Vec::<NoConnection>::new(),
        receivers: Expecting::all(vec![receiver], expectation, end.drain_timeout, clock),
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
    match windows.map(|windows| windows.write(&run_dir)) {
        Some(Err(error)) => exit.and(Err(error)),
        _ => exit,
    }
}

/// Length of an interval, nanoseconds: windows consist of whole intervals.
fn interval_ns(options: &Options) -> Result<u64> {
    let interval_ns = options.run.interval_ns()?;
    Ok(match options.windows.length() {
        WindowLength::Time(window) => interval_ns.min(duration_ns(window)),
        WindowLength::Messages(_) => interval_ns,
    })
}

fn started(matches: &ArgMatches, source: &Source, run: RunId) -> StartedRun {
    let mut recorded = options_in_force(&Options::command(), matches);
    let mut set = |name: &str, value: String| recorded.insert(name.to_owned(), value.into());
    set("lake-path", source.uri());
    set("poll-interval", format!("{}ms", source.poll_interval().as_secs_f64() * 1e3));
    set("wait-for-table", format!("{}s", source.wait_for_table().as_secs_f64()));
    recorded.remove("autocommit-duration-ms");
    StartedRun {
        tool: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        run,
        options: recorded,
        services: vec![source.service.clone()],
        versions: bench_delta::VERSIONS.map(|(name, of)| (name.to_owned(), of.to_owned())).into(),
    }
}

/// The messages that the run with its results in `folder` had acknowledged when it ended.
fn sent_by(folder: &Path, shutdown: &Shutdown) -> Result<AckedRun> {
    await_run_end(folder, shutdown)?;
    Ok(acked_in(folder)?)
}
