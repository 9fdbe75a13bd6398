//! What became of the messages of a run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What became of the messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditSummary {
    /// What the received messages were held against.
    pub against: AuditBasis,
    /// Distinct messages of this run that were received.
    pub received: u64,
    /// Acknowledged and not received. Against `sequences`: missing between the lowest and the
    /// highest received; against `expected` the same, or what the number lacks where that is more.
    pub lost: u64,
    /// The same of a run that stopped reading before the end: they may be there.
    #[serde(default)]
    pub unread: u64,
    /// Why the record of what was acknowledged is not whole, where it is not.
    #[serde(default)]
    pub partial: Option<String>,
    /// Received again.
    pub duplicated: u64,
    /// Received after a later message of the same producer and partition.
    pub reordered: u64,
    /// Not decodable: damaged, or not written by this benchmark.
    pub corrupt: u64,
    /// Of another run.
    pub foreign: u64,
    /// Received although never acknowledged (a time-out whose message arrived all the same); those
    /// of `aborted_received` left out.
    pub unacked_received: u64,
    /// Received although their transaction was aborted.
    #[serde(default)]
    pub aborted_received: u64,
    /// What the readers were promised: more than that makes the run invalid.
    #[serde(default)]
    pub guarantee: Guarantee,
    /// The same by producer.
    pub producers: Vec<ProducerAudit>,
}

/// What received messages were held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AuditBasis {
    /// The messages that the system acknowledged.
    Acked,
    /// The sequence numbers alone: what is missing at either end of a stream cannot be seen, so
    /// that gaps are a warning and no verdict.
    Sequences,
    /// The number of messages that was to come, and the sequence numbers: gaps are a loss.
    Expected,
}

/// What readers were promised of messages. Each holds what those before it promise.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Guarantee {
    /// What was acknowledged arrives, undamaged.
    #[default]
    AtLeastOnce,
    /// Nothing of an aborted transaction arrives.
    Committed,
    /// Nothing arrives twice.
    ExactlyOnce,
}

/// The audit of one producer's stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProducerAudit {
    /// The run that it belongs to.
    pub run_id: String,
    /// Producer id.
    pub producer: u16,
    /// Acknowledged messages; 0 against `sequences`.
    pub acked: u64,
    /// Distinct messages received.
    pub received: u64,
    /// As in [`AuditSummary::lost`].
    pub lost: u64,
    /// As in [`AuditSummary::unread`].
    #[serde(default)]
    pub unread: u64,
    /// As in [`AuditSummary::duplicated`].
    pub duplicated: u64,
    /// As in [`AuditSummary::reordered`].
    pub reordered: u64,
    /// As in [`AuditSummary::unacked_received`].
    pub unacked_received: u64,
    /// As in [`AuditSummary::aborted_received`].
    #[serde(default)]
    pub aborted_received: u64,
    /// The first ranges of lost or unread sequence numbers, `first..=last`, at most ten.
    pub lost_ranges: Vec<(u64, u64)>,
}
