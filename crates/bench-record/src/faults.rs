//! Faults that a driver injected during a run.

use std::fmt::{self, Display};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::latency::LatencyKind;

/// A fault that a driver injected into the system or the tool. Times are seconds from the start of the
/// schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultRecord {
    /// What was done.
    pub action: FaultAction,
    /// Its target: a node of the services, `tool`, a worker of the tool, or a service.
    pub target: String,
    /// Its size, for actions that have one: `100ms`, `1MiB/s`.
    pub setting: Option<String>,
    /// When it began. Absent if the run ended before.
    pub begin_s: Option<f64>,
    /// When it ended: the killed process was up again, the stopped one continued. Equal to the begin for
    /// faults that take no time. Absent if it did not end within the run.
    pub end_s: Option<f64>,
    /// Seconds from the begin until messages were received (without consumers: confirmed) as before; 0 if
    /// the figures show no disturbance.
    pub recovery_s: Option<f64>,
    /// Why there is no recovery time.
    pub unrecovered: Option<String>,
    /// Disturbed intervals after the recovery, up to the next fault or the end.
    pub disturbed_again: u64,
    /// The range that counted as undisturbed.
    pub band: Option<FaultBand>,
}

/// What a fault does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FaultAction {
    /// Kills a process (SIGKILL), or drops a worker as if it had been killed.
    Kill,
    /// Stops a process for a time (SIGSTOP).
    Stop,
    /// Ends a process gracefully (SIGTERM) and starts it again.
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
    /// Action, setting and target: `kill kafka-2`, `latency 100ms kafka`.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.setting {
            Some(setting) => format!("{} {setting} {}", self.action, self.target),
            None => format!("{} {}", self.action, self.target),
        }
    }

    /// Whether it was in force between `start_s` and `end_s`. A fault without an end stays in force; one
    /// that takes no time belongs to the interval that contains its instant.
    #[must_use]
    pub fn is_active(&self, start_s: f64, end_s: f64) -> bool {
        let Some(begin_s) = self.begin_s.filter(|begin_s| *begin_s < end_s) else { return false };
        self.end_s.is_none_or(|over_s| over_s > start_s || begin_s >= start_s)
    }
}

/// The range of the intervals between the warm-up and the first fault.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultBand {
    /// The latency by which the intervals are judged: end-to-end where there are consumers, otherwise
    /// publish, or the service time in a closed loop.
    pub latency: LatencyKind,
    /// Number of these intervals.
    pub intervals: u64,
    /// The highest of their 99th percentiles, nanoseconds.
    pub p99_max_ns: u64,
    /// The lowest of their rates of messages received (without consumers: confirmed).
    pub rate_min_msg_per_s: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

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
