//! What happened to records and requests besides the messages' fate.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of all publishers of a run.
#[derive(Debug, Default)]
pub struct PublishCounts {
    pub(super) requests: AtomicU64,
    pub(super) records: AtomicU64,
    pub(super) retried_records: AtomicU64,
    pub(super) throttled_records: AtomicU64,
    pub(super) throttled_requests: AtomicU64,
    pub(super) failed_requests: AtomicU64,
    pub(super) default_keys: AtomicU64,
}

impl PublishCounts {
    /// The counts by name:
    /// - `put_requests`: requests that were answered, or given up;
    /// - `put_records`: Kinesis records that were confirmed;
    /// - `retried_records`: how often a Kinesis record was sent again;
    /// - `throttled_records`: how often one was refused because its shard is asked too much;
    /// - `throttled_requests`: requests that were refused as a whole for that reason;
    /// - `failed_requests`: requests that failed as a whole for another reason;
    /// - `default_partition_keys`: messages without the field that holds the partition key.
    #[must_use]
    pub fn by_name(&self) -> [(&'static str, u64); 7] {
        [
            ("put_requests", &self.requests),
            ("put_records", &self.records),
            ("retried_records", &self.retried_records),
            ("throttled_records", &self.throttled_records),
            ("throttled_requests", &self.throttled_requests),
            ("failed_requests", &self.failed_requests),
            ("default_partition_keys", &self.default_keys),
        ]
        .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }
}

/// Adds to a count. The counts are read when the publishers have ended.
pub(super) fn add(count: &AtomicU64, more: usize) {
    if more > 0 {
        count.fetch_add(more as u64, Ordering::Relaxed);
    }
}
