//! What the job reports of its batches, one JSON object per line.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bench_core::counts::{Count, Counts};
use bench_core::durations::{DurationRecorder, Durations};
use serde::Deserialize;

/// The names of the durations in results.
const BATCH: &str = "batch_time";
const PLANNING: &str = "planning_time";
const WAL_COMMIT: &str = "wal_commit_time";
const COMMIT_OFFSETS: &str = "commit_offsets_time";

/// The name of the count of the query's starts.
pub(crate) const STARTS: &str = "driver_starts";

/// One line.
#[derive(Debug, Deserialize)]
struct Line {
    event: String,
    #[serde(default)]
    batch_events: Option<u64>,
    #[serde(default)]
    malformed: Option<u64>,
    /// Offsets by partition, as JSON.
    #[serde(default)]
    offsets_to: Option<String>,
    #[serde(default)]
    batch_ms: Option<u64>,
    #[serde(default)]
    query_planning_ms: Option<u64>,
    #[serde(default)]
    wal_commit_ms: Option<u64>,
    #[serde(default)]
    commit_offsets_ms: Option<u64>,
}

/// Follows the job's report, and records it.
pub(crate) struct Batches {
    path: PathBuf,
    file: Option<BufReader<File>>,
    /// The beginning of a line that is not whole yet.
    partial: String,
    count: Count,
    events: Count,
    malformed: Count,
    starts: Count,
    batch: DurationRecorder,
    planning: DurationRecorder,
    wal_commit: DurationRecorder,
    commit_offsets: DurationRecorder,
    /// The sum of the offsets up to which the job has read.
    reached: Arc<AtomicI64>,
    is_recording: bool,
}

impl Batches {
    pub(crate) fn follow(path: &Path, counts: &Counts, durations: &Durations) -> Self {
        Self {
            path: path.to_owned(),
            file: None,
            partial: String::new(),
            count: counts.count("batches"),
            events: counts.count("events_processed"),
            malformed: counts.count("events_malformed"),
            starts: counts.count(STARTS),
            batch: durations.named(BATCH),
            planning: durations.named(PLANNING),
            wal_commit: durations.named(WAL_COMMIT),
            commit_offsets: durations.named(COMMIT_OFFSETS),
            reached: Arc::default(),
            is_recording: false,
        }
    }

    /// From now on what is read counts: the batches before were the job's warm-up.
    pub(crate) fn begin(&mut self) {
        self.is_recording = true;
    }

    /// The sum of the offsets up to which the job has read, kept up to date by
    /// [`take`](Self::take).
    pub(crate) fn reached(&self) -> Arc<AtomicI64> {
        Arc::clone(&self.reached)
    }

    /// Takes what the job has written since. Returns the number of events in it.
    pub(crate) fn take(&mut self) -> u64 {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok().map(BufReader::new);
        }
        let Some(file) = &mut self.file else { return 0 };
        let mut lines = Vec::new();
        loop {
            match file.read_line(&mut self.partial) {
                Ok(0) | Err(_) => break,
                Ok(_) if self.partial.ends_with('\n') => {
                    lines.push(std::mem::take(&mut self.partial));
                }
                Ok(_) => {}
            }
        }
        lines.iter().map(|line| self.record(line)).sum()
    }

    fn record(&mut self, line: &str) -> u64 {
        // A driver killed in the middle of a line leaves half of it.
        let Ok(line) = serde_json::from_str::<Line>(line) else { return 0 };
        if line.event == "started" {
            self.starts.add(1);
        }
        if line.event != "batch" {
            return 0;
        }
        let events = line.batch_events.unwrap_or(0);
        let malformed = line.malformed.unwrap_or(0);
        if self.is_recording && events + malformed > 0 {
            self.count.add(1);
            self.events.add(events);
            self.malformed.add(malformed);
            for (recorder, duration_ms) in [
                (&self.batch, line.batch_ms),
                (&self.planning, line.query_planning_ms),
                (&self.wal_commit, line.wal_commit_ms),
                (&self.commit_offsets, line.commit_offsets_ms),
            ] {
                if let Some(duration_ms) = duration_ms {
                    recorder.record(duration_ms.saturating_mul(1_000_000));
                }
            }
        }
        let offsets = line.offsets_to.as_deref().map(serde_json::from_str::<BTreeMap<String, i64>>);
        if let Some(Ok(offsets)) = offsets {
            self.reached.store(offsets.values().sum(), Ordering::Relaxed);
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::*;

    #[test]
    fn batches_count_once_they_are_whole_and_after_the_warm_up() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("progress.jsonl");
        let (counts, durations) = (Counts::default(), Durations::default());
        let mut batches = Batches::follow(&path, &counts, &durations);
        assert_eq!(batches.take(), 0, "no file yet");
        let batch = r#"{"event":"batch","batch_events":3,"malformed":1,"batch_ms":20,"offsets_to":"{\"0\": 4, \"1\": 3}"}"#;
        fs::write(&path, format!("{{\"event\":\"started\"}}\n{batch}\n")).expect("written");
        assert_eq!(batches.take(), 3);
        assert_eq!(counts.read()["batches"], 0, "warm-up");
        batches.begin();
        let mut file = fs::OpenOptions::new().append(true).open(&path).expect("opened");
        write!(file, "{}", &batch[..20]).expect("written");
        assert_eq!(batches.take(), 0, "half a line");
        writeln!(file, "{}", &batch[20..]).expect("written");
        writeln!(file, "{{\"event\":\"bat").expect("written");
        assert_eq!(batches.take(), 3);
        let read = counts.read();
        assert_eq!((read["batches"], read["events_processed"]), (1, 3));
        assert_eq!((read["events_malformed"], read["driver_starts"]), (1, 1));
        assert_eq!(batches.reached().load(Ordering::Relaxed), 7);
    }
}
