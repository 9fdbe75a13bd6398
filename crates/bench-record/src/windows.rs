//! The end-to-end latency of a run window by window, read from its result folder, for plots over time.
//! Each window has its own percentiles: they are not cumulative.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::interval_log::{self, LoggedInterval};
use crate::latency::{LatencyKind, SIGNIFICANT_DIGITS, percentile_ns};
use crate::{file_names, files};

/// The latency that is divided into windows.
const LATENCY: &str = LatencyKind::EndToEnd.field();

/// The percentiles of a window, in the order of its columns.
const PERCENTILES: [f64; 5] = [50.0, 75.0, 85.0, 95.0, 99.0];

/// When a window ends. Windows are made of whole intervals of the run (`--interval`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowLength {
    /// After this time, counted from the start of the schedule; an interval belongs to the window in
    /// which it begins. A time shorter than an interval counts as one interval.
    Time(Duration),
    /// At the end of the interval in which this number of messages is reached.
    Messages(u64),
}

/// The latencies of the messages received in one window, excluding those of the warm-up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// End of the window, seconds from the start of the schedule.
    pub end_s: f64,
    /// Messages, above 0.
    pub messages: u64,
    /// 50th, 75th, 85th, 95th and 99th percentile, nanoseconds.
    pub percentiles_ns: [u64; 5],
}

/// Why the windows of a run cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum WindowsError {
    /// There is no result folder, or it cannot be read.
    #[error("failed to read {path}; use the result folder of a run")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The log is malformed.
    #[error("failed to parse {path}: {problem}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// The windows with messages of the run in `run_dir`, in chronological order. A run without
/// latencies has none.
pub fn windows(run_dir: &Path, length: WindowLength) -> Result<Vec<Window>, WindowsError> {
    let path = run_dir.join(file_names::interval_log(LATENCY));
    let log = match files::read_file(&path) {
        Ok(log) => log,
        // A run without samples has no log.
        Err(error)
            if error.kind() == io::ErrorKind::NotFound
                && run_dir.join(file_names::INTERVALS).is_file() =>
        {
            return Ok(Vec::new());
        }
        Err(source) => return Err(WindowsError::Read { path, source }),
    };
    let damaged = |problem| WindowsError::Damaged { path: path.clone(), problem };
    divide(interval_log::intervals(&log), length).map_err(damaged)
}

/// Writes windows as CSV: `time_from_start` is the end of the window in seconds, the latencies are
/// milliseconds.
pub fn write_csv(windows: &[Window], out: impl io::Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(["time_from_start", "p50", "p75", "p85", "p95", "p99"])?;
    for window in windows {
        let percentiles_ms = window.percentiles_ns.map(|ns| format!("{:.3}", ns as f64 / 1e6));
        csv.write_record(std::iter::once(format!("{:.3}", window.end_s)).chain(percentiles_ms))?;
    }
    csv.flush()
}

fn divide(
    intervals: impl IntoIterator<Item = Result<LoggedInterval, String>>,
    length: WindowLength,
) -> Result<Vec<Window>, String> {
    let mut windows = Vec::new();
    let mut open: Option<OpenWindow> = None;
    for interval in intervals {
        let interval = interval?;
        let number = length.number_of(&interval);
        if let Some(full) = open.take_if(|open| open.number != number) {
            let nominal_end = length.nominal_end(full.number);
            windows.push(full.close(nominal_end));
        }
        let window = open.get_or_insert(OpenWindow::new(number)?);
        window.add(&interval)?;
        if length.is_reached(window)
            && let Some(full) = open.take()
        {
            windows.push(full.close(None));
        }
    }
    windows.extend(open.map(|rest| rest.close(None)));
    Ok(windows)
}

impl WindowLength {
    /// The number of the window to which an interval belongs by its time.
    fn number_of(self, interval: &LoggedInterval) -> u128 {
        match self {
            Self::Time(length) => {
                let interval_length = interval.end.saturating_sub(interval.start);
                let length = length.max(interval_length).max(Duration::from_nanos(1));
                interval.start.as_nanos() / length.as_nanos()
            }
            Self::Messages(_) => 0,
        }
    }

    /// When the window with this number ends, if another follows.
    fn nominal_end(self, number: u128) -> Option<Duration> {
        match self {
            Self::Time(length) => {
                let count = u32::try_from(number).ok()?.checked_add(1)?;
                length.checked_mul(count)
            }
            Self::Messages(_) => None,
        }
    }

    fn is_reached(self, window: &OpenWindow) -> bool {
        match self {
            Self::Time(_) => false,
            Self::Messages(messages) => window.samples.len() >= messages,
        }
    }
}

/// A window that may still grow.
struct OpenWindow {
    number: u128,
    end: Duration,
    samples: Histogram<u64>,
}

impl OpenWindow {
    fn new(number: u128) -> Result<Self, String> {
        let samples = Histogram::new(SIGNIFICANT_DIGITS).map_err(|error| error.to_string())?;
        Ok(Self { number, end: Duration::ZERO, samples })
    }

    fn add(&mut self, interval: &LoggedInterval) -> Result<(), String> {
        self.end = interval.end;
        self.samples.add(&interval.samples).map_err(|error| error.to_string())
    }

    /// Closes the window, at `nominal_end` if its last intervals had no messages.
    fn close(self, nominal_end: Option<Duration>) -> Window {
        Window {
            end_s: nominal_end.map_or(self.end, |nominal| nominal.max(self.end)).as_secs_f64(),
            messages: self.samples.len(),
            percentiles_ns: PERCENTILES.map(|percentile| percentile_ns(&self.samples, percentile)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::interval_log::{IntervalLogs, IntervalTime};
    use crate::latency::LATENCY_MAX_NS;

    const MS: u64 = 1_000_000;

    /// The folder of a run with these latencies, in milliseconds, in its intervals of one second.
    fn folder_of(intervals: &[Vec<u64>]) -> tempfile::TempDir {
        let temporary = tempfile::tempdir().expect("temporary folder");
        std::fs::write(temporary.path().join(file_names::INTERVALS), "").expect("written");
        let mut logs = IntervalLogs::new(temporary.path());
        for (second, latencies_ms) in (0..).zip(intervals) {
            let mut samples = Histogram::new_with_bounds(1, LATENCY_MAX_NS, SIGNIFICANT_DIGITS)
                .expect("valid bounds");
            for ms in latencies_ms {
                samples.record(ms * MS).expect("in range");
            }
            let at = IntervalTime {
                base: SystemTime::now(),
                start: Duration::from_secs(second),
                length: Duration::from_secs(1),
            };
            logs.write(LATENCY, &at, &samples).expect("written");
        }
        temporary
    }

    /// End, messages and percentiles in whole milliseconds, which fit three digits.
    fn shown(intervals: &[Vec<u64>], length: WindowLength) -> Vec<(f64, u64, [u64; 5])> {
        let folder = folder_of(intervals);
        let windows = windows(folder.path(), length).expect("a run");
        let in_ms = |ns: u64| (ns + MS / 2) / MS;
        windows
            .iter()
            .map(|window| (window.end_s, window.messages, window.percentiles_ns.map(in_ms)))
            .collect()
    }

    #[test]
    fn windows_are_not_cumulative() {
        let first: Vec<u64> = (1..=100).collect();
        let second: Vec<u64> = (1..=100).map(|ms| 900 + ms).collect();
        let third = vec![7; 3];
        assert_eq!(
            shown(&[first, second, third], WindowLength::Time(Duration::from_secs(1))),
            [
                (1.0, 100, [50, 75, 85, 95, 99]),
                (2.0, 100, [950, 975, 985, 995, 999]),
                // Cumulative, these would be 52 and more.
                (3.0, 3, [7; 5]),
            ]
        );
    }

    #[test]
    fn windows_of_several_intervals_merge_their_histograms() {
        let intervals: Vec<Vec<u64>> = vec![
            (1..=50).collect(),
            (51..=100).collect(),
            vec![200; 10],
            Vec::new(),
            Vec::new(),
            Vec::new(),
            vec![300; 4],
        ];
        assert_eq!(
            shown(&intervals, WindowLength::Time(Duration::from_secs(2))),
            [
                (2.0, 100, [50, 75, 85, 95, 99]),
                // Its second interval is empty, and so is the next window.
                (4.0, 10, [200; 5]),
                // The run ended in it.
                (7.0, 4, [300; 5]),
            ]
        );
    }

    #[test]
    fn unaligned_windows_end_on_interval_boundaries() {
        let intervals: Vec<Vec<u64>> = (1..=6).map(|ms| vec![ms]).collect();
        let ends = |length_ms| {
            let windows = shown(&intervals, WindowLength::Time(Duration::from_millis(length_ms)));
            windows.iter().map(|(end_s, messages, _)| (*end_s, *messages)).collect::<Vec<_>>()
        };
        assert_eq!(ends(2_500), [(3.0, 3), (5.0, 2), (6.0, 1)]);
        assert_eq!(ends(100), (1..=6).map(|s| (f64::from(s), 1)).collect::<Vec<_>>());
    }

    #[test]
    fn windows_of_messages_end_on_interval_boundaries() {
        let intervals: Vec<Vec<u64>> =
            vec![vec![10; 40], vec![20; 70], vec![30; 100], Vec::new(), vec![40; 5]];
        assert_eq!(
            shown(&intervals, WindowLength::Messages(100)),
            [
                (2.0, 110, [20, 20, 20, 20, 20]),
                (3.0, 100, [30; 5]),
                // The rest.
                (5.0, 5, [40; 5]),
            ]
        );
    }

    #[test]
    fn the_csv_has_seconds_and_milliseconds() {
        let folder = folder_of(&[vec![1; 9], (1..=100).collect()]);
        let windows = windows(folder.path(), WindowLength::Messages(1)).expect("a run");
        let mut csv = Vec::new();
        write_csv(&windows, &mut csv).expect("written");
        // A bucket of three digits is represented by its highest value.
        assert_eq!(
            String::from_utf8(csv).expect("text"),
            "time_from_start,p50,p75,p85,p95,p99\n\
             1.000,1.000,1.000,1.000,1.000,1.000\n\
             2.000,50.004,75.039,85.000,95.027,99.025\n"
        );
    }

    #[test]
    fn no_latencies_give_no_windows_and_no_folder_an_error() {
        assert_eq!(shown(&[Vec::new()], WindowLength::Messages(1)), []);
        let folder = folder_of(&[vec![1]]);
        let nowhere = folder.path().join("nowhere");
        let error = windows(&nowhere, WindowLength::Messages(1)).expect_err("no folder");
        assert!(error.to_string().contains("use the result folder of a run"), "{error}");
        std::fs::write(folder.path().join("end_to_end_latency.hlog"), "#\nx\n").expect("written");
        let error = windows(folder.path(), WindowLength::Messages(1)).expect_err("no log");
        assert!(error.to_string().contains("it is not an interval log"), "{error}");
    }
}
