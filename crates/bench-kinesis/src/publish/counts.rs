//! Counts records and requests, in addition to the messages.

use bench_core::counts::{Count, Counts};

use super::KeySource;

/// The counts that a publisher adds to.
pub(super) struct PublishCounts {
    /// Requests that were answered or abandoned.
    requests: Count,
    /// Acknowledged Kinesis records.
    records: Count,
    /// Retries of Kinesis records.
    records_retried: Count,
    /// Kinesis records rejected because of their shard's limit.
    records_throttled: Count,
    /// Requests rejected as a whole because of a rate limit.
    requests_throttled: Count,
    /// Requests that failed as a whole for another reason.
    requests_failed: Count,
    /// Messages without the partition key field, if one is configured.
    default_partition_keys: Option<Count>,
}

/// The counts of one answer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct AnswerCounts {
    pub(super) acked: usize,
    pub(super) retried: usize,
    pub(super) throttled: usize,
    pub(super) request_throttled: bool,
    pub(super) request_failed: bool,
}

impl PublishCounts {
    pub(super) fn new(counts: &Counts, keys: &KeySource) -> Self {
        let has_field = matches!(keys, KeySource::Field { .. });
        Self {
            requests: counts.count("requests"),
            records: counts.count("records"),
            records_retried: counts.count("records_retried"),
            records_throttled: counts.count("records_throttled"),
            requests_throttled: counts.count("requests_throttled"),
            requests_failed: counts.count("requests_failed"),
            default_partition_keys: has_field.then(|| counts.count("default_partition_keys")),
        }
    }

    pub(super) fn answered(&self, answer: AnswerCounts) {
        self.requests.add(1);
        self.records.add(answer.acked as u64);
        self.records_retried.add(answer.retried as u64);
        self.records_throttled.add(answer.throttled as u64);
        self.requests_throttled.add(u64::from(answer.request_throttled));
        self.requests_failed.add(u64::from(answer.request_failed));
    }

    pub(super) fn default_keys(&self, more: usize) {
        if let Some(count) = self.default_partition_keys.as_ref().filter(|_| more > 0) {
            count.add(more as u64);
        }
    }
}
