//! What a run is held against: the one that `--from-run` names.

use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime};

use bench_core::audit::{AckLedger, Expected};
use bench_core::message::RunId;
use bench_core::results::{RunDocument, RunFolder, Status};
use bench_core::system;

use crate::quantity::parse_duration;
use crate::{Interrupted, Shutdown, UsageError};

/// How often a run that goes on is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A run that goes on writes to its folder once an interval; one that has not for so long, or for
/// three intervals if that is longer, has died.
const SILENCE_MIN: Duration = Duration::from_secs(5);

/// Waits for the end of the run that leaves its results in `folder`, the value of `--from-run`:
/// until then nobody knows all that it will have acknowledged. One that has died has ended.
pub fn await_run_end(folder: &Path, shutdown: &Shutdown) -> Result<(), Interrupted> {
    let mut is_told = false;
    loop {
        let document = system::read_file(&folder.join(RunFolder::DOCUMENT)).unwrap_or_default();
        // Folders without a document that can be read are for others to complain about.
        let running = serde_json::from_slice::<RunDocument>(&document)
            .ok()
            .filter(|document| document.status == Status::Running);
        let Some(running) = running else { return Ok(()) };
        if silence(folder).is_none_or(|silence| silence > silence_max(&running)) {
            return Ok(());
        }
        if !is_told {
            tracing::warn!("--from-run: {} goes on; waiting for its end", folder.display());
            is_told = true;
        }
        if shutdown.is_requested() {
            return Err(Interrupted("the run that --from-run names came to its end"));
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Time since something was written last.
fn silence(folder: &Path) -> Option<Duration> {
    let files = [RunFolder::DOCUMENT, RunFolder::INTERVALS, AckLedger::FILE_NAME];
    let written =
        files.iter().filter_map(|file| folder.join(file).metadata().ok()?.modified().ok());
    // A time to come is that of a clock that was set back: now, as far as anyone can tell.
    Some(SystemTime::now().duration_since(written.max()?).unwrap_or_default())
}

fn silence_max(running: &RunDocument) -> Duration {
    let interval = running
        .options
        .get(bench_core::results::protocol::INTERVAL)
        .and_then(|interval| interval.as_str());
    let interval = interval.and_then(|interval| parse_duration(interval).ok());
    SILENCE_MIN.max(interval.unwrap_or_default().saturating_mul(3))
}

/// What another run had acknowledged, as the folder that `--from-run` names has it.
pub struct AckedRun {
    /// The run.
    pub run: RunId,
    /// What it had acknowledged, as far as that is recorded.
    pub ledger: AckLedger,
    /// Why the record is not whole, if it is not: the result is then not valid without that word.
    pub partial: Option<String>,
    /// What the reader of the figures must know of a run that did not come to its end.
    pub warning: Option<String>,
}

impl AckedRun {
    /// What a reader expects, what that is held against, and why the record is not whole, if it is
    /// not. Without a run, the messages of any are expected. Adds the run's warning to `warnings`.
    pub fn expectation(
        sent: Option<Self>,
        warnings: &mut Vec<String>,
    ) -> (Expected, Option<AckLedger>, Option<String>) {
        let Some(Self { run, ledger, partial, warning }) = sent else {
            return (Expected::Any, None, None);
        };
        warnings.extend(warning);
        (Expected::Run(run), Some(ledger), partial)
    }
}

/// The run that left its results in `folder`, the value of `--from-run`, and what it had
/// acknowledged.
pub fn acked_in(folder: &Path) -> Result<AckedRun, UsageError> {
    let (ledger, is_whole) = AckLedger::read_record(folder)
        .map_err(|error| UsageError::from_library(format!("--from-run: {error}")))?;
    let mut runs: Vec<RunId> = ledger.streams().map(|(stream, _)| stream.run).collect();
    runs.dedup();
    let [run] = runs[..] else {
        let problem = format!("{} holds the messages of {} runs", folder.display(), runs.len());
        return Err(UsageError::new("--from-run", problem, "name the folder of one run"));
    };
    let status = status_in(folder);
    // Earlier versions do not say; then the end of the run has to.
    let is_whole = is_whole.unwrap_or(status.is_some_and(|status| status != Status::Running));
    let partial = (!is_whole).then(|| {
        let cause = match status {
            Some(Status::Running) => "goes on, or its process died",
            Some(_) => "could not write it",
            None => "left no run.json that can be read",
        };
        format!(
            "the record of what run {run} had acknowledged is partial, since that run {cause}: \
             messages that are not in it are not missed here"
        )
    });
    let warning = match status {
        Some(Status::Incomplete) => Some("was interrupted"),
        Some(Status::Failed) => Some("failed"),
        Some(Status::Running | Status::Complete) | None => None,
    };
    let warning = warning.filter(|_| is_whole).map(|end| {
        format!(
            "run {run}, which sent the messages, is incomplete: it {end}; what it had acknowledged \
             until then is checked"
        )
    });
    Ok(AckedRun { run, ledger, partial, warning })
}

/// How far the run came that left its results in `folder`, if its document can be read.
fn status_in(folder: &Path) -> Option<Status> {
    let document = system::read_file(&folder.join(RunFolder::DOCUMENT)).ok()?;
    serde_json::from_slice::<RunDocument>(&document).ok().map(|document| document.status)
}

#[cfg(test)]
mod tests {
    use bench_core::audit::{LedgerFile, StreamId};
    use tempfile::TempDir;

    use super::*;
    use crate::report::sample;

    /// The folder of something that had ten messages of each of these streams acknowledged.
    fn folder_of(streams: &[(u64, u16)]) -> TempDir {
        let mut ledger = AckLedger::default();
        for (run, producer) in streams {
            let stream = StreamId { run: RunId::from_bits(*run), producer: *producer };
            ledger.insert_range(stream, 0, 9);
        }
        let folder = tempfile::tempdir().expect("makes a folder");
        let text = serde_json::to_vec(&ledger.to_file(true)).expect("JSON");
        std::fs::write(folder.path().join(AckLedger::FILE_NAME), text).expect("writes a file");
        folder
    }

    fn refusal(folder: &Path) -> String {
        let run = acked_in(folder).map(|acked| acked.run);
        run.expect_err("not the folder of one run").to_string()
    }

    #[test]
    fn all_producers_of_the_run_count() {
        let acked = acked_in(folder_of(&[(7, 0), (7, 1)]).path()).expect("is one run");
        assert_eq!((acked.run, acked.ledger.len()), (RunId::from_bits(7), 20));
    }

    /// The folder of a run of this status, last written to so long ago.
    fn folder_with(status: Status, silent: Duration) -> TempDir {
        let folder = folder_of(&[(7, 0)]);
        let document = RunDocument { status, ..sample::open_loop() };
        let text = serde_json::to_vec(&document).expect("JSON");
        std::fs::write(folder.path().join(RunFolder::DOCUMENT), text).expect("writes a file");
        for file in [RunFolder::DOCUMENT, AckLedger::FILE_NAME] {
            let file = std::fs::File::options().write(true).open(folder.path().join(file));
            let written = SystemTime::now() - silent;
            file.expect("is there").set_modified(written).expect("is ours");
        }
        folder
    }

    #[test]
    fn a_run_that_goes_on_is_waited_for_and_one_that_died_is_not() {
        let (shutdown, long_ago) = (Shutdown::without_signals(), Duration::from_mins(10));
        for (status, silent) in [
            (Status::Complete, Duration::ZERO),
            (Status::Incomplete, long_ago),
            (Status::Running, long_ago),
        ] {
            let folder = folder_with(status, silent);
            assert_eq!(await_run_end(folder.path(), &shutdown), Ok(()), "{status:?}");
        }
        shutdown.request();
        let folder = folder_with(Status::Running, Duration::ZERO);
        await_run_end(folder.path(), &shutdown).expect_err("is waited for until interrupted");
    }

    #[test]
    fn a_record_that_is_not_whole_is_partial_whatever_the_run_says() {
        let statuses = [Status::Running, Status::Complete, Status::Incomplete, Status::Failed];
        // Whether the record says that it is whole; whether it counts as partial; a warning else.
        let cases = [
            (Some(true), [false; 4], [None, None, Some("was interrupted"), Some("failed")]),
            (Some(false), [true; 4], [None; 4]),
            (None, [true, false, false, false], [None, None, Some("interrupted"), Some("failed")]),
        ];
        for (is_whole, partial, warnings) in cases {
            for ((status, partial), warning) in statuses.into_iter().zip(partial).zip(warnings) {
                let folder = folder_with(status, Duration::ZERO);
                let path = folder.path().join(AckLedger::FILE_NAME);
                let text = std::fs::read(&path).expect("reads");
                let mut file: LedgerFile = serde_json::from_slice(&text).expect("JSON");
                file.is_whole = is_whole;
                std::fs::write(&path, serde_json::to_vec(&file).expect("JSON")).expect("writes");
                let acked = acked_in(folder.path()).expect("is one run");
                let case = format!("{is_whole:?}, {status:?}");
                assert_eq!(acked.partial.is_some(), partial, "{case}");
                let says = |text: Option<&str>| {
                    acked.warning.as_deref().unwrap_or_default().contains(text.unwrap_or_default())
                };
                assert!(acked.warning.is_some() == warning.is_some() && says(warning), "{case}");
            }
        }
    }

    #[test]
    fn a_run_with_long_intervals_may_be_silent_for_longer() {
        let mut document = sample::open_loop();
        for (interval, silence_s) in [("10ms", 5), ("1m", 180), ("?", 5)] {
            document.options.insert("interval".to_owned(), interval.into());
            assert_eq!(silence_max(&document), Duration::from_secs(silence_s), "{interval}");
        }
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
