//! State shared by the workers of a run: flags and counts, all atomic, touched once per batch.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use bench_record::EarlyStop;

use crate::clock::InstantNs;

/// Interval between checks while a producer waits for the consumers.
pub(super) const BACKLOG_WAIT_NS: u64 = 200_000;

/// The shared state of a run.
///
/// `Relaxed` ordering suffices throughout: the values only steer the loops, and results travel
/// through channels or the joining of threads.
#[derive(Debug)]
pub struct RunControl {
    stop_producing: AtomicBool,
    stop_consuming: AtomicBool,
    producers_left: AtomicUsize,
    consumers_reading: AtomicUsize,
    /// Instant of the last message that counts as progress, or of the last producer's end.
    progress_ns: AtomicU64,
    received: AtomicU64,
    submitted_bytes: AtomicU64,
    received_bytes: AtomicU64,
    backlog_max_bytes: u64,
    /// Whether messages that must come are missing.
    awaiting: AtomicBool,
    /// The first reason to stop early, if any.
    early_stop: OnceLock<EarlyStop>,
}

impl RunControl {
    /// The state of a run with this many workers. `backlog_max_bytes` bounds the messages sent but
    /// not yet received, for systems that drop the oldest messages above a bound.
    #[must_use]
    pub fn new(producers: usize, consumers: usize, backlog_max_bytes: Option<u64>) -> Self {
        Self {
            stop_producing: AtomicBool::new(false),
            stop_consuming: AtomicBool::new(false),
            producers_left: AtomicUsize::new(producers),
            consumers_reading: AtomicUsize::new(consumers),
            progress_ns: AtomicU64::new(0),
            received: AtomicU64::new(0),
            submitted_bytes: AtomicU64::new(0),
            received_bytes: AtomicU64::new(0),
            backlog_max_bytes: backlog_max_bytes.unwrap_or(u64::MAX),
            awaiting: AtomicBool::new(false),
            early_stop: OnceLock::new(),
        }
    }

    pub(super) fn set_awaiting(&self, awaiting: bool) {
        self.awaiting.store(awaiting, Ordering::Relaxed);
    }

    pub(super) fn is_awaiting(&self) -> bool {
        self.awaiting.load(Ordering::Relaxed)
    }

    /// Asks the producers to stop sending and to wait for outstanding acknowledgements.
    pub fn stop_producing(&self) {
        self.stop_producing.store(true, Ordering::Relaxed);
    }

    /// Asks the consumers to stop.
    pub fn stop_consuming(&self) {
        self.stop_consuming.store(true, Ordering::Relaxed);
    }

    /// Asks the consumers to stop before they have read everything.
    pub(super) fn stop_early(&self, reason: EarlyStop) {
        if !self.is_consuming_stopped() {
            // The first of several simultaneous reasons wins.
            let _ = self.early_stop.set(reason);
            self.stop_consuming();
        }
    }

    pub(super) fn early_stop(&self) -> Option<EarlyStop> {
        self.early_stop.get().copied()
    }

    pub(super) fn is_producing_stopped(&self) -> bool {
        self.stop_producing.load(Ordering::Relaxed)
    }

    pub(super) fn is_consuming_stopped(&self) -> bool {
        self.stop_consuming.load(Ordering::Relaxed)
    }

    /// Whether all producers have ended, so that consumers only drain the rest.
    pub(super) fn is_draining(&self) -> bool {
        self.producers_left.load(Ordering::Relaxed) == 0
    }

    pub(super) fn producer_ended(&self, now_ns: InstantNs) {
        self.progress(now_ns);
        self.producers_left.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn progress(&self, now_ns: InstantNs) {
        self.progress_ns.fetch_max(now_ns, Ordering::Relaxed);
    }

    pub(super) fn idle_ns(&self, now_ns: InstantNs) -> u64 {
        now_ns.saturating_sub(self.progress_ns.load(Ordering::Relaxed))
    }

    /// Records that one more consumer has read to the end; the last one stops all.
    pub(super) fn consumer_at_end(&self) {
        if self.consumers_reading.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.stop_consuming();
        }
    }

    /// Records that a consumer at the end has more to read (a partition was moved to it).
    pub(super) fn consumer_reads_on(&self) {
        self.consumers_reading.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds to the messages received by all consumers; returns the new count.
    pub(super) fn add_received(&self, messages: u64, bytes: u64) -> u64 {
        self.received_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.received.fetch_add(messages, Ordering::Relaxed) + messages
    }

    pub(super) fn add_submitted(&self, bytes: u64) {
        self.submitted_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Subtracts submitted bytes that will not arrive.
    pub(super) fn subtract_submitted(&self, bytes: u64) {
        self.submitted_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// How many more bytes may be sent now. When nothing is in flight, one message of any size may
    /// always be sent.
    pub(super) fn backlog_room_bytes(&self) -> u64 {
        if self.backlog_max_bytes == u64::MAX {
            return u64::MAX;
        }
        let received = self.received_bytes.load(Ordering::Relaxed);
        let backlog = self.submitted_bytes.load(Ordering::Relaxed).saturating_sub(received);
        if backlog == 0 {
            self.backlog_max_bytes.max(1)
        } else {
            self.backlog_max_bytes.saturating_sub(backlog)
        }
    }
}
