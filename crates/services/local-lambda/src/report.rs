//! What a mapping has done, for people and for results.

use serde::{Deserialize, Serialize};

use super::function::FunctionReport;
use bench_service_lambda::MappingSettings;

/// The version of the report's form.
pub const REPORT_VERSION: u32 = 1;

/// What a mapping does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MappingState {
    /// The stream is not there, or cannot be reached.
    #[default]
    Waiting,
    /// The stream is read.
    Running,
    /// It was told to stop, and has.
    Stopped,
}

/// What a mapping has done since it was started. Written to `mapping.json` in its state folder.
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
    /// What the mapping does at the moment.
    pub state: MappingState,
    /// The same counts as they change all the time.
    pub counts: MappingCounts,
    /// Of the function.
    pub invoked: FunctionReport,
}

/// What a mapping counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappingCounts {
    /// Records that were read.
    pub records_read: u64,
    /// Records that the function has done.
    pub records_done: u64,
    /// Records that were given up because their batch had failed too often.
    pub given_up_retries: u64,
    /// Records that were given up because they had become too old.
    pub given_up_age: u64,
    /// Records that were given up because no event can hold them.
    pub given_up_size: u64,
    /// Batches that were tried again, or what was left of them.
    pub retries: u64,
    /// Batches that were split in two.
    pub bisections: u64,
    /// Answers by which a part of a batch was done.
    pub partial_failures: u64,
    /// How old the last record of the last batch was when it was handed over, ms. Streams tell
    /// arrival times more or less exactly; negative ages count as 0.
    pub iterator_age_ms: u64,
    /// The oldest such.
    pub iterator_age_max_ms: u64,
    /// Shards that were read to their end.
    pub shards_finished: u64,
    /// Calls of `GetRecords`.
    pub read_calls: u64,
    /// Of these, how many were throttled.
    pub read_throttled: u64,
}

/// Why records were given up, as AWS words it in what it sends to an on-failure destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GivenUp {
    /// Their batch had failed too often.
    RetryAttemptsExhausted,
    /// They had become too old.
    RecordAgeExceeded,
    /// No event can hold them. AWS has no word for it.
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
