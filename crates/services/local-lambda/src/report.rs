//! The report of a mapping, for people and for results.

use serde::{Deserialize, Serialize};

use super::function::FunctionReport;
use bench_service_lambda::MappingSettings;

/// The version of the report's format.
pub const REPORT_VERSION: u32 = 1;

/// The state of a mapping.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MappingState {
    /// The stream does not exist or cannot be reached.
    #[default]
    Waiting,
    /// The stream is read.
    Running,
    /// It was stopped.
    Stopped,
}

/// The work of a mapping since its start. Written to `mapping.json` in its state folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappingReport {
    /// [`REPORT_VERSION`].
    pub schema_version: u32,
    /// The stream.
    pub stream: String,
    /// The function.
    pub function: String,
    /// Its memory, MB.
    pub memory_mb: u32,
    /// The settings in force.
    pub settings: MappingSettings,
    /// The current state.
    pub state: MappingState,
    /// The current counts.
    pub counts: MappingCounts,
    /// Invocations of the function.
    pub invoked: FunctionReport,
}

/// The counts of a mapping.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappingCounts {
    /// Records that were read.
    pub records_read: u64,
    /// Records that the function completed.
    pub records_done: u64,
    /// Records given up because their batch failed too often.
    pub given_up_retries: u64,
    /// Records given up because they became too old.
    pub given_up_age: u64,
    /// Records given up because they do not fit into an event.
    pub given_up_size: u64,
    /// Retries of batches or of parts of them.
    pub retries: u64,
    /// Batches split in two.
    pub bisections: u64,
    /// Answers that completed a part of a batch.
    pub partial_failures: u64,
    /// Age of the last record of the last batch when it was handed over, ms. Arrival times of
    /// streams are not exact; negative ages count as 0.
    pub iterator_age_ms: u64,
    /// The highest such age.
    pub iterator_age_max_ms: u64,
    /// Shards read to their end.
    pub shards_finished: u64,
    /// Calls of `GetRecords`.
    pub read_calls: u64,
    /// Of these, those that were throttled.
    pub read_throttled: u64,
}

/// Why records were given up, in the words that AWS sends to an on-failure destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GivenUp {
    /// Their batch failed too often.
    RetryAttemptsExhausted,
    /// They became too old.
    RecordAgeExceeded,
    /// They do not fit into an event. AWS has no word for it.
    RecordTooLarge,
}

impl MappingCounts {
    pub(super) fn give_up(&mut self, why: GivenUp, records: usize) {
        let count = match why {
            GivenUp::RetryAttemptsExhausted => &mut self.given_up_retries,
            GivenUp::RecordAgeExceeded => &mut self.given_up_age,
            GivenUp::RecordTooLarge => &mut self.given_up_size,
        };
        *count += records as u64;
    }
}
