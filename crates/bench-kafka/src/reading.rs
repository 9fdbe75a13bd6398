//! Tracks how far a consumer has read its partitions and whether it has reached their ends.
//!
//! The end of a partition is its high watermark. A read-committed consumer stops at the first open
//! transaction, and the client library reports that position as the end of the partition as well.

use std::time::{Duration, Instant};

use crate::health::is_news;

/// Maximum time for a group to reassign its partitions. Until then, a member whose partitions were
/// all revoked may get others, which nobody has read to their ends.
const REBALANCE_MAX: Duration = Duration::from_mins(1);

/// How far a consumer reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// To the first known end of each partition.
    FirstEnd,
    /// Until it is stopped.
    Stopped,
}

/// The partitions of one consumer.
#[derive(Debug)]
pub(crate) struct Reading {
    until: Until,
    partitions: Vec<Partition>,
    /// When a group member began to wait for its partitions.
    waiting_since: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Partition {
    id: i32,
    /// The next offset to read, once known. Transaction markers are skipped only when the end was
    /// seen.
    next: Option<i64>,
    /// Whether the client library has reported the end here.
    at_eof: bool,
    /// Where reading stops, once known.
    end: Option<i64>,
}

impl Partition {
    fn new(id: i32) -> Self {
        Self { id, next: None, at_eof: false, end: None }
    }
}

/// A transaction that blocks read-committed consumers until it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpenTransaction {
    /// The blocked partition.
    pub(crate) partition: i32,
    /// Its first offset.
    pub(crate) offset: i64,
}

impl OpenTransaction {
    /// Describes the transaction as something to wait for.
    pub(crate) fn describe(&self, topic: &str) -> String {
        format!(
            "an open transaction in topic '{topic}', partition {}, which hides messages from \
             offset {} on",
            self.partition, self.offset
        )
    }

    /// Logs once that a consumer waits for it.
    pub(crate) fn announce(&self, topic: &str) {
        let what = self.describe(topic);
        if is_news(what.as_str()) {
            tracing::warn!(
                "waiting for {what}; brokers abort it after its transaction.timeout.ms (default 1 \
                 minute)"
            );
        }
    }
}

impl Reading {
    pub(crate) fn new(until: Until) -> Self {
        Self { until, partitions: Vec::new(), waiting_since: None }
    }

    /// Records that the consumer has asked its group for partitions.
    pub(crate) fn joined(&mut self) {
        self.waiting_since = Some(Instant::now());
    }

    /// Adds a partition without a group, read from an offset; `high` is its high watermark.
    pub(crate) fn take(&mut self, id: i32, from: i64, high: i64) {
        let end = (self.until == Until::FirstEnd).then_some(high);
        // After an open transaction, the client library reports no end until that transaction ends.
        let at_eof = from >= high;
        self.partitions.push(Partition { id, next: Some(from), at_eof, end });
    }

    /// Records the partitions that a group has assigned, in addition to the current ones if
    /// `is_incremental`.
    pub(crate) fn assigned(&mut self, ids: impl Iterator<Item = i32>, is_incremental: bool) {
        if !is_incremental {
            self.partitions.clear();
        }
        self.partitions.extend(ids.map(Partition::new));
        self.waiting_since = None;
    }

    /// Records the partitions that a group has revoked.
    pub(crate) fn revoked(&mut self, ids: impl Iterator<Item = i32>) {
        for id in ids {
            self.partitions.retain(|partition| partition.id != id);
        }
        if self.partitions.is_empty() {
            self.waiting_since = Some(Instant::now());
        }
    }

    /// Number of partitions.
    pub(crate) fn len(&self) -> usize {
        self.partitions.len()
    }

    /// Records that messages up to and including this offset were passed on.
    #[inline]
    pub(crate) fn passed(&mut self, id: i32, offset: i64) {
        if let Some(partition) = self.partition(id) {
            partition.next = Some(offset + 1);
            partition.at_eof = false;
        }
    }

    /// Records that the client library reported the end at this offset; `high` is the high
    /// watermark, if known.
    pub(crate) fn ended(&mut self, id: i32, offset: i64, high: Option<i64>) {
        let until = self.until;
        if let Some(partition) = self.partition(id) {
            partition.next = Some(offset);
            partition.at_eof = true;
            if until == Until::FirstEnd && partition.end.is_none() {
                partition.end = Some(high.map_or(offset, |high| high.max(offset)));
            }
        }
    }

    /// Whether all partitions have been read to their ends. Never true without partitions, or with
    /// [`Until::Stopped`].
    pub(crate) fn is_at_end(&self) -> bool {
        let at_end = |partition: &Partition| {
            let Partition { next, end, at_eof, .. } = *partition;
            at_eof && next.zip(end).is_some_and(|(next, end)| next >= end)
        };
        !self.partitions.is_empty() && self.partitions.iter().all(at_end)
    }

    /// Whether a partition has not been read to its end, or one may still be assigned that nobody
    /// has read. `high` looks up high watermarks.
    pub(crate) fn is_behind(&self, high: impl Fn(i32) -> Option<i64>) -> bool {
        let is_behind = |partition: &Partition| {
            let end = partition.end.or_else(|| high(partition.id));
            partition.next.is_none_or(|next| end.is_none_or(|end| next < end))
        };
        self.waiting_since.is_some_and(|since| since.elapsed() < REBALANCE_MAX)
            || self.partitions.iter().any(is_behind)
    }

    /// An open transaction that blocks a read-committed consumer.
    pub(crate) fn open_transaction(
        &self,
        high: impl Fn(i32) -> Option<i64>,
    ) -> Option<OpenTransaction> {
        self.partitions.iter().filter(|partition| partition.at_eof).find_map(|partition| {
            let end = partition.end.or_else(|| high(partition.id))?;
            let offset = partition.next.filter(|next| *next < end)?;
            Some(OpenTransaction { partition: partition.id, offset })
        })
    }

    fn partition(&mut self, id: i32) -> Option<&mut Partition> {
        self.partitions.iter_mut().find(|partition| partition.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNKNOWN: fn(i32) -> Option<i64> = |_| None;

    fn assigned(until: Until, ids: std::ops::Range<i32>) -> Reading {
        let mut reading = Reading::new(until);
        reading.assigned(ids, false);
        reading
    }

    #[test]
    fn consumers_are_behind_until_every_partition_ends() {
        let mut reading = assigned(Until::FirstEnd, 0..2);
        assert!(reading.is_behind(UNKNOWN) && !reading.is_at_end());
        reading.ended(0, 5, Some(5));
        assert!(reading.is_behind(UNKNOWN) && !reading.is_at_end());
        reading.passed(1, 8);
        reading.ended(1, 9, Some(9));
        assert!(!reading.is_behind(UNKNOWN) && reading.is_at_end());
    }

    #[test]
    fn open_transactions_are_not_the_end() {
        let mut reading = assigned(Until::FirstEnd, 0..1);
        reading.ended(0, 5, Some(521));
        assert!(reading.is_behind(UNKNOWN) && !reading.is_at_end());
        let open = reading.open_transaction(UNKNOWN);
        assert_eq!(open, Some(OpenTransaction { partition: 0, offset: 5 }));
        // It is aborted, which leaves a marker, and another one has begun after that.
        reading.passed(0, 520);
        assert_eq!(reading.open_transaction(UNKNOWN), None, "messages arrived");
        reading.ended(0, 522, Some(700));
        assert!(reading.is_at_end() && !reading.is_behind(UNKNOWN));
        assert_eq!(
            reading.open_transaction(UNKNOWN),
            None,
            "the later transaction starts past the \
                                                             end"
        );
    }

    #[test]
    fn aborted_messages_at_the_end_count_as_read() {
        let mut reading = assigned(Until::FirstEnd, 0..1);
        reading.passed(0, 99);
        reading.ended(0, 202, Some(202));
        assert!(reading.is_at_end() && !reading.is_behind(UNKNOWN));
    }

    #[test]
    fn endless_consumers_follow_the_latest_end() {
        let mut reading = assigned(Until::Stopped, 0..1);
        reading.ended(0, 5, Some(5));
        assert!(!reading.is_at_end() && !reading.is_behind(|_| Some(5)));
        assert!(reading.is_behind(|_| Some(6)));
        reading.passed(0, 5);
        assert!(!reading.is_behind(|_| Some(6)));
        assert!(reading.is_behind(|_| Some(7)), "a transaction marker, or more");
        reading.ended(0, 7, Some(7));
        assert!(!reading.is_behind(|_| Some(7)));
    }

    #[test]
    fn moved_partitions_are_read_by_their_new_owner() {
        let mut reading = Reading::new(Until::FirstEnd);
        reading.joined();
        assert!(reading.is_behind(UNKNOWN), "may get any");
        reading.assigned(0..2, false);
        reading.ended(0, 5, Some(5));
        reading.ended(1, 5, Some(5));
        reading.revoked(1..2);
        assert!(
            reading.is_at_end() && !reading.is_behind(UNKNOWN),
            "another member owns the other \
                                                                     partition"
        );
        reading.assigned(2..3, true);
        assert!(
            !reading.is_at_end() && reading.is_behind(UNKNOWN),
            "the new partition has not \
                                                                     been read"
        );
        reading.ended(2, 0, Some(0));
        assert!(reading.is_at_end());
        reading.revoked([0, 2].into_iter());
        assert!(!reading.is_at_end() && reading.is_behind(UNKNOWN), "all are being reassigned");
        reading.assigned(0..0, false);
        assert!(!reading.is_behind(UNKNOWN), "other members have them");
    }

    #[test]
    fn consumers_starting_at_the_end_are_at_end() {
        let mut reading = Reading::new(Until::FirstEnd);
        reading.take(0, 521, 521);
        assert!(reading.is_at_end() && !reading.is_behind(UNKNOWN));
        reading.take(1, 0, 3);
        assert!(!reading.is_at_end() && reading.is_behind(UNKNOWN));
    }
}
