//! Errors of maintenance.

use std::time::Duration;

/// Why maintenance failed.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    /// The table does not exist.
    #[error("there is no Delta table at {uri}; check --lake-path")]
    NoTable {
        /// Its expected location.
        uri: String,
    },
    /// Another writer changed what was to be replaced.
    #[error("{uri} was not compacted: {reason}; retry when no other writer changes it")]
    Conflict {
        /// The table.
        uri: String,
        /// What the other writer did.
        reason: String,
    },
    /// The table forbids removing its files that early.
    #[error(
        "a retention of {asked:?} is too short: the table {uri} keeps removed files for {least:?}, since readers \
         may still need them; use at least that long, or lower the table's \
         delta.deletedFileRetentionDuration"
    )]
    RetentionTooShort {
        /// The table.
        uri: String,
        /// The requested retention.
        asked: Duration,
        /// The table's retention.
        least: Duration,
    },
    /// A data file could not be read or written.
    #[error("failed to {attempted}: {problem}")]
    DataFile {
        /// The operation and its target.
        attempted: String,
        /// The cause.
        problem: String,
    },
}

impl MaintenanceError {
    /// Whether different options would help.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::NoTable { .. } | Self::RetentionTooShort { .. })
    }
}
