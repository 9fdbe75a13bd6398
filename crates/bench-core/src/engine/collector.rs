//! Merges what the workers report: into intervals as they end, and into the totals of the run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, Sender, channel};

use bench_record::EarlyStop;

use super::latencies::Latencies;
use super::report::{
    ConsumerEnd, ConsumerSample, Content, Outbox, ProducerEnd, ProducerSample, Report, Sample as _,
    Span, Timeline, Unanswered, Volume, outbox,
};
use crate::audit::{AckLedger, Audit, StreamId};
use crate::clock::InstantNs;
use crate::durations::{DurationHistograms, Durations};
use crate::latency::LatencyHistogram;
use crate::message::RunId;

/// Takes the intervals of a run as they end. Recording never fails a run, so nothing is returned.
pub trait IntervalSink {
    /// An interval that all workers have reported, in order, none left out.
    fn interval(&mut self, interval: &Interval);

    /// What has been acknowledged up to now; `is_whole` once nothing can be added, at the end of the
    /// run.
    fn acked(&mut self, ledger: &AckLedger, is_whole: bool);
}

impl<S: IntervalSink> IntervalSink for &mut S {
    fn interval(&mut self, interval: &Interval) {
        (**self).interval(interval);
    }

    fn acked(&mut self, ledger: &AckLedger, is_whole: bool) {
        (**self).acked(ledger, is_whole);
    }
}

/// What happened in one interval, all workers together.
#[derive(Clone, Default)]
pub struct Interval {
    /// Position, from 0.
    pub index: u64,
    /// Its first instant.
    pub start_ns: InstantNs,
    /// Its end.
    pub end_ns: InstantNs,
    /// Messages handed to the client library.
    pub sent: u64,
    /// Messages confirmed.
    pub acked: Volume,
    /// Messages refused or timed out.
    pub failed: u64,
    /// Messages received.
    pub received: Volume,
    /// Latencies of the messages that were confirmed or received in it; of messages due in the
    /// warm-up there are none.
    pub latencies: Latencies,
    /// What ended in it of the system's own work, by name.
    pub durations: DurationHistograms,
}

impl Interval {
    /// Forgets everything and keeps the memory of the distributions.
    fn clear(&mut self) {
        (self.sent, self.failed) = (0, 0);
        (self.acked, self.received) = (Volume::default(), Volume::default());
        self.latencies.clear();
        self.durations.values_mut().for_each(LatencyHistogram::clear);
    }
}

/// What happened in a run, or up to now.
#[derive(Default)]
pub struct Totals {
    /// Messages handed to the client library.
    pub sent: u64,
    /// Messages confirmed.
    pub acked: Volume,
    /// Of these, due after the warm-up.
    pub measured_acked: Volume,
    /// Messages refused or timed out, by the system's code.
    pub failures: BTreeMap<i32, u64>,
    /// What the codes mean.
    pub explanations: BTreeMap<i32, String>,
    /// Of the failures, those of messages that were given up without an answer.
    pub timed_out: u64,
    /// What connections have to say of the figures.
    pub remarks: BTreeSet<String>,
    /// Messages without an answer.
    pub unresolved: u64,
    /// Why there are some, if the connections know.
    pub outage: Option<String>,
    /// Messages that were due and never sent.
    pub unsent: u64,
    /// Of these, those that messages without an answer left no room for.
    pub held_up: u64,
    /// Until when messages were asked for: the end of the schedule, or of sending where that was
    /// earlier; 0 before a producer has ended.
    pub asked_until_ns: InstantNs,
    /// Time that producers could not send for want of room, nanoseconds.
    pub blocked_ns: u64,
    /// When the last confirmation came; 0 without one.
    pub last_acked_ns: InstantNs,
    /// Messages received.
    pub received: Volume,
    /// Of these, due after the warm-up.
    pub measured_received: Volume,
    /// Of all messages received, those whose row was written first.
    pub landed: u64,
    /// From when the receipt of the first message that counts began (when it was waited for, or where
    /// messages land, when what wrote its row had got it) to when the last one came, or landed.
    /// `None` without one.
    pub receiving: Option<Span>,
    /// Whether a consumer ended before it had read everything there was.
    pub is_behind: bool,
    /// Why the consumers stopped, where it was not for having read everything.
    pub early_stop: Option<EarlyStop>,
    /// End-to-end samples of this host's clock.
    pub monotonic: u64,
    /// End-to-end samples by the wall clocks of two hosts.
    pub wall: u64,
    /// Latencies of the whole run.
    pub latencies: Latencies,
    /// Durations of the system's own work in the whole run, by name.
    pub durations: DurationHistograms,
    /// What was acknowledged.
    pub ledger: AckLedger,
    /// What was received.
    pub audit: Audit,
}

/// The receiving end of all workers' outboxes.
pub struct Collector<S> {
    run: RunId,
    timeline: Timeline,
    raw: bool,
    sink: S,
    reports: Receiver<Report>,
    producers: Vec<WorkerState<ProducerSample>>,
    consumers: Vec<WorkerState<ConsumerSample>>,
    /// Intervals that some worker has not reported yet.
    open: BTreeMap<u64, Interval>,
    /// The next interval to be passed on.
    next: u64,
    /// An interval to use again.
    spare: Option<Interval>,
    durations: Durations,
    /// From when on durations have not been taken yet: within one interval, and on one side of the
    /// end of the warm-up.
    durations_from_ns: InstantNs,
    /// Messages that were sent and got no answer, by producer.
    unanswered: Vec<(StreamId, Vec<Unanswered>)>,
    /// How long those waited that were never sent.
    unsent_waits: LatencyHistogram,
    /// When the last consumer ended.
    consumers_ended_ns: InstantNs,
    totals: Totals,
}

struct WorkerState<S> {
    returns: Sender<Box<S>>,
    /// Everything before this interval has been reported.
    reported_until: u64,
    ended: bool,
}

/// The outboxes of a run's producers and consumers.
pub struct Outboxes {
    pub(super) producers: Vec<Outbox<ProducerSample>>,
    pub(super) consumers: Vec<Outbox<ConsumerSample>>,
}

impl<S: IntervalSink> Collector<S> {
    /// A collector for so many workers of `run`.
    pub fn new(
        run: RunId,
        timeline: Timeline,
        producers: usize,
        consumers: usize,
        sink: S,
    ) -> (Self, Outboxes) {
        let (reports_in, reports) = channel();
        let mut outboxes = Outboxes { producers: Vec::new(), consumers: Vec::new() };
        let mut collector = Self {
            run,
            timeline,
            raw: false,
            sink,
            reports,
            producers: Vec::new(),
            consumers: Vec::new(),
            open: BTreeMap::new(),
            next: 0,
            spare: None,
            durations: Durations::default(),
            durations_from_ns: 0,
            unanswered: Vec::new(),
            unsent_waits: LatencyHistogram::new(),
            consumers_ended_ns: 0,
            totals: Totals::default(),
        };
        for worker in 0..producers {
            let (outbox, returns) = outbox(worker, timeline, reports_in.clone(), Content::Producer);
            outboxes.producers.push(outbox);
            collector.producers.push(WorkerState { returns, reported_until: 0, ended: false });
        }
        for worker in producers..producers + consumers {
            let (outbox, returns) = outbox(worker, timeline, reports_in.clone(), Content::Consumer);
            outboxes.consumers.push(outbox);
            collector.consumers.push(WorkerState { returns, reported_until: 0, ended: false });
        }
        (collector, outboxes)
    }

    /// Tells that messages have no header, so that only their number shows whether all have come.
    #[must_use]
    pub fn with_raw_messages(mut self, raw: bool) -> Self {
        self.raw = raw;
        self
    }

    /// Has what is recorded in `durations` become part of the intervals.
    #[must_use]
    pub fn with_durations(mut self, durations: Durations) -> Self {
        self.durations = durations;
        self
    }

    /// Tells the time. Durations belong to the interval in which they are recorded as far as this
    /// is called soon after its end: what was recorded since the last call counts as of then.
    pub fn tick(&mut self, now_ns: InstantNs) {
        let Timeline { warm_up_end_ns, .. } = self.timeline;
        let interval = self.timeline.interval_of(self.durations_from_ns);
        let mut until_ns = self.timeline.interval_start_ns(interval + 1);
        if self.durations_from_ns < warm_up_end_ns {
            until_ns = until_ns.min(warm_up_end_ns);
        }
        if now_ns < until_ns {
            return;
        }
        self.take_durations();
        let interval_ns = self.timeline.interval_start_ns(self.timeline.interval_of(now_ns));
        let is_measured = now_ns >= warm_up_end_ns;
        self.durations_from_ns =
            if is_measured { interval_ns.max(warm_up_end_ns) } else { interval_ns };
    }

    /// Takes in what has been reported, waiting up to `wait` for the first report.
    pub fn collect(&mut self, wait: std::time::Duration) {
        let first = self.reports.recv_timeout(wait).ok();
        let mut progressed = false;
        let mut next = first;
        while let Some(report) = next {
            self.absorb(report);
            progressed = true;
            next = self.reports.try_recv().ok();
        }
        if progressed {
            self.pass_on();
        }
    }

    /// Whether all producers have ended.
    #[must_use]
    pub fn producers_ended(&self) -> bool {
        self.producers.iter().all(|worker| worker.ended)
    }

    /// Whether all workers have ended.
    #[must_use]
    pub fn all_ended(&self) -> bool {
        self.producers_ended() && self.consumers.iter().all(|worker| worker.ended)
    }

    /// Whether everything that was acknowledged has been received, and no more can be acknowledged.
    #[must_use]
    pub fn is_everything_received(&self) -> bool {
        let totals = &self.totals;
        self.producers_ended()
            && if self.raw {
                totals.received.messages >= totals.acked.messages
            } else {
                totals.audit.missing(&totals.ledger) == 0
            }
    }

    /// What happened up to now.
    #[must_use]
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// The totals, when all workers have ended.
    pub fn finish(mut self) -> Totals {
        self.collect(std::time::Duration::ZERO);
        self.take_durations();
        self.add_unreceived();
        self.pass_on();
        if !self.producers.is_empty() {
            self.sink.acked(&self.totals.ledger, self.producers_ended());
        }
        self.totals
    }

    fn absorb(&mut self, report: Report) {
        let Report { worker, interval, content } = report;
        let consumer = worker.wrapping_sub(self.producers.len());
        match content {
            Content::Producer(sample) => {
                self.producers[worker].reported_until = interval;
                self.absorb_producer(worker, interval, sample);
            }
            Content::Consumer(sample) => {
                self.consumers[consumer].reported_until = interval;
                self.absorb_consumer(consumer, interval, sample);
            }
            Content::ProducerEnded(end) => {
                self.producers[worker].ended = true;
                self.absorb_end(self.stream(worker), *end);
            }
            Content::ConsumerEnded(ConsumerEnd { ended_ns, is_behind, early_stop }) => {
                self.consumers[consumer].ended = true;
                self.consumers_ended_ns = self.consumers_ended_ns.max(ended_ns);
                self.totals.is_behind |= is_behind;
                self.totals.early_stop = self.totals.early_stop.or(early_stop);
            }
        }
    }

    fn absorb_producer(&mut self, worker: usize, interval: u64, mut sample: Box<ProducerSample>) {
        let totals = &mut self.totals;
        totals.sent += sample.sent;
        totals.acked.add(sample.acked);
        totals.measured_acked.add(sample.measured);
        totals.blocked_ns += sample.blocked_ns;
        totals.last_acked_ns = totals.last_acked_ns.max(sample.last_acked_ns);
        totals.timed_out += sample.timed_out;
        let mut failed = 0;
        for &(code, count) in &sample.failures {
            *totals.failures.entry(code).or_default() += count;
            failed += count;
        }
        let stream = self.stream(worker);
        let totals = &mut self.totals;
        totals.ledger.absorb(stream, &mut sample.acked_sequences);
        totals.ledger.absorb_aborted(stream, &mut sample.aborted_sequences);

        let open = self.open_interval(interval);
        open.sent += sample.sent;
        open.acked.add(sample.acked);
        open.failed += failed;
        open.latencies.publish_latency.merge(&sample.publish_latency);
        open.latencies.service_time.merge(&sample.service_time);
        open.latencies.schedule_lag.merge(&sample.schedule_lag);
        sample.clear();
        // A worker that has ended does not want it back.
        let _ = self.producers[worker].returns.send(sample);
    }

    fn absorb_consumer(&mut self, worker: usize, interval: u64, mut sample: Box<ConsumerSample>) {
        let totals = &mut self.totals;
        totals.received.add(sample.received);
        totals.measured_received.add(sample.measured);
        totals.landed += sample.landed;
        if let Some(receiving) = sample.receiving {
            Span::extend(&mut totals.receiving, receiving);
        }
        totals.monotonic += sample.monotonic;
        totals.wall += sample.wall;
        totals.audit.absorb(&mut sample.audit);

        let open = self.open_interval(interval);
        open.received.add(sample.received);
        open.latencies.end_to_end_latency.merge(&sample.end_to_end_latency);
        open.latencies.merge_stages(sample.stages.as_deref());
        sample.clear();
        // A worker that has ended does not want it back.
        let _ = self.consumers[worker].returns.send(sample);
    }

    fn absorb_end(&mut self, stream: StreamId, end: ProducerEnd) {
        let totals = &mut self.totals;
        totals.unresolved += end.unresolved;
        // They were counted when they were made.
        totals.sent = totals.sent.saturating_sub(end.refused);
        totals.unsent += end.unsent;
        totals.held_up += end.held_up;
        totals.asked_until_ns = totals.asked_until_ns.max(end.asked_until_ns);
        totals.explanations.extend(end.explanations);
        totals.outage = totals.outage.take().or(end.outage);
        totals.remarks.extend(end.remark);
        self.unanswered.push((stream, end.unanswered));
        self.unsent_waits.merge(&end.unsent_waits);
    }

    /// The messages of a producer, by its position.
    fn stream(&self, producer: usize) -> StreamId {
        StreamId { run: self.run, producer: u16::try_from(producer).unwrap_or(u16::MAX) }
    }

    /// Adds what was never received because it was never sent, or perhaps lost on the way without an
    /// answer, to the latencies of what was received: it has waited until the end.
    fn add_unreceived(&mut self) {
        if self.raw || self.consumers.is_empty() {
            return;
        }
        let mut waits = std::mem::take(&mut self.unsent_waits);
        for (stream, unanswered) in std::mem::take(&mut self.unanswered) {
            for Unanswered { sequence, intended_ns } in unanswered {
                if !self.totals.audit.has_received(stream, sequence) {
                    waits.record_unanswered(intended_ns, self.consumers_ended_ns);
                }
            }
        }
        if waits.is_empty() {
            return;
        }
        let lands = self.totals.landed > 0;
        let last_open = self.open.last_key_value().map_or(0, |(&index, _)| index);
        let latencies = &mut self.open_interval(last_open.max(self.next)).latencies;
        latencies.end_to_end_latency.merge(&waits);
        if lands {
            latencies.stages.get_or_insert_default().landing_latency.merge(&waits);
        }
    }

    /// Adds what was recorded of the system's own work to its interval. What ended in the warm-up is
    /// left out, as the latencies of its messages are.
    fn take_durations(&mut self) {
        let is_measured = self.durations_from_ns >= self.timeline.warm_up_end_ns;
        let interval = self.timeline.interval_of(self.durations_from_ns).max(self.next);
        let durations = self.durations.clone();
        durations.take(|name, recorded| {
            if is_measured {
                self.open_interval(interval).durations.entry(name).or_default().merge(recorded);
            }
        });
    }

    fn open_interval(&mut self, index: u64) -> &mut Interval {
        let (timeline, spare) = (self.timeline, &mut self.spare);
        self.open.entry(index).or_insert_with(|| {
            let mut interval = spare.take().unwrap_or_default();
            interval.index = index;
            interval.start_ns = timeline.interval_start_ns(index);
            interval.end_ns = timeline.interval_start_ns(index + 1);
            interval
        })
    }

    /// Passes on the intervals that every worker has left behind.
    fn pass_on(&mut self) {
        let producers = self.producers.iter().map(|w| (w.ended, w.reported_until));
        let consumers = self.consumers.iter().map(|w| (w.ended, w.reported_until));
        let working = producers.chain(consumers).filter(|(ended, _)| !ended);
        let last_open = self.open.last_key_value().map_or(0, |(&index, _)| index + 1);
        let until = working.map(|(_, reported_until)| reported_until).min().unwrap_or(last_open);
        let mut passed = false;
        while self.next < until {
            self.open_interval(self.next);
            if let Some(mut interval) = self.open.remove(&self.next) {
                self.totals.latencies.merge(&interval.latencies);
                for (name, duration) in &interval.durations {
                    self.totals.durations.entry(name).or_default().merge(duration);
                }
                self.sink.interval(&interval);
                interval.clear();
                self.spare = Some(interval);
            }
            self.next += 1;
            passed = true;
        }
        if passed {
            self.sink.acked(&self.totals.ledger, false);
        }
    }
}
