//! `NAME.hlog`: one distribution of a run as an `HdrHistogram` V2 interval log, with a line for each
//! interval with samples. Values are nanoseconds; times count from the start of the schedule.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{
    IntervalLogHistogram, IntervalLogIterator, IntervalLogWriterBuilder, LogEntry,
};
use hdrhistogram::serialization::{Deserializer, V2DeflateSerializer};

use crate::{file_names, files};

/// The logs of one run. Each file is created with its first sample.
pub struct IntervalLogs {
    folder: PathBuf,
    files: BTreeMap<&'static str, File>,
}

/// The time of an interval.
pub struct IntervalTime {
    /// The instant from which times in the log are counted.
    pub base: SystemTime,
    /// Its start.
    pub start: Duration,
    /// Its length.
    pub length: Duration,
}

impl IntervalLogs {
    /// The logs of a run in its result folder.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), files: BTreeMap::new() }
    }

    /// Adds an interval to the log of `name`, unless it has no samples.
    pub fn write(
        &mut self,
        name: &'static str,
        at: &IntervalTime,
        samples: &Histogram<u64>,
    ) -> io::Result<()> {
        if samples.is_empty() {
            return Ok(());
        }
        let text = whole_log(at, samples)?;
        if let Some(file) = self.files.get_mut(name) {
            // Everything before the last line is the header, which the log already has.
            let line = text.trim_end().rsplit('\n').next().unwrap_or_default();
            return writeln!(file, "{line}");
        }
        let mut file = files::create_new(&self.folder.join(file_names::interval_log(name)))?;
        let written = file.write_all(text.as_bytes());
        self.files.insert(name, file);
        written
    }
}

/// A log with one interval.
fn whole_log(at: &IntervalTime, samples: &Histogram<u64>) -> io::Result<String> {
    let mut text = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment("Latencies in nanoseconds")
        .with_base_time(at.base)
        .with_start_time(at.base)
        .begin_log_with(&mut text, &mut serializer)?;
    log.write_histogram(samples, at.start, at.length, None)
        .map_err(|error| io::Error::other(format!("{error:?}")))?;
    String::from_utf8(text).map_err(io::Error::other)
}

/// An interval read from a log.
pub struct LoggedInterval {
    /// Its start, from the start of the schedule.
    pub start: Duration,
    /// Its end, from the start of the schedule.
    pub end: Duration,
    /// Its samples, nanoseconds.
    pub samples: Histogram<u64>,
}

/// The intervals of a log in order of time, one at a time: an hour of them fills a gigabyte. A last line
/// cut short by a crash is left out; any other damaged line is an error, which says what is wrong with
/// it, and ends the log.
pub fn intervals(log: &[u8]) -> impl Iterator<Item = Result<LoggedInterval, String>> {
    let whole = log.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    IntervalLogIterator::new(&log[..whole]).filter_map(|entry| match entry {
        Ok(LogEntry::Interval(interval)) => Some(logged(&interval)),
        Ok(LogEntry::StartTime(_) | LogEntry::BaseTime(_)) => None,
        Err(error) => Some(Err(format!("it is not an interval log: {error:?}"))),
    })
}

fn logged(interval: &IntervalLogHistogram<'_>) -> Result<LoggedInterval, String> {
    let start = interval.start_timestamp();
    let damaged = |problem: &dyn std::fmt::Display| {
        format!("its interval at {:.3} s is damaged: {problem}", start.as_secs_f64())
    };
    let bytes = STANDARD.decode(interval.encoded_histogram()).map_err(|error| damaged(&error))?;
    let samples = Deserializer::new().deserialize(&mut bytes.as_slice());
    let samples = samples.map_err(|error| damaged(&error))?;
    Ok(LoggedInterval { start, end: start.saturating_add(interval.duration()), samples })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Histogram<u64> {
        Histogram::new(3).expect("three digits")
    }

    fn logs(folder: &Path) -> Vec<u8> {
        let mut logs = IntervalLogs::new(folder);
        for (second, ns) in [(0, 10), (1, 20), (3, 30)] {
            let mut samples = empty();
            samples.record(ns).expect("in range");
            let at = IntervalTime {
                base: SystemTime::UNIX_EPOCH,
                start: Duration::from_secs(second),
                length: Duration::from_secs(1),
            };
            logs.write("commit_time", &at, &samples).expect("written");
            logs.write("commit_time", &at, &empty()).expect("nothing to write");
        }
        std::fs::read(folder.join("commit_time.hlog")).expect("a log")
    }

    #[test]
    fn written_logs_are_read_back() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let log = logs(folder.path());
        let read: Vec<_> = intervals(&log)
            .map(|interval| {
                let interval = interval.expect("whole");
                (interval.start.as_secs(), interval.end.as_secs(), interval.samples.max())
            })
            .collect();
        assert_eq!(read, [(0, 1, 10), (1, 2, 20), (3, 4, 30)]);
    }

    #[test]
    fn truncated_lines_are_skipped_and_damaged_ones_named() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut log = logs(folder.path());
        log.truncate(log.len() - 10);
        assert_eq!(intervals(&log).flatten().count(), 2);

        let text = String::from_utf8(log).expect("text");
        let damaged = text.replacen("HISTF", "HISXF", 1);
        assert_ne!(damaged, text, "V2 histograms begin like this");
        let problem = intervals(damaged.as_bytes()).find_map(Result::err).expect("damaged");
        assert!(problem.contains("its interval at 0.000 s is damaged"), "{problem}");
        assert!(intervals(b"no log\n").any(|interval| interval.is_err()));
        assert_eq!(intervals(b"").count(), 0);
    }
}
