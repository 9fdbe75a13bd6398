//! Statistics over a field of JSON records.

use anyhow::Result;
use bench_cli::{Exit, Invocation, Required, Waiting};
use bench_core::clock::SystemClock;
use bench_core::counts::Counts;
use bench_query::{self as statistics, Query};

use crate::Connection;
use crate::measure::{consumer_config, receiver, tables};
use crate::options::Options;
use crate::subject::Subject;

/// Reads the table and prints the statistics of `field`.
pub(crate) fn query<C: Connection>(
    options: &Options<C>,
    field: &str,
    invocation: &Invocation,
) -> Result<Exit> {
    let waiting = Waiting::new(&invocation.shutdown)?;
    let mut tables = tables(options, &waiting)?;
    let subject = Subject::find(&options.read, Required::default(), &mut tables, &waiting)?;
    let clock = SystemClock::new();
    let query = Query {
        tool: invocation.tool,
        args: &options.query,
        subject: statistics::Subject { kind: "table", name: &options.read.table },
        receivers: vec![receiver(&options.read, &tables, &subject, clock, &Counts::default())?],
        consumer: consumer_config(&options.read, &subject),
        shutdown: &invocation.shutdown,
        clock,
        output: options.output.format,
    };
    query.run(field)
}
