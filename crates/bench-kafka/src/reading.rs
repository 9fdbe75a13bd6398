//! How far a consumer has read its partitions, and whether that is their end.
//!
//! The end of a partition is its high watermark. A consumer that reads committed messages gets no
//! further than the first transaction that is still open, and the client library calls that the end
//! of the partition, too.

use std::time::{Duration, Instant};

use crate::health::is_news;

/// How long a group may take to share its partitions out again. Until then, a member whose
/// partitions were all taken away may get others, which nobody has read to their ends.
const REBALANCE_MAX: Duration = Duration::from_mins(1);

/// How far a reader goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// To where each partition ended when it was first asked.
    FirstEnd,
    /// On and on.
    Stopped,
}

/// The partitions of one consumer.
#[derive(Debug)]
pub(crate) struct Reading {
    until: Until,
    partitions: Vec<Partition>,
    /// Since when a member of a group waits for its partitions.
    waiting_since: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Partition {
    id: i32,
    /// The next offset to read, once known. It lies behind the markers of transactions only when
    /// the end was seen.
    next: Option<i64>,
    /// Whether the client library has found nothing more to read here.
    stands: bool,
    /// Where reading ends, once known.
    end: Option<i64>,
}

impl Partition {
    fn new(id: i32) -> Self {
        Self { id, next: None, stands: false, end: None }
    }
}

/// Something that a reader cannot pass until it ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpenTransaction {
    /// The partition that it holds up.
    pub(crate) partition: i32,
    /// Its first offset.
    pub(crate) offset: i64,
}

impl OpenTransaction {
    /// What a reader waits for.
    pub(crate) fn describe(&self, topic: &str) -> String {
        format!(
            "an open transaction in topic '{topic}', partition {}, which hides messages from offset \
             {} on",
            self.partition, self.offset
        )
    }

    /// Says that it is waited for, once.
    pub(crate) fn announce(&self, topic: &str) {
        let what = self.describe(topic);
        if is_news(what.as_str()) {
            tracing::warn!(
                "waiting for {what}; brokers abort it after its transaction.timeout.ms, a minute by \
                 default"
            );
        }
    }
}

impl Reading {
    pub(crate) fn new(until: Until) -> Self {
        Self { until, partitions: Vec::new(), waiting_since: None }
    }

    /// Notes that partitions were asked for as a member of a group.
    pub(crate) fn joined(&mut self) {
        self.waiting_since = Some(Instant::now());
    }

    /// Takes a partition without a group, from an offset on; `high` is its high watermark.
    pub(crate) fn take(&mut self, id: i32, from: i64, high: i64) {
        let end = (self.until == Until::FirstEnd).then_some(high);
        // Behind an open transaction the client library would see no end before that one's.
        let stands = from >= high;
        self.partitions.push(Partition { id, next: Some(from), stands, end });
    }

    /// Partitions that a group has assigned: these alone, or besides those that there are.
    pub(crate) fn assigned(&mut self, ids: impl Iterator<Item = i32>, besides: bool) {
        if !besides {
            self.partitions.clear();
        }
        self.partitions.extend(ids.map(Partition::new));
        self.waiting_since = None;
    }

    /// Partitions that a group has taken away.
    pub(crate) fn revoked(&mut self, ids: impl Iterator<Item = i32>) {
        for id in ids {
            self.partitions.retain(|partition| partition.id != id);
        }
        if self.partitions.is_empty() {
            self.waiting_since = Some(Instant::now());
        }
    }

    /// How many partitions there are.
    pub(crate) fn len(&self) -> usize {
        self.partitions.len()
    }

    /// Notes that messages up to this offset were passed on.
    #[inline]
    pub(crate) fn passed(&mut self, id: i32, offset: i64) {
        if let Some(partition) = self.partition(id) {
            partition.next = Some(offset + 1);
            partition.stands = false;
        }
    }

    /// Notes that the client library found nothing more at this offset; `high` is what it knows of
    /// the high watermark.
    pub(crate) fn ended(&mut self, id: i32, offset: i64, high: Option<i64>) {
        let until = self.until;
        if let Some(partition) = self.partition(id) {
            partition.next = Some(offset);
            partition.stands = true;
            if until == Until::FirstEnd && partition.end.is_none() {
                partition.end = Some(high.map_or(offset, |high| high.max(offset)));
            }
        }
    }

    /// Whether all partitions have been read to their ends. Never without partitions, nor for a
    /// reader that goes on and on.
    pub(crate) fn is_at_end(&self) -> bool {
        let at_end = |partition: &Partition| {
            let Partition { next, end, stands, .. } = *partition;
            stands && next.zip(end).is_some_and(|(next, end)| next >= end)
        };
        !self.partitions.is_empty() && self.partitions.iter().all(at_end)
    }

    /// Whether a partition has not been read to its end, or may come that nobody has. `high` is
    /// asked for high watermarks.
    pub(crate) fn is_behind(&self, high: impl Fn(i32) -> Option<i64>) -> bool {
        let is_behind = |partition: &Partition| {
            let end = partition.end.or_else(|| high(partition.id));
            partition.next.is_none_or(|next| end.is_none_or(|end| next < end))
        };
        self.waiting_since.is_some_and(|since| since.elapsed() < REBALANCE_MAX)
            || self.partitions.iter().any(is_behind)
    }

    /// An open transaction that holds a reader of committed messages up.
    pub(crate) fn open_transaction(
        &self,
        high: impl Fn(i32) -> Option<i64>,
    ) -> Option<OpenTransaction> {
        self.partitions.iter().filter(|partition| partition.stands).find_map(|partition| {
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
    fn a_reader_is_behind_until_every_partition_has_ended() {
        let mut reading = assigned(Until::FirstEnd, 0..2);
        assert!(reading.is_behind(UNKNOWN) && !reading.is_at_end());
        reading.ended(0, 5, Some(5));
        assert!(reading.is_behind(UNKNOWN) && !reading.is_at_end());
        reading.passed(1, 8);
        reading.ended(1, 9, Some(9));
        assert!(!reading.is_behind(UNKNOWN) && reading.is_at_end());
    }

    #[test]
    fn an_open_transaction_is_not_the_end() {
        let mut reading = assigned(Until::FirstEnd, 0..1);
        reading.ended(0, 5, Some(521));
        assert!(reading.is_behind(UNKNOWN) && !reading.is_at_end());
        let open = reading.open_transaction(UNKNOWN);
        assert_eq!(open, Some(OpenTransaction { partition: 0, offset: 5 }));
        // It is aborted, which leaves a marker, and another one has begun behind that.
        reading.passed(0, 520);
        assert_eq!(reading.open_transaction(UNKNOWN), None, "messages came");
        reading.ended(0, 522, Some(700));
        assert!(reading.is_at_end() && !reading.is_behind(UNKNOWN));
        assert_eq!(reading.open_transaction(UNKNOWN), None, "what came later is another's");
    }

    #[test]
    fn aborted_messages_at_the_end_count_as_read() {
        let mut reading = assigned(Until::FirstEnd, 0..1);
        reading.passed(0, 99);
        reading.ended(0, 202, Some(202));
        assert!(reading.is_at_end() && !reading.is_behind(UNKNOWN));
    }

    #[test]
    fn endless_readers_are_behind_the_latest_end() {
        let mut reading = assigned(Until::Stopped, 0..1);
        reading.ended(0, 5, Some(5));
        assert!(!reading.is_at_end() && !reading.is_behind(|_| Some(5)));
        assert!(reading.is_behind(|_| Some(6)));
        reading.passed(0, 5);
        assert!(!reading.is_behind(|_| Some(6)));
        assert!(reading.is_behind(|_| Some(7)), "a transaction's marker, or more");
        reading.ended(0, 7, Some(7));
        assert!(!reading.is_behind(|_| Some(7)));
    }

    #[test]
    fn partitions_that_move_are_read_by_their_new_owner() {
        let mut reading = Reading::new(Until::FirstEnd);
        reading.joined();
        assert!(reading.is_behind(UNKNOWN), "may get any");
        reading.assigned(0..2, false);
        reading.ended(0, 5, Some(5));
        reading.ended(1, 5, Some(5));
        reading.revoked(1..2);
        assert!(reading.is_at_end() && !reading.is_behind(UNKNOWN), "the other one is another's");
        reading.assigned(2..3, true);
        assert!(!reading.is_at_end() && reading.is_behind(UNKNOWN), "it has not been read");
        reading.ended(2, 0, Some(0));
        assert!(reading.is_at_end());
        reading.revoked([0, 2].into_iter());
        assert!(!reading.is_at_end() && reading.is_behind(UNKNOWN), "all are on the move");
        reading.assigned(0..0, false);
        assert!(!reading.is_behind(UNKNOWN), "others have them");
    }

    #[test]
    fn a_reader_that_starts_at_the_end_is_there() {
        let mut reading = Reading::new(Until::FirstEnd);
        reading.take(0, 521, 521);
        assert!(reading.is_at_end() && !reading.is_behind(UNKNOWN));
        reading.take(1, 0, 3);
        assert!(!reading.is_at_end() && reading.is_behind(UNKNOWN));
    }
}
