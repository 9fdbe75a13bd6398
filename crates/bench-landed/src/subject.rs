//! Which rows are read, and which must be there.

use anyhow::{Result, bail};
use bench_cli::{AckedRun, UsageError, Waiting, acked_in};
use bench_core::audit::{AckLedger, Expected, StreamId};
use bench_core::message::RunId;
use bench_tables::{Selection, Tables, Until};

use crate::options::ReadArgs;

/// The rows that a reader reads, and those it expects.
pub(crate) struct Subject {
    pub(crate) selection: Selection,
    pub(crate) until: Until,
    pub(crate) expected: Expected,
    /// The messages that must be there, if known.
    pub(crate) ledger: Option<AckLedger>,
    /// Why that record is incomplete, if it is.
    pub(crate) partial: Option<String>,
    /// A warning about the producing run for the reader of the figures.
    pub(crate) warning: Option<String>,
}

impl Subject {
    /// Determines the rows from the options.
    pub(crate) fn find(args: &ReadArgs, tables: &mut Tables, waiting: &Waiting) -> Result<Self> {
        if args.all_runs {
            let (selection, until) = (Selection::All, Until::End);
            let expected = Expected::Any;
            let (ledger, partial, warning) = (None, None, None);
            return Ok(Self { selection, until, expected, ledger, partial, warning });
        }
        let (run, ledger, partial, warning) = match (&args.from_run, args.run_id) {
            (Some(folder), _) => {
                let AckedRun { run, ledger, partial, warning } = acked_in(folder)?;
                (run, Some(ledger), partial, warning)
            }
            (None, Some(run)) => (run, None, None, None),
            (None, None) => (only_run(&args.table, tables, waiting)?, None, None, None),
        };
        let shared = args.expected.map(|count| shared_out(run, count, args.producers));
        let ledger = ledger.or(shared);
        let until = match &ledger {
            Some(ledger) => Until::Distinct(ledger.len()),
            None if args.follow => Until::Never,
            None => Until::End,
        };
        let (selection, expected) = (Selection::Run(run), Expected::Run(run));
        Ok(Self { selection, until, expected, ledger, partial, warning })
    }
}

/// The only run in the table.
fn only_run(table: &str, tables: &mut Tables, waiting: &Waiting) -> Result<RunId> {
    let runs = waiting.until(tables.runs(table), "looking for runs in the table")??;
    match runs[..] {
        [run] => Ok(run),
        [] => bail!(
            "table '{table}' has no rows of any run; check that its writer is running, set a \
             future run with --run or --from-run, or read messages of other senders with \
             --all-runs --raw or --all-runs --query FIELD"
        ),
        _ => {
            let names: Vec<_> = runs.iter().take(10).map(ToString::to_string).collect();
            let more = if runs.len() > names.len() { ", ..." } else { "" };
            let (count, names) = (runs.len(), names.join(", "));
            let problem = format!("table '{table}' has rows of {count} runs ({names}{more})");
            Err(UsageError::new("--run", problem, "choose one, or use --all-runs").into())
        }
    }
}

/// The messages of this many producers that evenly share `count` messages.
fn shared_out(run: RunId, count: u64, producers: u16) -> AckLedger {
    let mut ledger = AckLedger::default();
    let of_each = u64::from(producers);
    for producer in 0..producers {
        let share = count / of_each + u64::from(u64::from(producer) < count % of_each);
        if let Some(last) = share.checked_sub(1) {
            ledger.insert_range(StreamId { run, producer }, 0, last);
        }
    }
    ledger
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn producers_share_messages_evenly() {
        let run = RunId::from_bits(1);
        let ledger = shared_out(run, 8, 3);
        assert_eq!(ledger.len(), 8);
        let of = |producer| ledger.acked(StreamId { run, producer }).ranges();
        assert_eq!([of(0), of(1), of(2)], [[(0, 2)], [(0, 2)], [(0, 1)]]);
        assert_eq!(shared_out(run, 1, 5).len(), 1);
    }
}
