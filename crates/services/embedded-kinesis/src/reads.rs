//! The limits of a shard for `GetRecords`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Calls that a shard answers per second.
const CALLS_MAX: u32 = 5;

/// Bytes that a shard returns per second. One call may return more at the cost of the following
/// seconds: after 10 MiB there is nothing for 5 s.
const BYTES_MAX: u64 = 2 << 20;

/// Most bytes of one call.
pub(super) const CALL_MAX_BYTES: usize = 10 << 20;

/// Recent reads of all shards.
pub(super) struct ReadLimits {
    started: Instant,
    /// By stream and shard.
    shards: Mutex<HashMap<(String, String), Second>>,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self { started: Instant::now(), shards: Mutex::default() }
    }
}

impl ReadLimits {
    /// Checks whether a shard may answer one more call.
    pub(super) fn admit(&self, stream: &str, shard: &str) -> bool {
        let now_s = self.started.elapsed().as_secs();
        self.with(stream, shard, |second| second.admit(now_s))
    }

    /// Counts bytes that a shard has returned.
    pub(super) fn charge(&self, stream: &str, shard: &str, size_bytes: usize) {
        self.with(stream, shard, |second| second.given_bytes += size_bytes as u64);
    }

    fn with<T>(&self, stream: &str, shard: &str, act: impl FnOnce(&mut Second) -> T) -> T {
        let mut shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        act(shards.entry((stream.to_owned(), shard.to_owned())).or_default())
    }
}

/// Reads of a shard in the current second.
#[derive(Debug, Default)]
struct Second {
    number: u64,
    calls: u32,
    /// The excess over [`BYTES_MAX`] is carried over into the next seconds.
    given_bytes: u64,
}

impl Second {
    fn admit(&mut self, now_s: u64) -> bool {
        let passed = now_s.saturating_sub(self.number);
        if passed > 0 {
            self.number = now_s;
            self.calls = 0;
            self.given_bytes = self.given_bytes.saturating_sub(passed.saturating_mul(BYTES_MAX));
        }
        let is_admitted = self.calls < CALLS_MAX && self.given_bytes < BYTES_MAX;
        self.calls += u32::from(is_admitted);
        is_admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_five_calls() {
        let mut shard = Second::default();
        let admitted = |shard: &mut Second, now_s| (0..9).filter(|_| shard.admit(now_s)).count();
        assert_eq!(admitted(&mut shard, 0), 5);
        assert_eq!(admitted(&mut shard, 1), 5);
        assert_eq!(admitted(&mut shard, 1), 0);
        assert_eq!(admitted(&mut shard, 7), 5);
    }

    #[test]
    fn excess_reads_count_towards_later_seconds() {
        let mut shard = Second::default();
        assert!(shard.admit(0));
        shard.given_bytes += CALL_MAX_BYTES as u64;
        assert!((0..5).all(|now_s| !shard.admit(now_s)));
        assert!(shard.admit(5));
        shard.given_bytes += BYTES_MAX - 1;
        assert!(shard.admit(5), "one byte is left");
        shard.given_bytes += 1;
        assert!(!shard.admit(5) && shard.admit(6));
    }

    #[test]
    fn shards_have_limits_of_their_own() {
        let limits = ReadLimits::default();
        limits.charge("s", "1", CALL_MAX_BYTES);
        assert!(!limits.admit("s", "1"));
        assert!(limits.admit("s", "2") && limits.admit("t", "1"));
    }
}
