//! Paces the calls to a shard.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Maximum `GetRecords` calls to a shard per [`WINDOW`] (the service's limit, shared by all readers
/// of the shard).
const CALLS_MAX: usize = 5;

/// The period in which calls are counted.
const WINDOW: Duration = Duration::from_secs(1);

/// Maximum bytes per second of a shard (the service's limit, shared by all that poll it). An answer
/// may be larger and is then followed by a pause.
const BYTES_PER_S: f64 = 2.0 * 1024.0 * 1024.0;

/// The pace of one reader of one shard.
#[derive(Debug)]
pub(super) struct ShardPace {
    interval: Duration,
    within_limits: bool,
    /// The last calls, oldest first; at most [`CALLS_MAX`].
    calls: VecDeque<Instant>,
    /// When the pause after the last answer ends.
    paused_until: Option<Instant>,
    /// Whether the last answer left records to read.
    has_more: bool,
}

impl ShardPace {
    /// Calls are `interval` apart while there are no more records, and otherwise as frequent as the
    /// service's limits allow; without `within_limits`, as fast as they are answered.
    pub(super) fn new(interval: Duration, within_limits: bool) -> Self {
        let calls = VecDeque::with_capacity(CALLS_MAX);
        Self { interval, within_limits, calls, paused_until: None, has_more: true }
    }

    /// When the next call may be made; `None` for at once.
    pub(super) fn next_call(&self) -> Option<Instant> {
        let last = *self.calls.back()?;
        let idle = (!self.has_more).then(|| last + self.interval);
        if !self.within_limits {
            return idle;
        }
        let oldest = self.calls.front().filter(|_| self.calls.len() == CALLS_MAX);
        let window = oldest.map(|oldest| *oldest + WINDOW);
        [idle, window, self.paused_until].into_iter().flatten().max()
    }

    /// Records a call.
    pub(super) fn called(&mut self, at: Instant) {
        if self.calls.len() == CALLS_MAX {
            self.calls.pop_front();
        }
        self.calls.push_back(at);
        self.has_more = false;
    }

    /// Records the answer to the last call: its size, and whether the shard has more records.
    pub(super) fn answered(&mut self, bytes: usize, has_more: bool) {
        self.has_more = has_more;
        let pause = Duration::from_secs_f64(bytes as f64 / BYTES_PER_S);
        self.paused_until = self.calls.back().map(|call| *call + pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(200);

    /// The instants of calls in two seconds, in ms, if each is answered at once.
    fn calls_ms(mut pace: ShardPace, bytes: usize, has_more: bool) -> Vec<u128> {
        let start = Instant::now();
        let mut now = start;
        let mut made = Vec::new();
        while made.len() < 100 {
            now = pace.next_call().map_or(now, |at| at.max(now));
            if now - start > Duration::from_secs(2) {
                break;
            }
            made.push((now - start).as_millis());
            pace.called(now);
            pace.answered(bytes, has_more);
        }
        made
    }

    #[test]
    fn idle_shards_are_polled_once_per_interval() {
        let expected: Vec<u128> = (0..=10).map(|call| call * 200).collect();
        for within_limits in [true, false] {
            assert_eq!(calls_ms(ShardPace::new(INTERVAL, within_limits), 0, false), expected);
        }
        let often = ShardPace::new(Duration::from_millis(5), true);
        let in_a_second = calls_ms(often, 0, false).iter().filter(|ms| **ms < 1_000).count();
        assert_eq!(in_a_second, 5, "the limit holds whatever the interval");
    }

    #[test]
    fn backlogs_are_read_as_fast_as_limits_allow() {
        let calls = calls_ms(ShardPace::new(INTERVAL, true), 1_000, true);
        assert_eq!(calls.len(), 11, "{calls:?}");
        assert!(calls.iter().zip(&calls[5..]).all(|(a, b)| b - a >= 1_000), "{calls:?}");
        let by_bytes = calls_ms(ShardPace::new(INTERVAL, true), 1 << 20, true);
        assert_eq!(by_bytes, [0, 500, 1_000, 1_500, 2_000]);
        assert_eq!(calls_ms(ShardPace::new(INTERVAL, false), 1 << 20, true).len(), 100);
    }
}
