//! Statistics over a field of JSON records.

use anyhow::{Context, Result};
use bench_cli::{Exit, Expecting, Shutdown};
use bench_core::clock::SystemClock;
use bench_core::counts::Counts;
use bench_core::message::RunId;
use bench_query::{Query, Subject, Tool};

use crate::options::Options;
use crate::source::{Connected, Source};

/// Reads the stream and prints the statistics of `field`.
pub(crate) fn query(options: &Options, field: &str) -> Result<Exit> {
    options.end.check()?;
    let shutdown = Shutdown::install().context("failed to listen for signals")?;
    let source = Source::named(options, &shutdown)?;
    let clock = SystemClock::new();
    let Connected { receivers, fan_out } =
        source.connect(RunId::random(), clock, &Counts::default())?;
    let end = &options.end;
    let query = Query {
        tool: Tool { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") },
        args: &options.query,
        subject: Subject { kind: "stream", name: &options.reading.stream },
        receivers: Expecting::all(receivers, end.expectation(0), end.drain_timeout, clock),
        consumer: end.consumer_config(clock),
        records_max: end.messages,
        shutdown: &shutdown,
        clock,
        output: options.output.output,
    };
    let exit = query.run(field);
    drop(fan_out);
    exit
}
