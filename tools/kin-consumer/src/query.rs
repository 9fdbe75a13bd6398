//! Statistics over a field of JSON records.

use anyhow::Result;
use bench_cli::{Exit, Invocation, Required};
use bench_core::clock::SystemClock;
use bench_core::counts::Counts;
use bench_core::message::RunId;
use bench_query::{Query, Subject};

use crate::options::Options;
use crate::source::{Connected, Source};

/// Reads the stream and prints the statistics of `field`.
pub(crate) fn query(options: &Options, field: &str, invocation: &Invocation) -> Result<Exit> {
    let source = Source::named(options, &invocation.shutdown)?;
    let clock = SystemClock::new();
    let Connected { receivers, fan_out } =
        source.connect(RunId::random(), clock, &Counts::default())?;
    let query = Query {
        tool: invocation.tool,
        args: &options.query,
        subject: Subject { kind: "stream", name: &options.reading.stream },
        receivers,
        consumer: options.reader.consumer_config(&Required::default(), clock),
        shutdown: &invocation.shutdown,
        clock,
        output: options.output.format,
    };
    let exit = query.run(field);
    drop(fan_out);
    exit
}
