//! What a driver did to the system in the course of a run.

use std::fmt::{self, Display};
use std::io::{self, Write as _};
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{LatencyKind, RunDocument, assess_faults, file_names, files, intervals};

/// Something that a driver did to the system, or to the tool, to see what becomes of the messages.
/// Times are seconds from the start of the schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultRecord {
    /// What was done.
    pub action: FaultAction,
    /// To what: a node of the services, `tool`, a worker of the tool, or a service.
    pub target: String,
    /// How much, for an action that knows more and less: `100ms`, `1MiB/s`.
    pub setting: Option<String>,
    /// When it was done. Absent when the run ended before.
    pub begin_s: Option<f64>,
    /// When it was undone: what was killed is up again, what stood still goes on. The begin for
    /// what takes no time. Absent when it was not undone in the run.
    pub end_s: Option<f64>,
    /// From the begin until messages were received (without consumers: confirmed) as before.
    /// 0 when the figures show no disturbance at all.
    pub recovery_s: Option<f64>,
    /// Why there is no recovery.
    pub unrecovered: Option<String>,
    /// Disturbed intervals after the recovery, up to the next fault or the end.
    pub disturbed_again: u64,
    /// What counted as undisturbed.
    pub band: Option<FaultBand>,
}

/// What a fault does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FaultAction {
    /// Ends a process without a word (SIGKILL), or tears a worker down as if that had happened.
    Kill,
    /// Has a process stand still for a time (SIGSTOP).
    Stop,
    /// Ends a process in good order (SIGTERM) and starts it again.
    Restart,
    /// Adds latency to connections.
    Latency,
    /// Limits the bandwidth of connections.
    Bandwidth,
    /// Resets all connections.
    Reset,
}

impl Display for FaultAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Latency => "latency",
            Self::Bandwidth => "bandwidth",
            Self::Reset => "reset",
        })
    }
}

impl FaultRecord {
    /// What was done to what: `kill kafka-2`, `latency 100ms kafka`.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.setting {
            Some(setting) => format!("{} {setting} {}", self.action, self.target),
            None => format!("{} {}", self.action, self.target),
        }
    }

    /// Whether it was in force at some time from `start_s` to `end_s`. What was not undone stays in
    /// force; what takes no time belongs to the interval that begins with it or holds it.
    #[must_use]
    pub fn is_active(&self, start_s: f64, end_s: f64) -> bool {
        let Some(begin_s) = self.begin_s.filter(|begin_s| *begin_s < end_s) else { return false };
        self.end_s.is_none_or(|over_s| over_s > start_s || begin_s >= start_s)
    }
}

/// The range of the intervals between the warm-up and the first fault.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultBand {
    /// The latency that was looked at.
    pub latency: LatencyKind,
    /// Number of these intervals.
    pub intervals: u64,
    /// The highest of their 99th percentiles, nanoseconds.
    pub p99_max_ns: u64,
    /// The lowest of their rates of messages received (without consumers: confirmed).
    pub rate_min_msg_per_s: f64,
}

/// Enters the faults of a run into the folder of the run, once it is over: a column `fault` in
/// `intervals.csv`, and in `run.json` each fault with its recovery, and `warnings` beside the run's
/// own. Times of the faults are seconds from the start of the schedule.
pub fn mark_faults(
    run_dir: &Path,
    mut faults: Vec<FaultRecord>,
    warnings: Vec<String>,
) -> io::Result<()> {
    let path = run_dir.join(file_names::INTERVALS);
    let table = files::read_file(&path)?;
    assess_faults(&intervals::read(&table)?, &mut faults);
    let marked = intervals::with_faults(&table, &faults)?;
    files::replace_file(&path, |file| file.write_all(&marked))?;
    let path = run_dir.join(file_names::DOCUMENT);
    let mut document: RunDocument = serde_json::from_slice(&files::read_file(&path)?)?;
    document.faults = faults;
    for warning in warnings {
        if !document.warnings.contains(&warning) {
            document.warnings.push(warning);
        }
    }
    let text = serde_json::to_vec_pretty(&document)?;
    files::replace_file(&path, |file| file.write_all(&text))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hdrhistogram::Histogram;

    use super::*;
    use crate::intervals::{IntervalCounts, IntervalTable};
    use crate::{HostInfo, SCHEMA_VERSION, Status, ToolInfo};

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
            host: HostInfo {
                name: String::new(),
                os: String::new(),
                cpu: String::new(),
                cpus: 1,
                memory_bytes: 0,
                load_average_1m: 0.0,
            },
            versions: BTreeMap::new(),
            summary: None,
            warnings: Vec::new(),
            faults: Vec::new(),
        }
    }

    #[test]
    fn faults_are_entered_with_their_recovery() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join(file_names::INTERVALS);
        let mut table = IntervalTable::create(&path, Vec::new()).expect("created");
        for (second, latency_ns) in (0_u32..).zip([5, 6, 5, 800_000_000, 5, 5, 5]) {
            let start_s = f64::from(second);
            let counts = IntervalCounts {
                start_s,
                end_s: start_s + 1.0,
                sent: 1,
                received: 1,
                ..IntervalCounts::default()
            };
            let mut samples = Histogram::<u64>::new(3).expect("three digits");
            samples.record(latency_ns).expect("in range");
            let of = |kind| (kind == LatencyKind::EndToEnd).then_some(&samples);
            table.write(&counts, of, |_| None).expect("written");
        }
        let document = serde_json::to_vec(&document()).expect("JSON");
        std::fs::write(folder.path().join(file_names::DOCUMENT), document).expect("written");
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
        // Repeating it changes nothing: a driver may have died half way.
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
    fn a_fault_marks_the_intervals_of_its_time() {
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
}
