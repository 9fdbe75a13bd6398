//! Holds records until they are due for a retry.

use bench_core::clock::InstantNs;
use rand::{RngExt as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::request::Record;

/// Maximum wait before a record's first retry.
const FIRST_WAIT_NS: u64 = 100_000_000;

/// Maximum wait before any retry: shard limits apply per second.
const WAIT_MAX_NS: u64 = 1_000_000_000;

/// Records waiting for a retry.
pub(super) struct RetryQueue {
    groups: Vec<RetryGroup>,
    waiting: usize,
    rng: Xoshiro256PlusPlus,
}

/// Records of one request, which are retried at the same time.
struct RetryGroup {
    due_ns: InstantNs,
    records: Vec<Record>,
}

impl RetryQueue {
    pub(super) fn new(seed: u64) -> Self {
        Self { groups: Vec::new(), waiting: 0, rng: Xoshiro256PlusPlus::seed_from_u64(seed) }
    }

    /// Number of waiting records.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    /// When the next records are due.
    pub(super) fn due_ns(&self) -> Option<InstantNs> {
        self.groups.iter().map(|group| group.due_ns).min()
    }

    /// Queues records for a retry after a wait that doubles with each try. They become due at
    /// random in its second half, so that requests that failed together are not retried together.
    pub(super) fn push(&mut self, records: Vec<Record>, now_ns: InstantNs) {
        let Some(tries) = records.iter().map(|record| record.tries).max() else { return };
        let doublings = tries.saturating_sub(1).min(16);
        let wait_ns = (FIRST_WAIT_NS << doublings).min(WAIT_MAX_NS);
        let due_ns = now_ns + self.rng.random_range(wait_ns / 2..=wait_ns);
        self.waiting += records.len();
        self.groups.push(RetryGroup { due_ns, records });
    }

    /// Takes the records that are due.
    pub(super) fn take_due(&mut self, now_ns: InstantNs) -> Vec<Record> {
        if self.due_ns().is_none_or(|due_ns| due_ns > now_ns) {
            return Vec::new();
        }
        let due = self.groups.extract_if(.., |group| group.due_ns <= now_ns);
        let due: Vec<Record> = due.flat_map(|group| group.records).collect();
        self.waiting -= due.len();
        due
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::request::Messages;
    use super::*;

    fn record(token: u32, tries: u32) -> Record {
        Record {
            key: Bytes::from_static(b"k"),
            hash_key: None,
            data: Bytes::new(),
            messages: Messages::One(token),
            ready_ns: 0,
            tries,
        }
    }

    #[test]
    fn waits_double_up_to_a_second_with_jitter() {
        let mut queue = RetryQueue::new(1);
        for (tries, wait_ms) in [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1_000), (60, 1_000)] {
            queue.push(vec![record(0, tries)], 0);
            let due_ms = queue.due_ns().expect("a group") / 1_000_000;
            assert!((wait_ms / 2..=wait_ms).contains(&due_ms), "{tries} tries: {due_ms} ms");
            assert_eq!(queue.take_due(u64::MAX).len(), 1);
        }
        assert_eq!((queue.len(), queue.due_ns()), (0, None));
    }

    #[test]
    fn only_due_records_are_taken() {
        let mut queue = RetryQueue::new(1);
        queue.push(vec![record(1, 1), record(2, 1)], 0);
        queue.push(vec![record(3, 5)], 0);
        queue.push(Vec::new(), 0);
        assert!(queue.take_due(10).is_empty());
        let ready = queue.take_due(FIRST_WAIT_NS);
        let tokens: Vec<_> = ready.iter().flat_map(|record| record.messages.tokens()).collect();
        assert_eq!((tokens, queue.len()), (vec![&1, &2], 1));
    }
}
