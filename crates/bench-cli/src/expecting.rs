//! Waits for a required number of messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bench_core::clock::{Clock as _, InstantNs, SystemClock, duration_ns};
use bench_core::transport::{Incoming, Receive, TransportError};

/// How many messages all consumers together expect.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expectation {
    /// Fewer messages are a failure.
    pub required: Option<u64>,
    /// The end of the stream counts only after this many messages: recently confirmed ones may take
    /// a moment to become visible.
    pub before_end: u64,
}

/// A consumer that fails if all consumers together have received fewer messages than required, and
/// none for some time.
pub struct Expecting<R> {
    receiver: R,
    clock: SystemClock,
    timeout: Duration,
    expectation: Expectation,
    progress: Arc<Progress>,
}

/// Progress of all consumers.
#[derive(Default)]
struct Progress {
    received: AtomicU64,
    /// When the last message arrived; 0 before the first consumer begins to wait.
    last_ns: AtomicU64,
}

impl<R> Expecting<R> {
    /// Makes the consumers wait for the expected messages, for each at most `timeout` after the
    /// previous one.
    #[must_use]
    pub fn all(
        receivers: Vec<R>,
        expectation: Expectation,
        timeout: Duration,
        clock: SystemClock,
    ) -> Vec<Self> {
        let progress = Arc::new(Progress::default());
        let expecting = |receiver| {
            let progress = Arc::clone(&progress);
            Self { receiver, clock, timeout, expectation, progress }
        };
        receivers.into_iter().map(expecting).collect()
    }

    fn check(&self, messages: usize) -> Result<(), TransportError> {
        let (progress, now_ns) = (&self.progress, self.clock.now_ns());
        let received = progress.received.fetch_add(messages as u64, Ordering::Relaxed);
        let received = received + messages as u64;
        let Some(required) = self.expectation.required else { return Ok(()) };
        let since_ns = match progress.last_ns.load(Ordering::Relaxed) {
            last_ns if messages == 0 && last_ns > 0 => last_ns,
            _ => progress.last_ns.fetch_max(now_ns, Ordering::Relaxed).max(now_ns),
        };
        if received >= required || now_ns.saturating_sub(since_ns) < duration_ns(self.timeout) {
            return Ok(());
        }
        Err(TransportError::new(format!(
            "only {received} of the {required} messages required by --expected arrived, and none \
             for {:?}; check the producing run, or raise --drain-timeout",
            Duration::from_millis(now_ns.saturating_sub(since_ns) / 1_000_000)
        )))
    }
}

impl<R: Receive> Receive for Expecting<R> {
    fn receive(
        &mut self,
        until_ns: InstantNs,
        sink: impl FnMut(Incoming<'_>),
    ) -> Result<usize, TransportError> {
        let messages = self.receiver.receive(until_ns, sink)?;
        self.check(messages)?;
        Ok(messages)
    }

    fn at_end(&self) -> bool {
        let received = self.progress.received.load(Ordering::Relaxed);
        received >= self.expectation.before_end && self.receiver.at_end()
    }

    fn is_behind(&self) -> bool {
        self.receiver.is_behind()
    }
}
