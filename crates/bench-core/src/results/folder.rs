//! The result folder of one run, written during the run so that a crash keeps what was measured.
//!
//! | file | |
//! |---|---|
//! | `run.json` | the [`RunDocument`] |
//! | `intervals.csv` | one row per interval |
//! | `NAME.hlog` | `HdrHistogram` V2 interval log of one latency or duration, nanoseconds |
//! | `acked.json` | the acknowledged messages, see [`AckLedger`] |
//!
//! Once the folder exists, problems with it (a full disk) never fail the run: the first one becomes
//! a warning, and the figures in memory are still reported.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::interval_log::{IntervalLogs, IntervalTime};
use super::{FaultRecord, IntervalRow, RowLatency, RunDocument, assess_faults};
use crate::audit::AckLedger;
use crate::engine::{Interval, IntervalSink, Latencies, Timeline};
use crate::latency::LatencyHistogram;
use crate::message::RunId;
use crate::system;

/// Names of the latencies in the columns of `intervals.csv`, in the order of
/// [`Latencies::named`](crate::engine::Latencies::named).
const COLUMN_PREFIXES: [&str; Latencies::COUNT] =
    ["publish", "service", "lag", "end_to_end", "arrival", "landing", "table"];

/// The column of `intervals.csv` that lists active faults.
const FAULT_COLUMN: &str = "fault";

/// Why the folder cannot be used; nothing was measured yet.
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
    /// It already holds a run.
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
    intervals: Option<csv::Writer<File>>,
    /// The durations with columns.
    durations: Vec<&'static str>,
    logs: IntervalLogs,
    warning: Option<String>,
    /// Why the last record of acknowledged messages could not be written.
    acked_problem: Option<String>,
}

impl RunFolder {
    /// Name of the document.
    pub const DOCUMENT: &'static str = "run.json";
    /// Name of the table of intervals.
    pub const INTERVALS: &'static str = "intervals.csv";

    /// Creates a new folder for `run` of `tool` below `results`.
    pub fn create_below(
        results: &Path,
        tool: &str,
        run: RunId,
        started_at: SystemTime,
    ) -> Result<Self, FolderError> {
        let time: String =
            super::rfc3339(started_at).chars().filter(char::is_ascii_alphanumeric).collect();
        Self::create_at(&results.join(format!("{tool}-{time}-{run}")), started_at)
    }

    /// Creates the folder `path` for a run, or uses an existing one without a run.
    pub fn create_at(path: &Path, started_at: SystemTime) -> Result<Self, FolderError> {
        let failed = |path: PathBuf| |source| FolderError::Write { path, source };
        let is_new = !path.exists();
        std::fs::create_dir_all(path).map_err(failed(path.to_owned()))?;
        // Even a dangling link counts.
        if path.join(Self::DOCUMENT).symlink_metadata().is_ok() {
            return Err(FolderError::Taken { path: path.to_owned() });
        }
        let file = path.join(Self::INTERVALS);
        let intervals = begin_intervals(&file, &[]).map_err(|source| {
            if is_new {
                // An empty folder would only confuse.
                let _ = std::fs::remove_file(&file);
                let _ = std::fs::remove_dir(path);
            }
            FolderError::Write { path: file, source }
        })?;
        Ok(Self {
            path: path.to_owned(),
            started_at,
            timeline: None,
            intervals: Some(intervals),
            durations: Vec::new(),
            logs: IntervalLogs::new(path),
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

    /// Sets the names of the durations with columns in `intervals.csv`. Call it before the first
    /// interval.
    pub fn set_durations(&mut self, names: Vec<&'static str>) {
        if names.is_empty() {
            return;
        }
        match begin_intervals(&self.path.join(Self::INTERVALS), &names) {
            Ok(intervals) => (self.intervals, self.durations) = (Some(intervals), names),
            Err(error) => self.note(Self::INTERVALS, Err(error)),
        }
    }

    /// The first problem with the folder, if any.
    #[must_use]
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// Why the record of acknowledged messages is incomplete, if it is: no other process can check
    /// against this run then.
    #[must_use]
    pub fn acked_problem(&self) -> Option<&str> {
        self.acked_problem.as_deref()
    }

    /// Writes `run.json`, replacing an earlier one.
    pub fn write_document(&mut self, document: &RunDocument) {
        let result = self.write_json(Self::DOCUMENT, document);
        self.note(Self::DOCUMENT, result);
    }

    fn write_json(&self, name: &str, document: &impl Serialize) -> std::io::Result<()> {
        let text = serde_json::to_string_pretty(document)?;
        replace(&self.path.join(name), text.as_bytes())
    }

    fn note(&mut self, name: &str, result: std::io::Result<()>) {
        if let Err(error) = result {
            let path = self.path.join(name);
            self.warning.get_or_insert_with(|| {
                format!("{} is incomplete: {}", path.display(), system::explain(&error))
            });
        }
    }

    fn write_row(&mut self, interval: &Interval) -> std::io::Result<()> {
        let (Some(writer), Some(timeline)) = (&mut self.intervals, self.timeline) else {
            return Ok(());
        };
        writer.write_record(interval_row(interval, &timeline, &self.durations))?;
        writer.flush()
    }

    fn write_logs(&mut self, interval: &Interval) -> std::io::Result<()> {
        let Some(timeline) = self.timeline else { return Ok(()) };
        let since_start_ns = interval.start_ns.saturating_sub(timeline.start_ns);
        let at = IntervalTime {
            base: self.started_at,
            start: Duration::from_nanos(since_start_ns),
            length: Duration::from_nanos(interval.end_ns - interval.start_ns),
        };
        for (name, latency) in interval.latencies.named() {
            if let Some(latency) = latency {
                self.logs.write(name, &at, latency)?;
            }
        }
        for (name, duration) in &interval.durations {
            self.logs.write(name, &at, duration)?;
        }
        Ok(())
    }
}

impl IntervalSink for RunFolder {
    fn interval(&mut self, interval: &Interval) {
        let row = self.write_row(interval);
        self.note(Self::INTERVALS, row);
        let logs = self.write_logs(interval);
        self.note("*.hlog", logs);
    }

    fn acked(&mut self, ledger: &AckLedger, is_whole: bool) {
        if ledger.is_empty() && !is_whole {
            return;
        }
        let result = self.write_json(AckLedger::FILE_NAME, &ledger.to_file(is_whole));
        self.acked_problem = result.as_ref().err().map(|error| {
            format!(
                "the record of acknowledged messages is incomplete ({}): no reader can be checked \
                 against this run with --from-run",
                system::cause(error)
            )
        });
        self.note(AckLedger::FILE_NAME, result);
    }
}

/// Adds faults to the folder of a finished run: a column `fault` to `intervals.csv`, and to
/// `run.json` each fault with its recovery, and `warnings` to the run's own. Times of the faults are
/// seconds from the start of the schedule.
pub fn mark_faults(
    run_dir: &Path,
    mut faults: Vec<FaultRecord>,
    warnings: Vec<String>,
) -> std::io::Result<()> {
    let intervals = run_dir.join(RunFolder::INTERVALS);
    let table = system::read_file(&intervals)?;
    assess_faults(&interval_rows(&table)?, &mut faults);
    replace(&intervals, &with_fault_column(&table, &faults)?)?;
    let path = run_dir.join(RunFolder::DOCUMENT);
    let mut document: RunDocument = serde_json::from_slice(&system::read_file(&path)?)?;
    document.faults = faults;
    for warning in warnings {
        if !document.warnings.contains(&warning) {
            document.warnings.push(warning);
        }
    }
    replace(&path, serde_json::to_string_pretty(&document)?.as_bytes())
}

/// The rows of `intervals.csv`, as far as they matter for faults, up to one cut short by a crash.
fn interval_rows(table: &[u8]) -> std::io::Result<Vec<IntervalRow>> {
    let mut reader = csv::Reader::from_reader(table);
    let header = reader.headers()?.clone();
    let column = |name: &str| header.iter().position(|column| column == name);
    let read_row = |row: &csv::StringRecord| {
        let cell = |name: &str| row.get(column(name)?);
        let number = |name: &str| cell(name)?.parse().ok();
        let latency = |prefix: &str| {
            let figure = |figure| cell(&format!("{prefix}_{figure}_ns"))?.parse().ok();
            Some(RowLatency { p99_ns: figure("p99")?, max_ns: figure("max")? })
        };
        Some(IntervalRow {
            start_s: number("start_s")?,
            end_s: number("end_s")?,
            warm_up: cell("warm_up")? == "true",
            sent: cell("sent")?.parse().ok()?,
            acked_per_s: number("acked_per_s")?,
            received_per_s: number("received_per_s")?,
            publish: latency("publish"),
            service: latency("service"),
            end_to_end: latency("end_to_end"),
        })
    };
    Ok(reader.records().map_while(|row| read_row(&row.ok()?)).collect())
}

/// The table with the faults active in each interval in its last column, replacing an existing one.
fn with_fault_column(table: &[u8], faults: &[FaultRecord]) -> std::io::Result<Vec<u8>> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(table);
    let mut header = reader.headers()?.clone();
    let columns = header.iter().position(|column| column == FAULT_COLUMN).unwrap_or(header.len());
    header.truncate(columns);
    header.push_field(FAULT_COLUMN);
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&header)?;
    let at = |name: &str| header.iter().position(|column| column == name);
    for row in reader.records() {
        let mut row = row?;
        row.truncate(columns);
        let time_s = |name: &str| row.get(at(name)?)?.parse::<f64>().ok();
        let active = match (time_s("start_s"), time_s("end_s")) {
            (Some(start_s), Some(end_s)) => faults
                .iter()
                .filter(|fault| fault.is_active(start_s, end_s))
                .map(FaultRecord::name)
                .collect::<Vec<_>>()
                .join("; "),
            _ => String::new(),
        };
        while row.len() < columns {
            row.push_field("");
        }
        row.push_field(&active);
        writer.write_record(&row)?;
    }
    writer.into_inner().map_err(|error| std::io::Error::other(error.to_string()))
}

/// Replaces a file so that a reader sees either the old or the new one.
fn replace(path: &Path, contents: &[u8]) -> std::io::Result<()> {
    system::replace_file(path, |file| file.write_all(contents))
}

/// Creates the table of intervals with its header.
fn begin_intervals(path: &Path, durations: &[&'static str]) -> std::io::Result<csv::Writer<File>> {
    let mut intervals = csv::Writer::from_writer(system::create_new(path)?);
    intervals.write_record(interval_columns(durations))?;
    intervals.flush()?;
    Ok(intervals)
}

fn interval_columns(durations: &[&'static str]) -> Vec<String> {
    let counts = "interval,start_s,end_s,warm_up,sent,acked,failed,acked_bytes,acked_per_s,\
                  received,received_bytes,received_per_s";
    let mut columns: Vec<String> = counts.split(',').map(str::to_owned).collect();
    for prefix in COLUMN_PREFIXES {
        columns.extend(["p50", "p99", "max"].map(|figure| format!("{prefix}_{figure}_ns")));
    }
    for name in durations {
        let figures = ["count", "p50_ns", "p99_ns", "max_ns"];
        columns.extend(figures.map(|figure| format!("{name}_{figure}")));
    }
    columns
}

fn interval_row(
    interval: &Interval,
    timeline: &Timeline,
    durations: &[&'static str],
) -> Vec<String> {
    let since_start_s =
        |at_ns: u64| format!("{:.3}", at_ns.saturating_sub(timeline.start_ns) as f64 / 1e9);
    let length_s = (interval.end_ns - interval.start_ns) as f64 / 1e9;
    let per_s = |messages: u64| format!("{:.1}", messages as f64 / length_s);
    let mut row = vec![
        interval.index.to_string(),
        since_start_s(interval.start_ns),
        since_start_s(interval.end_ns),
        (interval.start_ns < timeline.warm_up_end_ns).to_string(),
        interval.sent.to_string(),
        interval.acked.messages.to_string(),
        interval.failed.to_string(),
        interval.acked.bytes.to_string(),
        per_s(interval.acked.messages),
        interval.received.messages.to_string(),
        interval.received.bytes.to_string(),
        per_s(interval.received.messages),
    ];
    for (_, latency) in interval.latencies.named() {
        row.extend(percentiles(latency));
    }
    for name in durations {
        let duration = interval.durations.get(name);
        row.push(duration.map_or(0, |duration| duration.histogram().len()).to_string());
        row.extend(percentiles(duration));
    }
    row
}

/// The median, the 99th percentile and the largest sample in nanoseconds; empty without samples.
fn percentiles(samples: Option<&LatencyHistogram>) -> [String; 3] {
    let samples = samples.filter(|samples| !samples.histogram().is_empty());
    [50.0, 99.0, 100.0].map(|percentile| {
        samples.map_or_else(String::new, |samples| samples.percentile_ns(percentile).to_string())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hdrhistogram::Histogram;

    use super::super::{FaultAction, HostInfo, SCHEMA_VERSION, Status, ToolInfo, interval_log};
    use super::*;

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
            host: HostInfo::current(),
            versions: BTreeMap::new(),
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
        for interval in interval_log::intervals(&log).expect("parses") {
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
    fn durations_have_columns_and_logs_of_their_own() {
        let temporary = tempfile::tempdir().expect("temporary folder");
        let mut folder = folder(temporary.path());
        folder.set_durations(vec!["commit_time", "upload_time"]);
        for (index, durations_ns) in [vec![30, 10, 20], vec![]].into_iter().enumerate() {
            let mut interval = interval(index as u64, &[7]);
            let commits = interval.durations.entry("commit_time").or_default();
            for ns in durations_ns {
                commits.record(ns);
            }
            folder.interval(&interval);
        }
        assert_eq!(folder.warning(), None);
        let text = std::fs::read_to_string(folder.path().join("intervals.csv")).expect("reads");
        let lines: Vec<&str> = text.lines().collect();
        let columns = "commit_time_count,commit_time_p50_ns,commit_time_p99_ns,commit_time_max_ns,\
                       upload_time_count,upload_time_p50_ns,upload_time_p99_ns,upload_time_max_ns";
        assert!(lines[0].ends_with(columns), "{text}");
        assert!(lines[1].ends_with(",3,20,30,30,0,,,"), "{text}");
        assert!(lines[2].ends_with(",0,,,,0,,,"), "{text}");
        let log = std::fs::read(folder.path().join("commit_time.hlog")).expect("reads");
        let logged = interval_log::intervals(&log).expect("parses");
        assert_eq!((logged.len(), logged[0].samples.len()), (1, 3));
        assert!(!folder.path().join("upload_time.hlog").exists(), "nothing was uploaded");
    }

    #[test]
    fn faults_are_added_with_their_recovery() {
        let temporary = tempfile::tempdir().expect("temporary folder");
        let mut folder = folder(temporary.path());
        for (index, latency_ns) in [5, 6, 5, 800_000_000, 5, 5, 5].into_iter().enumerate() {
            let mut interval = interval(index as u64, &[latency_ns]);
            interval.sent = 1;
            folder.interval(&interval);
        }
        folder.write_document(&document());
        let fault = FaultRecord {
            action: FaultAction::Latency,
            target: "kafka".to_owned(),
            setting: Some("800ms".to_owned()),
            begin_s: Some(3.25),
            end_s: Some(4.0),
            recovery_s: None,
            unrecovered: None,
            disturbed_again: 0,
            band: None,
        };
        // Repeating it gives the same result: a driver may have died halfway.
        for _ in 0..2 {
            mark_faults(folder.path(), vec![fault.clone()], vec!["proxied".to_owned()])
                .expect("marked");
        }
        let text = std::fs::read_to_string(folder.path().join("intervals.csv")).expect("reads");
        let marks: Vec<&str> =
            text.lines().filter_map(|line| Some(line.rsplit_once(',')?.1)).collect();
        assert_eq!(marks, ["fault", "", "", "", "latency 800ms kafka", "", "", ""]);
        let json = std::fs::read(folder.path().join("run.json")).expect("reads");
        let document: RunDocument = serde_json::from_slice(&json).expect("a document");
        assert_eq!(document.faults.len(), 1);
        assert_eq!(document.faults[0].recovery_s, Some(0.75));
        assert_eq!(document.warnings, ["proxied"]);
    }

    #[test]
    fn faults_mark_the_intervals_they_were_active_in() {
        let active = |begin_s, end_s| {
            let fault = FaultRecord {
                action: FaultAction::Kill,
                target: "kafka-1".to_owned(),
                setting: None,
                begin_s,
                end_s,
                recovery_s: None,
                unrecovered: None,
                disturbed_again: 0,
                band: None,
            };
            let starts = [0.0, 1.0, 2.0, 3.0];
            starts.map(|start_s| fault.is_active(start_s, start_s + 1.0))
        };
        assert_eq!(active(Some(1.5), Some(2.5)), [false, true, true, false]);
        assert_eq!(active(Some(1.0), Some(2.0)), [false, true, false, false]);
        assert_eq!(active(Some(2.0), Some(2.0)), [false, false, true, false]);
        assert_eq!(active(Some(1.5), None), [false, true, true, true]);
        assert_eq!(active(None, None), [false; 4]);
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
