//! A run: the table, its reader and the measurement.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use bench_cli::{
    Exit, Measurement, RunRecord, Shutdown, StartedRun, Surroundings, Waiting, options_in_force,
};
use bench_core::clock::{Clock as _, SystemClock, duration_ns};
use bench_core::counts::Counts;
use bench_core::durations::Durations;
use bench_core::engine::{ConsumerConfig, Plan};
use bench_core::message::RunId;
use bench_core::results::Produced;
use bench_core::transport::NoConnection;
use bench_stack::origin_of;
use bench_tables::{TableReceiver, Tables};
use clap::{ArgMatches, Command};

use crate::options::{Options, ReadArgs};
use crate::subject::Subject;
use crate::{Connection, Tool};

/// Measures what has landed.
pub(crate) fn measure<C: Connection>(
    tool: Tool,
    options: &Options<C>,
    command: &Command,
    matches: &ArgMatches,
) -> Result<Exit> {
    options.read.check()?;
    let interval_ns = options.run.interval_ns()?;
    let shutdown = Shutdown::install().context("failed to listen for signals")?;
    let waiting = Waiting::new(&shutdown)?;
    let mut tables = tables(options, &waiting)?;
    let subject = Subject::find(&options.read, &mut tables, &waiting)?;
    let (clock, run) = (SystemClock::new(), RunId::random());
    let record = start(tool, options, command, matches, &tables, run)?;
    let counts = Counts::default();
    let receiver = match receiver(&options.read, &tables, &subject, clock, &counts) {
        Ok(receiver) => receiver,
        Err(error) => {
            record.fail(&error);
            return Err(error);
        }
    };
    let consumer = consumer_config(&options.read);
    let measurement = Measurement {
        plan: Plan::receiving(run, clock.now_ns(), interval_ns, subject.expected, consumer),
        publishers: Vec::<NoConnection>::new(),
        receivers: vec![receiver],
        ledger: subject.ledger,
        partial: subject.partial,
        unanswered_max: Produced::UNANSWERED_MAX_DEFAULT,
        backlog_max_bytes: None,
        warnings: subject.warning.into_iter().collect(),
        counts,
        durations: Durations::default(),
    };
    let (progress, output) = (options.log.progress(), options.output.output);
    measurement.carry_out(record, Surroundings { clock, shutdown, progress, output })
}

/// The tables that were named, of which the one to read can be read.
pub(crate) fn tables<C: Connection>(options: &Options<C>, waiting: &Waiting) -> Result<Tables> {
    let mut tables = options.connection.tables(waiting)?;
    let table = options.read.table.as_str();
    waiting.until(tables.check_columns(table), "the table was looked at")??;
    Ok(tables)
}

/// Makes the result folder.
fn start<C: Connection>(
    tool: Tool,
    options: &Options<C>,
    command: &Command,
    matches: &ArgMatches,
    tables: &Tables,
    run: RunId,
) -> Result<RunRecord> {
    let mut in_force = options_in_force(command, matches);
    if let Some((option, shown)) = options.connection.redacted()? {
        in_force.insert(option.to_owned(), shown.into());
    }
    let service = tables.service();
    let local = origin_of(&service.name, &service.address);
    options.run.start(StartedRun {
        tool: tool.name,
        version: tool.version,
        run,
        options: in_force,
        services: vec![local.unwrap_or_else(|| service.clone())],
        versions: BTreeMap::new(),
    })
}

pub(crate) fn receiver(
    args: &ReadArgs,
    tables: &Tables,
    subject: &Subject,
    clock: SystemClock,
    counts: &Counts,
) -> Result<TableReceiver> {
    let Subject { selection, until, .. } = subject;
    let receiver = tables.receiver(&args.table, *selection, *until, clock, counts)?;
    Ok(match args.record_size {
        Some(size_bytes) => {
            let size_bytes = usize::try_from(size_bytes).unwrap_or(usize::MAX);
            receiver.expecting_size(size_bytes, counts)
        }
        None => receiver,
    })
}

pub(crate) fn consumer_config(args: &ReadArgs) -> ConsumerConfig {
    ConsumerConfig {
        drain_timeout_ns: if args.follow { u64::MAX } else { duration_ns(args.drain_timeout) },
        stop_at_end: true,
        unordered: true,
        raw: args.raw,
        ..ConsumerConfig::default()
    }
}
