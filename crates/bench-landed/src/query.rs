//! Statistics over a field of JSON records.

use anyhow::{Context, Result};
use bench_cli::{Exit, Shutdown, Waiting};
use bench_core::clock::SystemClock;
use bench_core::counts::Counts;
use bench_query::{self as statistics, Query};

use crate::measure::{consumer_config, receiver, tables};
use crate::options::Options;
use crate::subject::Subject;
use crate::{Connection, Tool};

/// Reads the table and prints the statistics of `field`.
pub(crate) fn query<C: Connection>(tool: Tool, options: &Options<C>, field: &str) -> Result<Exit> {
    options.read.check()?;
    let shutdown = Shutdown::install().context("failed to listen for signals")?;
    let waiting = Waiting::new(&shutdown)?;
    let mut tables = tables(options, &waiting)?;
    let subject = Subject::find(&options.read, &mut tables, &waiting)?;
    let clock = SystemClock::new();
    let query = Query {
        tool: statistics::Tool { name: tool.name, version: tool.version },
        args: &options.query,
        subject: statistics::Subject { kind: "table", name: &options.read.table },
        receivers: vec![receiver(&options.read, &tables, &subject, clock, &Counts::default())?],
        consumer: consumer_config(&options.read),
        records_max: None,
        shutdown: &shutdown,
        clock,
        output: options.output.output,
    };
    query.run(field)
}
