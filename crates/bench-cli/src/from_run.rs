//! What a run is held against: the one that `--from-run` names.

use std::path::Path;

use bench_core::audit::AckLedger;
use bench_core::message::RunId;

use crate::UsageError;

/// The run that left its results in `folder`, the value of `--from-run`, and what it had
/// acknowledged.
pub fn acked_in(folder: &Path) -> Result<(RunId, AckLedger), UsageError> {
    let ledger = AckLedger::read(folder)
        .map_err(|error| UsageError::from_library(format!("--from-run: {error}")))?;
    let mut runs: Vec<RunId> = ledger.streams().map(|(stream, _)| stream.run).collect();
    runs.dedup();
    if let [run] = runs[..] {
        return Ok((run, ledger));
    }
    let problem = format!("{} holds the messages of {} runs", folder.display(), runs.len());
    Err(UsageError::new("--from-run", problem, "name the folder of one run"))
}

#[cfg(test)]
mod tests {
    use bench_core::audit::StreamId;
    use tempfile::TempDir;

    use super::*;

    /// The folder of something that had ten messages of each of these streams acknowledged.
    fn folder_of(streams: &[(u64, u16)]) -> TempDir {
        let mut ledger = AckLedger::default();
        for (run, producer) in streams {
            let stream = StreamId { run: RunId::from_bits(*run), producer: *producer };
            ledger.insert_range(stream, 0, 9);
        }
        let folder = tempfile::tempdir().expect("makes a folder");
        let text = serde_json::to_vec(&ledger.to_file()).expect("JSON");
        std::fs::write(folder.path().join(AckLedger::FILE_NAME), text).expect("writes a file");
        folder
    }

    fn refusal(folder: &Path) -> String {
        let run = acked_in(folder).map(|(run, _)| run);
        run.expect_err("not the folder of one run").to_string()
    }

    #[test]
    fn all_producers_of_the_run_count() {
        let (run, ledger) = acked_in(folder_of(&[(7, 0), (7, 1)]).path()).expect("is one run");
        assert_eq!((run, ledger.len()), (RunId::from_bits(7), 20));
    }

    #[test]
    fn a_folder_that_is_not_of_one_run_is_refused_with_a_remedy() {
        for (streams, count) in [(&[][..], "0 runs"), (&[(7, 0), (8, 0)], "2 runs")] {
            let refusal = refusal(folder_of(streams).path());
            for needle in ["--from-run: ", count, "name the folder of one run"] {
                assert!(refusal.contains(needle), "{needle}: {refusal}");
            }
        }
        let folder = tempfile::tempdir().expect("makes a folder");
        let refusal = refusal(folder.path());
        assert!(refusal.starts_with("--from-run: "), "{refusal}");
    }
}
