//! Statistics over a field of JSON records.

use anyhow::{Context, Result};
use bench_cli::{Exit, Expecting, Shutdown};
use bench_core::clock::SystemClock;
use bench_core::counts::Counts;
use bench_query::{Query, Subject, Tool};

use crate::options::Options;
use crate::source::Source;

/// Reads the table and prints the statistics of `field`.
pub(crate) fn query(options: &Options, field: &str) -> Result<Exit> {
    options.end.check()?;
    let shutdown = Shutdown::install().context("failed to listen for signals")?;
    let source = Source::find(options, &shutdown)?;
    let (clock, counts) = (SystemClock::new(), Counts::default());
    let receiver = match source.try_connect(clock, &counts)? {
        Some(receiver) => receiver,
        None => source.wait_and_connect(clock, &counts, &shutdown)?,
    };
    let end = &options.end;
    let query = Query {
        tool: Tool { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") },
        args: &options.query,
        subject: Subject { kind: "table", name: &source.uri() },
        receivers: Expecting::all(vec![receiver], end.expectation(0), end.drain_timeout, clock),
        consumer: end.consumer_config(clock),
        records_max: end.messages,
        shutdown: &shutdown,
        clock,
        output: options.output.output,
    };
    query.run(field)
}
