//! The result folder of one run, written during the run so that a crash keeps what was measured.
//!
//! | file | |
//! |---|---|
//! | `run.json` | the [`RunDocument`] |
//! | `intervals.csv` | one row per interval |
//! | `NAME.hlog` | `HdrHistogram` V2 interval log of one latency or duration, nanoseconds |
//! | `acked.json` | the acknowledged messages, see [`AckLedger`] |
//!
//! Once the folder exists, problems with it (a full disk) do not fail the run: the first one becomes a
//! warning, and the figures in memory are still reported.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bench_record::interval_log::{IntervalLogs, IntervalTime};
use bench_record::intervals::{IntervalCounts, IntervalTable, SystemColumns};
use bench_record::{RunDocument, file_names, files, rfc3339};

use super::machine::MachineMeter;
use crate::audit::AckLedger;
use crate::engine::{Interval, IntervalSink, SystemFigures, Timeline};
use crate::latency::LatencyHistogram;
use crate::message::RunId;
use crate::system;

/// Why a folder cannot be used. Nothing was measured yet.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It cannot be created or written.
    #[error(
        "failed to write results to {}: {}; choose another folder with --results-dir",
        path.display(),
        system::cause(source)
    )]
    Write {
        /// The folder or file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// It holds a run already.
    #[error("{} already holds the results of a run; choose another folder", path.display())]
    Taken {
        /// The folder.
        path: PathBuf,
    },
}

/// A result folder that is being written.
pub struct RunFolder {
    path: PathBuf,
    started_at: SystemTime,
    timeline: Option<Timeline>,
    intervals: IntervalTable,
    logs: IntervalLogs,
    machine: MachineMeter,
    warning: Option<String>,
    /// Why the last record of acknowledged messages could not be written.
    acked_problem: Option<String>,
}

impl RunFolder {
    /// Creates a folder for `run` of `tool` below `results`.
    pub fn create_below(
        results: &Path,
        tool: &str,
        run: RunId,
        started_at: SystemTime,
    ) -> Result<Self, FolderError> {
        let time: String =
            rfc3339(started_at).chars().filter(char::is_ascii_alphanumeric).collect();
        Self::create_at(&results.join(format!("{tool}-{time}-{run}")), started_at)
    }

    /// Creates the folder `path` for a run, or takes an existing one that holds no run.
    pub fn create_at(path: &Path, started_at: SystemTime) -> Result<Self, FolderError> {
        let failed = |path: PathBuf| |source| FolderError::Write { path, source };
        let is_new = !path.exists();
        std::fs::create_dir_all(path).map_err(failed(path.to_owned()))?;
        // A dangling link counts as well.
        if path.join(file_names::DOCUMENT).symlink_metadata().is_ok() {
            return Err(FolderError::Taken { path: path.to_owned() });
        }
        let file = path.join(file_names::INTERVALS);
        let intervals =
            IntervalTable::create(&file, SystemColumns::default()).map_err(|source| {
                if is_new {
                    // An empty folder is of no use to anyone.
                    let _ = std::fs::remove_file(&file);
                    let _ = std::fs::remove_dir(path);
                }
                FolderError::Write { path: file, source }
            })?;
        Ok(Self {
            path: path.to_owned(),
            started_at,
            timeline: None,
            intervals,
            logs: IntervalLogs::new(path),
            machine: MachineMeter::start(),
            warning: None,
            acked_problem: None,
        })
    }

    /// Where the folder is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sets the instants from which the times in the files are counted.
    pub fn set_timeline(&mut self, timeline: Timeline) {
        self.timeline = Some(timeline);
    }

    /// Sets the system's own figures, which have columns in `intervals.csv`. Call it before the first
    /// interval.
    pub fn set_system(&mut self, system: &SystemFigures) {
        let columns =
            SystemColumns { counts: system.counts.names(), durations: system.durations.names() };
        if columns == SystemColumns::default() {
            return;
        }
        match IntervalTable::create(&self.path.join(file_names::INTERVALS), columns) {
            Ok(intervals) => self.intervals = intervals,
            Err(error) => self.note(file_names::INTERVALS, Err(error)),
        }
    }

    /// The first problem with the folder, if any.
    #[must_use]
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// Why the record of acknowledged messages is incomplete, if it is. No other process can be checked
    /// against this run then.
    #[must_use]
    pub fn acked_problem(&self) -> Option<&str> {
        self.acked_problem.as_deref()
    }

    /// Writes `run.json`, replacing an earlier one.
    pub fn write_document(&mut self, document: &RunDocument) {
        let path = self.path.join(file_names::DOCUMENT);
        let result = serde_json::to_vec_pretty(document)
            .map_err(io::Error::from)
            .and_then(|text| files::replace_file(&path, |file| file.write_all(&text)));
        self.note(file_names::DOCUMENT, result);
    }

    fn note(&mut self, name: &str, result: io::Result<()>) {
        if let Err(error) = result {
            let path = self.path.join(name);
            self.warning.get_or_insert_with(|| {
                format!("{} is incomplete: {}", path.display(), system::explain(&error))
            });
        }
    }

    fn write_row(&mut self, interval: &Interval) -> io::Result<()> {
        let Some(timeline) = self.timeline else { return Ok(()) };
        let since_start_s = |at_ns: u64| at_ns.saturating_sub(timeline.start_ns) as f64 / 1e9;
        let counts = IntervalCounts {
            index: interval.index,
            start_s: since_start_s(interval.start_ns),
            end_s: since_start_s(interval.end_ns),
            warm_up: interval.start_ns < timeline.warm_up_end_ns,
            sent: interval.sent,
            acked: interval.acked.messages,
            failed: interval.failed,
            acked_bytes: interval.acked.bytes,
            received: interval.received.messages,
            received_bytes: interval.received.bytes,
            machine: self.machine.read(),
        };
        self.intervals.write(
            &counts,
            |kind| interval.latencies.get(kind).map(LatencyHistogram::histogram),
            |name| interval.counts.get(name).copied().unwrap_or(0),
            |name| interval.durations.get(name).map(LatencyHistogram::histogram),
        )
    }

    fn write_logs(&mut self, interval: &Interval) -> io::Result<()> {
        let Some(timeline) = self.timeline else { return Ok(()) };
        let since_start_ns = interval.start_ns.saturating_sub(timeline.start_ns);
        let at = IntervalTime {
            base: self.started_at,
            start: Duration::from_nanos(since_start_ns),
            length: Duration::from_nanos(interval.end_ns - interval.start_ns),
        };
        for (kind, latency) in interval.latencies.iter() {
            self.logs.write(kind.field(), &at, latency.histogram())?;
        }
        for (name, duration) in &interval.durations {
            self.logs.write(name, &at, duration.histogram())?;
        }
        Ok(())
    }

    /// While the run goes on, the record need not outlive a crash of the machine.
    fn write_acked(&self, ledger: &AckLedger, is_whole: bool) -> io::Result<()> {
        let path = self.path.join(file_names::ACKED);
        let text = serde_json::to_vec_pretty(&ledger.to_file(is_whole))?;
        if is_whole {
            files::replace_file(&path, |file| file.write_all(&text))
        } else {
            files::replace_file_unsynced(&path, &text)
        }
    }
}

impl IntervalSink for RunFolder {
    fn interval(&mut self, interval: &Interval) {
        let row = self.write_row(interval);
        self.note(file_names::INTERVALS, row);
        let logs = self.write_logs(interval);
        self.note("*.hlog", logs);
    }

    fn acked(&mut self, ledger: &AckLedger, is_whole: bool) {
        if ledger.is_empty() && !is_whole {
            return;
        }
        let result = self.write_acked(ledger, is_whole);
        self.acked_problem = result.as_ref().err().map(|error| {
            format!(
                "the record of acknowledged messages is incomplete ({}): no reader can be checked \
                 against this run with --from-run",
                system::cause(error)
            )
        });
        self.note(file_names::ACKED, result);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bench_record::{SCHEMA_VERSION, Status, ToolInfo, interval_log};
    use hdrhistogram::Histogram;

    use super::*;
    use crate::results::current_host;

    fn document() -> RunDocument {
        RunDocument {
            schema_version: SCHEMA_VERSION,
            tool: ToolInfo { name: "tool".to_owned(), version: "0".to_owned() },
            run_id: "00000000ab".to_owned(),
            started_at: "2026-11-21T08:50:43Z".to_owned(),
            schedule: None,
            status: Status::Complete,
            verdict: None,
            options: BTreeMap::new(),
            services: Vec::new(),
            host: current_host(),
            versions: BTreeMap::new(),
            settings_in_force: BTreeMap::new(),
            summary: None,
            warnings: Vec::new(),
            faults: Vec::new(),
        }
    }

    const TIMELINE: Timeline =
        Timeline { start_ns: 1_000, warm_up_end_ns: 1_000, interval_ns: 1_000_000_000 };

    fn interval(index: u64, latency_ns: &[i64]) -> Interval {
        let start_ns = TIMELINE.interval_start_ns(index);
        let end_ns = TIMELINE.interval_start_ns(index + 1);
        let mut interval = Interval { index, start_ns, end_ns, ..Interval::default() };
        for &ns in latency_ns {
            interval.latencies.end_to_end_latency.record(ns);
        }
        interval.received.messages = latency_ns.len() as u64;
        interval
    }

    fn folder(below: &Path) -> RunFolder {
        let mut folder =
            RunFolder::create_below(below, "tool", RunId::from_bits(1), SystemTime::UNIX_EPOCH)
                .expect("creates");
        folder.set_timeline(TIMELINE);
        folder
    }

    #[test]
    fn interval_logs_merge_to_the_whole_run() {
        let temporary = tempfile::tempdir().expect("temporary folder");
        let mut folder = folder(temporary.path());
        let mut whole = LatencyHistogram::new();
        for (index, samples) in [[10, 20], [30, 4_000_000], [50, 60]].iter().enumerate() {
            let interval = interval(index as u64, samples);
            whole.merge(&interval.latencies.end_to_end_latency);
            folder.interval(&interval);
        }
        assert_eq!(folder.warning(), None);

        let log = std::fs::read(folder.path().join("end_to_end_latency.hlog")).expect("reads");
        let mut merged = Histogram::<u64>::new(3).expect("three digits");
        let mut starts = Vec::new();
        for interval in interval_log::intervals(&log) {
            let interval = interval.expect("parses");
            starts.push(interval.start.as_secs());
            merged.add(interval.samples).expect("equal bounds");
        }
        assert_eq!(starts, [0, 1, 2]);
        assert!(merged == *whole.histogram());
        assert!(!folder.path().join("publish_latency.hlog").exists(), "nothing was published");
    }

    #[test]
    fn rows_leave_unmeasured_columns_empty() {
        let temporary = tempfile::tempdir().expect("temporary folder");
        let mut folder = folder(temporary.path());
        folder.interval(&interval(0, &[7, 7]));
        let text = std::fs::read_to_string(folder.path().join("intervals.csv")).expect("reads");
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let headers = reader.headers().expect("a header").clone();
        let row = reader.records().next().expect("a row").expect("as long as the header");
        let value = |name: &str| {
            let position = headers.iter().position(|column| column == name).expect(name);
            row[position].to_owned()
        };
        assert_eq!(value("received_per_s"), "2.0");
        assert_eq!(value("end_to_end_p99_ns"), "7");
        assert_eq!(value("publish_p99_ns"), "");
    }

    #[test]
    fn figures_of_the_system_have_columns_and_durations_logs() {
        let temporary = tempfile::tempdir().expect("temporary folder");
        let mut folder = folder(temporary.path());
        let system = SystemFigures::default();
        for name in ["commit_time", "upload_time"] {
            let _ = system.durations.named(name);
        }
        let _ = (system.counts.count("rows_retried"), system.counts.gauge("backlog"));
        folder.set_system(&system);
        for (index, durations_ns) in [vec![30, 10, 20], vec![]].into_iter().enumerate() {
            let mut interval = interval(index as u64, &[7]);
            let commits = interval.durations.entry("commit_time").or_default();
            for ns in durations_ns {
                commits.record(ns);
            }
            interval.counts = [("rows_retried", 4), ("backlog", 9)].into();
            folder.interval(&interval);
        }
        assert_eq!(folder.warning(), None);
        let text = std::fs::read_to_string(folder.path().join("intervals.csv")).expect("reads");
        let lines: Vec<&str> = text.lines().collect();
        let columns = "rows_retried,backlog,\
                       commit_time_count,commit_time_p50_ns,commit_time_p99_ns,commit_time_max_ns,\
                       upload_time_count,upload_time_p50_ns,upload_time_p99_ns,upload_time_max_ns,\
                       others_cpu_share,stolen_cpu_share,waiting_for_cpu_share,\
                       tool_cpu_share,servers_cpu_share,tool_memory_bytes,servers_memory_bytes";
        assert!(lines[0].ends_with(columns), "{text}");
        assert!(lines[1].ends_with(",4,9,3,20,30,30,0,,,,,,,,,,"), "{text}");
        assert!(lines[2].ends_with(",4,9,0,,,,0,,,,,,,,,,"), "{text}");
        let log = std::fs::read(folder.path().join("commit_time.hlog")).expect("reads");
        let logged: Result<Vec<_>, _> = interval_log::intervals(&log).collect();
        let logged = logged.expect("parses");
        assert_eq!((logged.len(), logged[0].samples.len()), (1, 3));
        assert!(!folder.path().join("upload_time.hlog").exists(), "nothing was uploaded");
    }

    #[test]
    fn folders_are_used_only_once() {
        let temporary = tempfile::tempdir().expect("temporary folder");
        let path = temporary.path().join("run");
        std::fs::create_dir(&path).expect("creates");
        assert!(RunFolder::create_at(&path, SystemTime::UNIX_EPOCH).is_ok(), "empty is fine");
        std::fs::write(path.join("run.json"), "{}").expect("writes");
        let again = RunFolder::create_at(&path, SystemTime::UNIX_EPOCH);
        assert!(matches!(again, Err(FolderError::Taken { .. })));
    }

    #[test]
    fn links_in_the_folder_are_not_followed() {
        let temporary = tempfile::tempdir().expect("temporary folder");
        let theirs = temporary.path().join("theirs");
        let path = temporary.path().join("run");
        for name in ["intervals.csv", "run.json", "run.json.tmp", "end_to_end_latency.hlog"] {
            std::fs::create_dir(&path).expect("creates");
            std::fs::write(&theirs, "precious").expect("writes");
            std::os::unix::fs::symlink(&theirs, path.join(name)).expect("links");
            if let Ok(mut folder) = RunFolder::create_at(&path, SystemTime::UNIX_EPOCH) {
                folder.set_timeline(TIMELINE);
                folder.write_document(&document());
                folder.interval(&interval(0, &[1]));
            }
            assert_eq!(std::fs::read_to_string(&theirs).expect("reads"), "precious", "{name}");
            std::fs::remove_dir_all(&path).expect("removes");
        }
    }

    #[test]
    fn unwritable_folders_leave_nothing_behind() {
        let temporary = tempfile::tempdir().expect("temporary folder");
        let path = temporary.path().join("x".repeat(300));
        let error = RunFolder::create_at(&path, SystemTime::UNIX_EPOCH).err().expect("fails");
        assert_eq!(
            error.to_string(),
            format!(
                "failed to write results to {}: the name is too long; choose another folder with \
                 --results-dir",
                path.display()
            )
        );
        assert_eq!(std::fs::read_dir(temporary.path()).expect("reads").count(), 0);
    }

    #[test]
    fn problems_with_the_folder_are_a_warning() {
        let temporary = tempfile::tempdir().expect("temporary folder");
        let mut folder = folder(temporary.path());
        let path = folder.path().to_owned();
        std::fs::remove_dir_all(&path).expect("removes");
        std::fs::write(&path, "in the way").expect("writes");
        folder.interval(&interval(0, &[1]));
        let warning = folder.warning().expect("a warning");
        assert!(warning.contains("incomplete"), "{warning}");
    }
}
