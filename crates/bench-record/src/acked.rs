//! `acked.json`: what a run's producers had acknowledged.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of the `acked.json` schema that this code writes and reads.
pub const LEDGER_SCHEMA_VERSION: u32 = 1;

/// `acked.json`: the acknowledged messages of a run's producers, as ranges of sequence numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LedgerFile {
    /// Version of this schema.
    pub schema_version: u32,
    /// Whether the record is complete: written after the last acknowledgement. Absent in files of
    /// earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_whole: Option<bool>,
    /// One entry per producer.
    pub producers: Vec<LedgerProducer>,
}

/// One producer's acknowledged messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LedgerProducer {
    /// The run id, ten hexadecimal digits.
    pub run_id: String,
    /// Producer id.
    pub producer: u16,
    /// Ranges of acknowledged sequence numbers, first to last.
    pub acked: Vec<(u64, u64)>,
    /// Ranges of messages whose transaction was aborted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aborted: Vec<(u64, u64)>,
}
