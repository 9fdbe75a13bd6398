//! Retrying until a deadline.

use std::time::Duration;

use bench_core::clock::{Clock as _, InstantNs, SystemClock};
use deltalake::logstore::object_store;

use crate::reason::NoAnswer;

/// The delay before the second attempt; it doubles with each attempt. The client has already
/// retried before it reports an error.
const PAUSE_MIN: Duration = Duration::from_millis(50);

/// The longest delay between attempts.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The minimum time for an attempt, nanoseconds, so that a batch gets one however long it has
/// waited.
const TRY_NS_MIN: u64 = 1_000_000_000;

/// The attempts of one operation.
pub(super) struct Retry {
    clock: SystemClock,
    deadline_ns: InstantNs,
    pause: Duration,
}

impl Retry {
    pub(super) fn until(clock: SystemClock, deadline_ns: InstantNs) -> Self {
        Self { clock, deadline_ns, pause: PAUSE_MIN }
    }

    /// Whether the deadline has passed.
    pub(super) fn is_over(&self) -> bool {
        self.clock.now_ns() >= self.deadline_ns
    }

    /// Waits before the next attempt; returns false if no time is left for one.
    pub(super) async fn again(&mut self) -> bool {
        let left_ns = self.deadline_ns.saturating_sub(self.clock.now_ns());
        if left_ns == 0 {
            return false;
        }
        tokio::time::sleep(self.pause.min(Duration::from_nanos(left_ns))).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        true
    }

    /// The result of `work`, if it finishes in time.
    pub(super) async fn in_time<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let left_ns = self.deadline_ns.saturating_sub(self.clock.now_ns()).max(TRY_NS_MIN);
        tokio::time::timeout(Duration::from_nanos(left_ns), work).await.ok()
    }

    /// The response to a request, if it arrives in time.
    pub(super) async fn answer<T>(
        &self,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> object_store::Result<T> {
        self.in_time(request).await.unwrap_or_else(|| {
            let source = Box::new(NoAnswer);
            Err(object_store::Error::Generic { store: "storage", source })
        })
    }
}
