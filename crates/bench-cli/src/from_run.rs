//! The producing run that a reader is checked against: the one in the folder of `--from-run`.

use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime};

use bench_core::audit::AckLedger;
use bench_core::message::RunId;
use bench_record::{RunDocument, Status, file_names, files};

use crate::quantity::parse_duration;
use crate::{Interrupted, Shutdown, UsageError};

/// Interval between looks at a run that is still going on.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A run that is going on writes to its folder once per interval. One that has not for this long, or
/// for three intervals if that is longer, has died.
const SILENCE_MIN: Duration = Duration::from_secs(5);

/// Waits for the end of the run that leaves its results in `folder`, the value of `--from-run`:
/// until then, nobody knows all that it will have acknowledged. A run that has died has ended.
pub(crate) fn await_run_end(folder: &Path, shutdown: &Shutdown) -> Result<(), Interrupted> {
    let mut is_told = false;
    loop {
        let document = files::read_file(&folder.join(file_names::DOCUMENT)).unwrap_or_default();
        // A missing or damaged document is reported elsewhere.
        let running = serde_json::from_slice::<RunDocument>(&document)
            .ok()
            .filter(|document| document.status == Status::Running);
        let Some(running) = running else { return Ok(()) };
        if silence(folder).is_none_or(|silence| silence > silence_max(&running)) {
            return Ok(());
        }
        if !is_told {
            tracing::warn!("--from-run: {} is in progress; waiting for its end", folder.display());
            is_told = true;
        }
        if shutdown.is_requested() {
            return Err(Interrupted("waiting for the end of the run in --from-run"));
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Time since the last write.
fn silence(folder: &Path) -> Option<Duration> {
    let files = [file_names::DOCUMENT, file_names::INTERVALS, file_names::ACKED];
    let written =
        files.iter().filter_map(|file| folder.join(file).metadata().ok()?.modified().ok());
    // A time in the future means that the clock was set back: treat it as now.
    Some(SystemTime::now().duration_since(written.max()?).unwrap_or_default())
}

fn silence_max(running: &RunDocument) -> Duration {
    let interval = running
        .options
        .get(bench_record::protocol::INTERVAL)
        .and_then(|interval| interval.as_str());
    let interval = interval.and_then(|interval| parse_duration(interval).ok());
    SILENCE_MIN.max(interval.unwrap_or_default().saturating_mul(3))
}

/// What another run had acknowledged, according to its result folder.
pub(crate) struct AckedRun {
    /// The run.
    pub(crate) run: RunId,
    /// The messages that it had acknowledged, as far as they are recorded.
    pub(crate) ledger: AckLedger,
    /// Why the record is not whole, if it is not.
    pub(crate) partial: Option<String>,
    /// A warning about a run that did not complete.
    pub(crate) warning: Option<String>,
}

/// The run that left its results in `folder`, the value of `--from-run`, and the messages that it had
/// acknowledged.
pub(crate) fn acked_in(folder: &Path) -> Result<AckedRun, UsageError> {
    let (ledger, is_whole) = AckLedger::read_record(folder)
        .map_err(|error| UsageError::from_library(format!("--from-run: {error}")))?;
    let mut runs: Vec<RunId> = ledger.streams().map(|(stream, _)| stream.run).collect();
    runs.dedup();
    let [run] = runs[..] else {
        let problem = format!("{} holds the messages of {} runs", folder.display(), runs.len());
        return Err(UsageError::new("--from-run", problem, "use the folder of one run"));
    };
    let status = status_in(folder);
    // Earlier versions do not record it; the end of the run stands in.
    let is_whole = is_whole.unwrap_or(status.is_some_and(|status| status != Status::Running));
    let partial = (!is_whole).then(|| {
        let cause = match status {
            Some(Status::Running) => "is in progress, or its process died",
            Some(_) => "could not write it",
            None => "left no readable run.json",
        };
        format!(
            "the record of messages acknowledged in run {run} is partial, since that run {cause}: \
             losses of messages missing from it go unnoticed"
        )
    });
    let warning = match status {
        Some(Status::Incomplete) => Some("was interrupted"),
        Some(Status::Failed) => Some("failed"),
        Some(Status::Running | Status::Complete) | None => None,
    };
    let warning = warning.filter(|_| is_whole).map(|end| {
        format!(
            "run {run}, which sent the messages, is incomplete: it {end}; only messages \
             acknowledged until then are checked"
        )
    });
    Ok(AckedRun { run, ledger, partial, warning })
}

/// The status of the run that left its results in `folder`, if its document can be read.
fn status_in(folder: &Path) -> Option<Status> {
    let document = files::read_file(&folder.join(file_names::DOCUMENT)).ok()?;
    serde_json::from_slice::<RunDocument>(&document).ok().map(|document| document.status)
}

#[cfg(test)]
mod tests {
    use bench_core::audit::StreamId;
    use bench_record::LedgerFile;
    use tempfile::TempDir;

    use super::*;
    use crate::report::sample;

    /// A folder with ten acknowledged messages of each of these streams.
    fn folder_of(streams: &[(u64, u16)]) -> TempDir {
        let mut ledger = AckLedger::default();
        for (run, producer) in streams {
            let stream = StreamId { run: RunId::from_bits(*run), producer: *producer };
            ledger.insert_range(stream, 0, 9);
        }
        let folder = tempfile::tempdir().expect("makes a folder");
        let text = serde_json::to_vec(&ledger.to_file(true)).expect("JSON");
        std::fs::write(folder.path().join(file_names::ACKED), text).expect("writes a file");
        folder
    }

    fn refusal(folder: &Path) -> String {
        let run = acked_in(folder).map(|acked| acked.run);
        run.expect_err("not the folder of a single run").to_string()
    }

    #[test]
    fn all_producers_of_the_run_count() {
        let acked = acked_in(folder_of(&[(7, 0), (7, 1)]).path()).expect("is one run");
        assert_eq!((acked.run, acked.ledger.len()), (RunId::from_bits(7), 20));
    }

    /// The folder of a run with this status, last written this long ago.
    fn folder_with(status: Status, silent: Duration) -> TempDir {
        let folder = folder_of(&[(7, 0)]);
        let document = RunDocument { status, ..sample::open_loop() };
        let text = serde_json::to_vec(&document).expect("JSON");
        std::fs::write(folder.path().join(file_names::DOCUMENT), text).expect("writes a file");
        for file in [file_names::DOCUMENT, file_names::ACKED] {
            let file = std::fs::File::options().write(true).open(folder.path().join(file));
            let written = SystemTime::now() - silent;
            file.expect("is there").set_modified(written).expect("is ours");
        }
        folder
    }

    #[test]
    fn only_live_runs_are_waited_for() {
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
    fn incomplete_records_are_partial_whatever_the_status() {
        let statuses = [Status::Running, Status::Complete, Status::Incomplete, Status::Failed];
        // Whether the record claims to be complete; whether it is partial; otherwise a warning.
        let cases = [
            (Some(true), [false; 4], [None, None, Some("was interrupted"), Some("failed")]),
            (Some(false), [true; 4], [None; 4]),
            (None, [true, false, false, false], [None, None, Some("interrupted"), Some("failed")]),
        ];
        for (is_whole, partial, warnings) in cases {
            for ((status, partial), warning) in statuses.into_iter().zip(partial).zip(warnings) {
                let folder = folder_with(status, Duration::ZERO);
                let path = folder.path().join(file_names::ACKED);
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
    fn long_intervals_allow_longer_silence() {
        let mut document = sample::open_loop();
        for (interval, silence_s) in [("10ms", 5), ("1m", 180), ("?", 5)] {
            document.options.insert("interval".to_owned(), interval.into());
            assert_eq!(silence_max(&document), Duration::from_secs(silence_s), "{interval}");
        }
    }

    #[test]
    fn folders_without_a_single_run_are_refused() {
        for (streams, count) in [(&[][..], "0 runs"), (&[(7, 0), (8, 0)], "2 runs")] {
            let refusal = refusal(folder_of(streams).path());
            for needle in ["--from-run: ", count, "use the folder of one run"] {
                assert!(refusal.contains(needle), "{needle}: {refusal}");
            }
        }
        let folder = tempfile::tempdir().expect("makes a folder");
        let refusal = refusal(folder.path());
        assert!(refusal.starts_with("--from-run: "), "{refusal}");
    }
}
