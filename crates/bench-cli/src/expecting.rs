//! Waiting for a number of messages that must come.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bench_core::clock::{Clock as _, InstantNs, SystemClock, duration_ns};
use bench_core::transport::{Incoming, Receive, TransportError};

/// How many messages are to come, to all consumers together.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expectation {
    /// It is a failure when fewer do.
    pub required: Option<u64>,
    /// The end of the stream counts when so many have come: what has just been confirmed may take a
    /// moment to be seen.
    pub before_end: u64,
}

/// A consumer that fails when all consumers together have not received what is required and nothing
/// has come for a while.
pub struct Expecting<R> {
    receiver: R,
    clock: SystemClock,
    timeout: Duration,
    expectation: Expectation,
    progress: Arc<Progress>,
}

/// Of all consumers.
#[derive(Default)]
struct Progress {
    received: AtomicU64,
    /// When a message came last; 0 before the first consumer has begun to wait.
    last_ns: AtomicU64,
}

impl<R> Expecting<R> {
    /// Makes the consumers wait for what is expected, each message for at most `timeout` after the
    /// one before.
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
            "only {received} of the {required} messages that --expected names have come, and none \
             for {:?}; look into the run that was to send them, or raise --drain-timeout",
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

    fn waits_for(&self) -> Option<String> {
        self.receiver.waits_for()
    }

    fn hold_back(&mut self) {
        self.receiver.hold_back();
    }

    fn settle(&mut self, messages: usize) {
        self.receiver.settle(messages);
    }
}
