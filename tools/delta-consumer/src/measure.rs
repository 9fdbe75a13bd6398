//! Latency, throughput and audit of the messages that are read.

use std::path::PathBuf;

use anyhow::Result;
use bench_cli::{Exit, Invocation, Measurement, StartedRun};
use bench_core::clock::{SystemClock, duration_ns};
use bench_core::counts::Counts;
use bench_core::message::RunId;
use bench_record::windows::WindowLength;

use crate::options::Options;
use crate::source::Source;

/// Reads the table and measures.
pub(crate) fn measure(options: &Options, invocation: &Invocation) -> Result<Exit> {
    let interval_ns = interval_ns(options)?;
    let shutdown = &invocation.shutdown;
    let required = options.reader.expect.required(shutdown)?;
    let source = Source::find(options, shutdown)?;
    let (clock, run, counts) = (SystemClock::new(), RunId::random(), Counts::default());
    let receiver = source.try_connect(clock, &counts)?;
    let windows = options.windows.file()?;
    let started = started(invocation, &source, run);
    // Empty until the measurement starts.
    let mut run_dir = PathBuf::new();
    let exit = invocation.measure(&options.run, options.output.format, started, clock, |folder| {
        let receiver = match receiver {
            Some(receiver) => receiver,
            None => source.wait_and_connect(clock, &counts, shutdown)?,
        };
        let consumer = options.reader.consumer_config(&required, clock);
        let receivers = vec![receiver];
        let mut measurement =
            Measurement::receiving(run, clock, interval_ns, required, consumer, receivers);
        measurement.warnings.splice(..0, source.warning());
        folder.clone_into(&mut run_dir);
        Ok(Measurement { counts, ..measurement })
    });
    match windows.filter(|_| !run_dir.as_os_str().is_empty()).map(|file| file.write(&run_dir)) {
        Some(Err(error)) => exit.and(Err(error)),
        _ => exit,
    }
}

/// Length of an interval, nanoseconds: a window consists of whole intervals.
fn interval_ns(options: &Options) -> Result<u64> {
    let interval_ns = options.run.interval_ns()?;
    Ok(match options.windows.length() {
        WindowLength::Time(window) => interval_ns.min(duration_ns(window)),
        WindowLength::Messages(_) => interval_ns,
    })
}

fn started(invocation: &Invocation, source: &Source, run: RunId) -> StartedRun {
    let mut started = invocation.started(run, vec![source.service.clone()]);
    let mut set = |name: &str, value: String| started.options.insert(name.to_owned(), value.into());
    set("lake-path", source.uri());
    set("poll-interval", format!("{}ms", source.poll_interval().as_secs_f64() * 1e3));
    set("wait-for-table", format!("{}s", source.wait_for_table().as_secs_f64()));
    started.options.remove("autocommit-duration-ms");
    started.versions =
        bench_delta::VERSIONS.map(|(name, of)| (name.to_owned(), of.to_owned())).into();
    started
}
