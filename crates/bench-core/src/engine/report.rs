//! What workers tell the collector, an interval at a time.
//!
//! A worker records into a sample of its own, without a lock. When an interval ends it sends the
//! sample and goes on with one that the collector has emptied, so that a steady run allocates
//! nothing.

use std::sync::mpsc::{Receiver, Sender, channel};

use bench_record::EarlyStop;

use super::latencies::StageLatencies;
use crate::audit::{ReceiveDelta, SequenceDelta};
use crate::clock::InstantNs;
use crate::latency::LatencyHistogram;
use crate::transport::Incoming;

/// The instants that divide a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeline {
    /// Start of the schedule.
    pub start_ns: InstantNs,
    /// Messages due earlier are audited and not measured; 0 when all are measured.
    pub warm_up_end_ns: InstantNs,
    /// Length of an interval, nanoseconds, above 0.
    pub interval_ns: u64,
}

impl Timeline {
    /// The interval that an instant belongs to, from 0.
    #[must_use]
    pub fn interval_of(&self, instant_ns: InstantNs) -> u64 {
        instant_ns.saturating_sub(self.start_ns) / self.interval_ns
    }

    /// The first instant of an interval.
    #[must_use]
    pub fn interval_start_ns(&self, interval: u64) -> InstantNs {
        self.start_ns.saturating_add(interval.saturating_mul(self.interval_ns))
    }
}

/// Messages and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Volume {
    /// Messages.
    pub messages: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
}

impl Volume {
    #[inline]
    pub(super) fn add_message(&mut self, bytes: u64) {
        self.messages += 1;
        self.bytes += bytes;
    }

    pub(super) fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
    }
}

/// A time by the engine's clock, nanoseconds. What happened before this host was booted, as rows of
/// a table may tell, is negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its first instant.
    pub from_ns: i64,
    /// Its last.
    pub to_ns: i64,
}

impl Span {
    /// Makes `span` hold `other` as well.
    #[inline]
    pub(super) fn extend(span: &mut Option<Self>, other: Self) {
        let span = span.get_or_insert(other);
        span.from_ns = span.from_ns.min(other.from_ns);
        span.to_ns = span.to_ns.max(other.to_ns);
    }
}

/// What one producer did since it last reported.
#[derive(Default)]
pub(super) struct ProducerSample {
    pub(super) sent: u64,
    pub(super) acked: Volume,
    /// Of these, due after the warm-up.
    pub(super) measured: Volume,
    pub(super) last_acked_ns: InstantNs,
    pub(super) blocked_ns: u64,
    pub(super) failures: Vec<(i32, u64)>,
    /// Of the failures, those of messages that were given up without an answer.
    pub(super) timed_out: u64,
    pub(super) publish_latency: LatencyHistogram,
    pub(super) service_time: LatencyHistogram,
    pub(super) schedule_lag: LatencyHistogram,
    pub(super) acked_sequences: SequenceDelta,
    /// Of messages whose transaction was aborted.
    pub(super) aborted_sequences: SequenceDelta,
}

/// What one consumer did since it last reported.
#[derive(Default)]
pub(super) struct ConsumerSample {
    pub(super) received: Volume,
    /// Of these, due after the warm-up.
    pub(super) measured: Volume,
    /// Of all received, those whose row was written.
    pub(super) landed: u64,
    /// `None` before the first message. See [`Self::note_received`].
    pub(super) receiving: Option<Span>,
    pub(super) end_to_end_latency: LatencyHistogram,
    /// `None` before the first message that knows of a stage.
    pub(super) stages: Option<Box<StageLatencies>>,
    pub(super) monotonic: u64,
    pub(super) wall: u64,
    pub(super) audit: ReceiveDelta,
}

impl ConsumerSample {
    /// Notes when a message came, or landed, and a time that holds its coming: from when it was waited
    /// for (`asked_ns`), or from when what wrote its row had got it. Rows of a table come in no
    /// order.
    #[inline]
    pub(super) fn note_received(&mut self, incoming: &Incoming<'_>, asked_ns: InstantNs) {
        let (from_ns, instant_ns) = match incoming.stamps.landed_ns {
            Some(landed_ns) => {
                self.landed += 1;
                (incoming.received_ns, landed_ns)
            }
            None => (asked_ns, incoming.received_ns),
        };
        // What happened before this host was booted has wrapped around, and is negative.
        let (from_ns, instant_ns) = (from_ns.cast_signed(), instant_ns.cast_signed());
        Span::extend(
            &mut self.receiving,
            Span { from_ns: from_ns.min(instant_ns), to_ns: instant_ns },
        );
    }

    /// Adds what is known of the stages of a message that was due at `intended_ns`.
    #[inline]
    pub(super) fn record_stages(&mut self, incoming: &Incoming<'_>, intended_ns: Option<i64>) {
        if incoming.stamps.arrived_ns.is_some() || incoming.stamps.landed_ns.is_some() {
            self.stages.get_or_insert_default().record(incoming, intended_ns);
        }
    }
}

/// A sample that can be emptied and used again.
pub(super) trait Sample: Default {
    fn clear(&mut self);
}

impl Sample for ProducerSample {
    fn clear(&mut self) {
        (self.sent, self.acked, self.measured) = (0, Volume::default(), Volume::default());
        (self.last_acked_ns, self.blocked_ns, self.timed_out) = (0, 0, 0);
        self.failures.clear();
        self.publish_latency.clear();
        self.service_time.clear();
        self.schedule_lag.clear();
        self.acked_sequences.clear();
        self.aborted_sequences.clear();
    }
}

impl Sample for ConsumerSample {
    fn clear(&mut self) {
        (self.received, self.measured) = (Volume::default(), Volume::default());
        self.receiving = None;
        (self.monotonic, self.wall, self.landed) = (0, 0, 0);
        self.end_to_end_latency.clear();
        if let Some(stages) = &mut self.stages {
            stages.clear();
        }
        // The audit's delta is emptied by being absorbed.
    }
}

/// A message that got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unanswered {
    pub(super) sequence: u64,
    pub(super) intended_ns: InstantNs,
}

/// How a producer ended.
#[derive(Default)]
pub(super) struct ProducerEnd {
    /// Messages without an answer.
    pub(super) unresolved: u64,
    /// Messages that were made, and that the client library never took.
    pub(super) refused: u64,
    /// Messages that were due and never sent, these included.
    pub(super) unsent: u64,
    /// Of these, those that messages without an answer left no room for.
    pub(super) held_up: u64,
    /// Until when messages were asked for.
    pub(super) asked_until_ns: InstantNs,
    /// Messages of the measured time that were sent and got no answer.
    pub(super) unanswered: Vec<Unanswered>,
    /// How long those waited that were due in the measured time and never sent.
    pub(super) unsent_waits: LatencyHistogram,
    /// What the failure codes mean.
    pub(super) explanations: Vec<(i32, String)>,
    /// Why messages went without an answer, if the connection knows.
    pub(super) outage: Option<String>,
    /// What the connection has to say of the figures.
    pub(super) remark: Option<String>,
}

/// How a consumer ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConsumerEnd {
    /// When.
    pub(super) ended_ns: InstantNs,
    /// Whether there was more to read.
    pub(super) is_behind: bool,
    /// Why the consumers stopped, where it was not for having read everything.
    pub(super) early_stop: Option<EarlyStop>,
}

pub(super) enum Content {
    Producer(Box<ProducerSample>),
    Consumer(Box<ConsumerSample>),
    ProducerEnded(Box<ProducerEnd>),
    ConsumerEnded(ConsumerEnd),
}

pub(super) struct Report {
    /// Position among all workers, producers first.
    pub(super) worker: usize,
    pub(super) interval: u64,
    pub(super) content: Content,
}

/// A worker's end of the channel to the collector.
pub(super) struct Outbox<S> {
    worker: usize,
    reports: Sender<Report>,
    emptied: Receiver<Box<S>>,
    timeline: Timeline,
    interval: u64,
    next_interval_ns: InstantNs,
    /// What the worker records into.
    pub(super) sample: Box<S>,
    wrap: fn(Box<S>) -> Content,
}

/// An outbox, and where the collector returns its emptied samples.
pub(super) fn outbox<S: Sample>(
    worker: usize,
    timeline: Timeline,
    reports: Sender<Report>,
    wrap: fn(Box<S>) -> Content,
) -> (Outbox<S>, Sender<Box<S>>) {
    let (returns, emptied) = channel();
    // Two more than are in use at a time: one on its way here, one on its way back.
    for _ in 0..2 {
        let sent = returns.send(Box::default());
        debug_assert!(sent.is_ok(), "the receiver is held below");
    }
    let outbox = Outbox {
        worker,
        reports,
        emptied,
        timeline,
        interval: 0,
        next_interval_ns: timeline.interval_start_ns(1),
        sample: Box::default(),
        wrap,
    };
    (outbox, returns)
}

impl<S: Sample> Outbox<S> {
    /// When the current interval ends.
    #[inline]
    pub(super) fn interval_end_ns(&self) -> InstantNs {
        self.next_interval_ns
    }

    /// Whether the sample is to be sent before anything is recorded at `now_ns`.
    #[inline]
    pub(super) fn is_due(&self, now_ns: InstantNs) -> bool {
        now_ns >= self.next_interval_ns
    }

    /// Sends the sample and goes on with an empty one.
    pub(super) fn send(&mut self, now_ns: InstantNs) {
        let empty = self.emptied.try_recv().unwrap_or_default();
        let full = std::mem::replace(&mut self.sample, empty);
        self.post((self.wrap)(full));
        self.interval = self.timeline.interval_of(now_ns);
        self.next_interval_ns = self.timeline.interval_start_ns(self.interval + 1);
    }

    /// Tells the collector something else.
    pub(super) fn post(&mut self, content: Content) {
        let report = Report { worker: self.worker, interval: self.interval, content };
        // A collector that is gone has nobody left to tell.
        let _ = self.reports.send(report);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_fall_into_intervals_counted_from_the_start() {
        let timeline = Timeline { start_ns: 100, warm_up_end_ns: 100, interval_ns: 10 };
        let intervals = [99, 100, 109, 110, 135].map(|at| timeline.interval_of(at));
        assert_eq!(intervals, [0, 0, 0, 1, 3]);
        assert_eq!(timeline.interval_start_ns(3), 130);
    }
}
