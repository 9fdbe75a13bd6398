//! How far a run has come, as `experiment.json` records it.

use serde::{Deserialize, Serialize};

use super::early_failure::EarlyFailure;

/// How a run ended, or how far it has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RunStatus {
    /// Not started.
    #[default]
    Pending,
    /// Started; in a folder that nobody holds: cut short.
    Running,
    /// Came to its end; its figures count.
    Complete,
    /// Came to its end and lost nothing that is known to have been acknowledged, but not all of that is
    /// known: its figures do not count.
    Partial,
    /// Came to its end with loss or corruption: its figures do not count.
    Invalid,
    /// Did not come to its end.
    Failed,
    /// Ended by the time limit.
    TimedOut,
    /// Ended because run-suite was interrupted.
    Interrupted,
    /// Ended, but its files are gone, damaged, or another run's.
    Unreadable,
    /// Ended early because it failed a gate.
    GateFailed,
    /// Never made: those before it were enough.
    NotNeeded,
}

/// How far one run came.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunState {
    /// Its status.
    pub(crate) status: RunStatus,
    /// The exit code of the tool; absent when a signal ended it.
    pub(crate) exit_code: Option<i32>,
    /// RFC 3339 in UTC.
    pub(crate) started_at: Option<String>,
    /// RFC 3339 in UTC.
    pub(crate) ended_at: Option<String>,
    /// Why the run does not count, one sentence.
    pub(crate) problem: Option<String>,
    /// The ids of its tools' runs, in their order, by which their results are known again.
    #[serde(default)]
    pub(crate) run_ids: Vec<String>,
    /// The gate that it failed before its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failed_gate: Option<EarlyFailure>,
}

impl RunStatus {
    /// Whether the run came to its end, valid or not.
    pub(crate) fn is_ended(self) -> bool {
        matches!(self, Self::Complete | Self::Partial | Self::Invalid)
    }

    /// Whether `resume` leaves it alone, unless it failed.
    pub(crate) fn is_over(self) -> bool {
        !matches!(self, Self::Pending | Self::Running | Self::Interrupted)
    }

    /// Its name in files.
    pub(crate) fn name(self) -> String {
        let name = serde_json::to_value(self);
        name.ok().and_then(|name| Some(name.as_str()?.to_owned())).unwrap_or_default()
    }

    /// Its name in tables.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Complete => "valid",
            Self::Partial => "PARTIAL",
            Self::Invalid => "INVALID",
            Self::Failed => "FAILED",
            Self::TimedOut => "TIMED OUT",
            Self::Interrupted => "interrupted",
            Self::Unreadable => "UNREADABLE",
            Self::Running => "cut short or running",
            Self::Pending => "pending",
            Self::GateFailed => "GATE FAILED",
            Self::NotNeeded => "not needed",
        }
    }

    /// Its rank beside the status of another tool: the worse one wins.
    pub(crate) fn weight(self) -> u8 {
        match self {
            Self::Complete | Self::NotNeeded => 0,
            Self::Partial => 1,
            Self::Invalid => 2,
            Self::Failed | Self::TimedOut | Self::GateFailed | Self::Unreadable => 3,
            Self::Pending | Self::Running | Self::Interrupted => 4,
        }
    }
}
