//! A measured run: the table, its reader and the measurement.

use anyhow::Result;
use bench_cli::{Exit, Invocation, Measurement, StartedRun, Waiting};
use bench_core::clock::SystemClock;
use bench_core::counts::Counts;
use bench_core::engine::ConsumerConfig;
use bench_core::message::RunId;
use bench_stack::origin_of;
use bench_tables::{TableReceiver, Tables};

use crate::Connection;
use crate::options::{Options, ReadArgs};
use crate::subject::Subject;

/// Reads the table and measures.
pub(crate) fn measure<C: Connection>(
    options: &Options<C>,
    invocation: &Invocation,
) -> Result<Exit> {
    let interval_ns = options.run.interval_ns()?;
    let waiting = Waiting::new(&invocation.shutdown)?;
    let required = options.read.expect.required(&invocation.shutdown)?;
    let mut tables = tables(options, &waiting)?;
    let subject = Subject::find(&options.read, required, &mut tables, &waiting)?;
    let (clock, run) = (SystemClock::new(), RunId::random());
    let started = started(options, invocation, &tables, run)?;
    let counts = Counts::default();
    invocation.measure(&options.run, options.output.format, started, clock, |_| {
        let receiver = receiver(&options.read, &tables, &subject, clock, &counts)?;
        let consumer = consumer_config(&options.read, &subject);
        let (required, receivers) = (subject.required, vec![receiver]);
        let measurement =
            Measurement::receiving(run, clock, interval_ns, required, consumer, receivers);
        Ok(Measurement { counts, ..measurement })
    })
}

/// The tables of the service, once the one to read is known to be readable.
pub(crate) fn tables<C: Connection>(options: &Options<C>, waiting: &Waiting) -> Result<Tables> {
    let mut tables = options.connection.tables(waiting)?;
    let table = options.read.table.as_str();
    waiting.until(tables.check_columns(table), "checking the table")??;
    Ok(tables)
}

fn started<C: Connection>(
    options: &Options<C>,
    invocation: &Invocation,
    tables: &Tables,
    run: RunId,
) -> Result<StartedRun> {
    let service = tables.service();
    let local = origin_of(&service.name, &service.address);
    let mut started = invocation.started(run, vec![local.unwrap_or_else(|| service.clone())]);
    if let Some((option, shown)) = options.connection.redacted()? {
        started.options.insert(option.to_owned(), shown.into());
    }
    Ok(started)
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

/// How the table is read. The receiver itself follows the table where that is wanted, and knows its
/// end: rows come in no order, so a row that is there twice may come after all that must be there.
pub(crate) fn consumer_config(args: &ReadArgs, subject: &Subject) -> ConsumerConfig {
    ConsumerConfig {
        messages_expected: None,
        stop_at_end: true,
        unordered: true,
        raw: args.raw,
        ..args.expect.consumer_config(&subject.required)
    }
}
