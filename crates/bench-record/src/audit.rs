//! What became of the messages of a run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What became of the messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditSummary {
    /// What the received messages were checked against.
    pub against: AuditBasis,
    /// Distinct messages of this run that were received.
    pub received: u64,
    /// Acknowledged and not received. Against `sequences`: missing between the lowest and the highest
    /// received. Against `expected`: the same, or the shortfall from the expected number if that is more.
    pub lost: u64,
    /// The same for a run that stopped reading before the end: the messages may be there.
    #[serde(default)]
    pub unread: u64,
    /// Why the record of acknowledged messages is incomplete, if it is.
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
    /// Received although never acknowledged (a timeout whose message arrived anyway), without those
    /// counted in `aborted_received`.
    pub unacked_received: u64,
    /// Received although their transaction was aborted.
    #[serde(default)]
    pub aborted_received: u64,
    /// What the readers were promised; breaking it makes the run invalid.
    #[serde(default)]
    pub guarantee: Guarantee,
    /// The same by producer.
    pub producers: Vec<ProducerAudit>,
}

/// What received messages were checked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AuditBasis {
    /// The messages that the system acknowledged.
    Acked,
    /// Only the sequence numbers: messages missing at either end of a stream cannot be detected, so gaps
    /// are a warning and do not affect the verdict.
    Sequences,
    /// The expected number of messages, and the sequence numbers: gaps are losses.
    Expected,
}

/// What readers were promised. Each guarantee includes those before it.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Guarantee {
    /// Every acknowledged message arrives, undamaged.
    #[default]
    AtLeastOnce,
    /// No message of an aborted transaction arrives.
    Committed,
    /// No message arrives twice.
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
