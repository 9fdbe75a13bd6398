//! Which rows are read, and which of them must be there.

use std::sync::Arc;

use anyhow::{Result, bail};
use bench_cli::{Required, UsageError, Waiting};
use bench_core::audit::{AckLedger, StreamId};
use bench_core::message::RunId;
use bench_tables::{Selection, Tables, Until};

use crate::options::ReadArgs;

/// The rows that a reader reads.
pub(crate) struct Subject {
    pub(crate) selection: Selection,
    pub(crate) until: Until,
    pub(crate) required: Required,
}

impl Subject {
    /// The rows of the run that the options name, or else of the only run in the table. `required` is
    /// what the run of `--from-run` had acknowledged, if there is one.
    pub(crate) fn find(
        args: &ReadArgs,
        mut required: Required,
        tables: &mut Tables,
        waiting: &Waiting,
    ) -> Result<Self> {
        if args.all_runs {
            return Ok(Self { selection: Selection::All, until: Until::End, required });
        }
        let run = match required.run.or(args.run_id) {
            Some(run) => run,
            None => only_run(&args.table, tables, waiting)?,
        };
        required.run = Some(run);
        if let Some(count) = args.expect.expected {
            required.acked = Some(Arc::new(shared_out(run, count, args.producers)));
        }
        let until = match &required.acked {
            Some(acked) => Until::Distinct(acked.len()),
            None if args.expect.follow => Until::Never,
            None => Until::End,
        };
        Ok(Self { selection: Selection::Run(run), until, required })
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
            let problem = format!("table '{table}' holds {count} runs ({names}{more})");
            Err(UsageError::new("--run", problem, "choose one, or use --all-runs").into())
        }
    }
}

/// The messages of `producers` that share `count` evenly.
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
