//! What an earlier run sent, from its result folder.

use std::path::Path;

use anyhow::Result;
use bench_cli::UsageError;
use bench_core::audit::AckLedger;
use bench_core::message::RunId;

/// The run in `folder`, and what it had acknowledged.
pub(crate) fn expected_run(folder: &Path) -> Result<(RunId, AckLedger)> {
    let ledger = AckLedger::read(folder)
        .map_err(|error| UsageError::from_library(format!("--from-run: {error}")))?;
    let mut runs: Vec<RunId> = ledger.streams().map(|(stream, _)| stream.run).collect();
    runs.dedup();
    match runs[..] {
        [run] => Ok((run, ledger)),
        _ => {
            let problem = format!("{} holds the messages of {} runs", folder.display(), runs.len());
            Err(UsageError::new("--from-run", problem, "name the folder of one run").into())
        }
    }
}
