//! Statistics over a field of JSON records.

use anyhow::Result;
use bench_cli::{Exit, Invocation, Required};
use bench_core::clock::SystemClock;
use bench_core::counts::Counts;
use bench_query::{Query, Subject};

use crate::options::Options;
use crate::source::Source;

/// Reads the table and prints the statistics of `field`.
pub(crate) fn query(options: &Options, field: &str, invocation: &Invocation) -> Result<Exit> {
    let shutdown = &invocation.shutdown;
    let source = Source::find(options, shutdown)?;
    let (clock, counts) = (SystemClock::new(), Counts::default());
    let receiver = match source.try_connect(clock, &counts)? {
        Some(receiver) => receiver,
        None => source.wait_and_connect(clock, &counts, shutdown)?,
    };
    let query = Query {
        tool: invocation.tool,
        args: &options.query,
        subject: Subject { kind: "table", name: &source.uri() },
        receivers: vec![receiver],
        consumer: options.reader.consumer_config(&Required::default(), clock),
        shutdown,
        clock,
        output: options.output.format,
    };
    query.run(field)
}
