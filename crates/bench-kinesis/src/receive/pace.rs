//! How often a shard is asked for records.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Calls of `GetRecords` that a shard answers in [`WINDOW`] (the service's limit, for all who read
/// the shard together).
const CALLS_MAX: usize = 5;

/// The time in which calls are counted.
const WINDOW: Duration = Duration::from_secs(1);

/// Bytes a second that a shard gives to all who poll it together (the service's limit). An answer
/// may be larger and is then followed by a time without any.
const BYTES_PER_S: f64 = 2.0 * 1024.0 * 1024.0;

/// The pace of one reader of one shard.
#[derive(Debug)]
pub(super) struct ShardPace {
    interval: Duration,
    within_limits: bool,
    /// The last calls, oldest first; at most [`CALLS_MAX`].
    calls: VecDeque<Instant>,
    /// When the bytes of the last answer have been paid for.
    paid_at: Option<Instant>,
    /// Whether the last answer left more to be read.
    has_more: bool,
}

impl ShardPace {
    /// Calls are `interval` apart while there is nothing more to be read for the moment, and follow
    /// one another as fast as the service's limits allow while there is. Not `within_limits`, as
    /// fast as they are answered.
    pub(super) fn new(interval: Duration, within_limits: bool) -> Self {
        let calls = VecDeque::with_capacity(CALLS_MAX);
        Self { interval, within_limits, calls, paid_at: None, has_more: true }
    }

    /// When the next call may be made; nothing for at once.
    pub(super) fn next_call(&self) -> Option<Instant> {
        let last = *self.calls.back()?;
        let idle = (!self.has_more).then(|| last + self.interval);
        if !self.within_limits {
            return idle;
        }
        let oldest = self.calls.front().filter(|_| self.calls.len() == CALLS_MAX);
        let window = oldest.map(|oldest| *oldest + WINDOW);
        [idle, window, self.paid_at].into_iter().flatten().max()
    }

    /// Notes a call.
    pub(super) fn called(&mut self, at: Instant) {
        if self.calls.len() == CALLS_MAX {
            self.calls.pop_front();
        }
        self.calls.push_back(at);
        self.has_more = false;
    }

    /// Notes the answer to the last call: its size, and whether the shard has more to read now.
    pub(super) fn answered(&mut self, bytes: usize, has_more: bool) {
        self.has_more = has_more;
        let paid_in = Duration::from_secs_f64(bytes as f64 / BYTES_PER_S);
        self.paid_at = self.calls.back().map(|call| *call + paid_in);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(200);

    /// When calls are made in two seconds, in ms, if each is answered at once.
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
    fn a_shard_with_nothing_more_is_asked_once_an_interval() {
        let expected: Vec<u128> = (0..=10).map(|call| call * 200).collect();
        for within_limits in [true, false] {
            assert_eq!(calls_ms(ShardPace::new(INTERVAL, within_limits), 0, false), expected);
        }
        let often = ShardPace::new(Duration::from_millis(5), true);
        let in_a_second = calls_ms(often, 0, false).iter().filter(|ms| **ms < 1_000).count();
        assert_eq!(in_a_second, 5, "the limit holds whatever the interval");
    }

    #[test]
    fn a_backlog_is_read_as_fast_as_the_limits_allow() {
        let calls = calls_ms(ShardPace::new(INTERVAL, true), 1_000, true);
        assert_eq!(calls.len(), 11, "{calls:?}");
        assert!(calls.iter().zip(&calls[5..]).all(|(a, b)| b - a >= 1_000), "{calls:?}");
        let by_bytes = calls_ms(ShardPace::new(INTERVAL, true), 1 << 20, true);
        assert_eq!(by_bytes, [0, 500, 1_000, 1_500, 2_000]);
        assert_eq!(calls_ms(ShardPace::new(INTERVAL, false), 1 << 20, true).len(), 100);
    }
}
