//! Merges the workers' reports into intervals as they end, and into the totals of the run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, Sender, channel};

use bench_record::EarlyStop;

use super::latencies::Latencies;
use super::report::{
    ConsumerEnd, ConsumerSample, Content, Outbox, ProducerEnd, ProducerSample, Sample as _, Span,
    Timeline, Unanswered, Volume, WorkerReport, outbox,
};
use super::run::SystemFigures;
use crate::audit::{AckLedger, Audit, StreamId};
use crate::clock::InstantNs;
use crate::counts::CountsNow;
use crate::durations::DurationHistograms;
use crate::latency::LatencyHistogram;
use crate::message::RunId;
use crate::transport::Failure;

/// Receives the intervals of a run as they end. Recording never fails a run, so the methods return
/// nothing.
pub trait IntervalSink {
    /// Takes an interval that all workers have reported. Called in order, without gaps.
    fn interval(&mut self, interval: &Interval);

    /// Takes the messages acknowledged so far; `is_whole` at the end of the run, when nothing more
    /// can be acknowledged.
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

/// What happened in one interval, summed over workers.
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
    /// Latencies of the messages confirmed or received in it, except those due in the warm-up.
    pub latencies: Latencies,
    /// Durations of the system's own work that ended in it, by name.
    pub durations: DurationHistograms,
    /// The growth of the system's own counts in it, and the values of its gauges at its end, by name.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Interval {
    /// Clears everything and keeps the memory of the distributions.
    fn clear(&mut self) {
        (self.sent, self.failed) = (0, 0);
        (self.acked, self.received) = (Volume::default(), Volume::default());
        self.latencies.clear();
        self.durations.values_mut().for_each(LatencyHistogram::clear);
        self.counts.clear();
    }
}

/// What happened in a run so far.
#[derive(Default)]
pub struct Totals {
    /// Messages handed to the client library.
    pub sent: u64,
    /// Messages confirmed.
    pub acked: Volume,
    /// Of these, due after the warm-up.
    pub measured_acked: Volume,
    /// Messages that failed, by how they did.
    pub failures: BTreeMap<Failure, u64>,
    /// What the failures mean.
    pub explanations: BTreeMap<Failure, String>,
    /// Of the failures, messages that were given up unacknowledged.
    pub timed_out: u64,
    /// The connections' remarks on the figures.
    pub remarks: BTreeSet<String>,
    /// Messages that are still unacknowledged.
    pub unresolved: u64,
    /// Why there are some, if the connections know.
    pub outage: Option<String>,
    /// Messages that were due and never sent.
    pub unsent: u64,
    /// Of these, those for which unacknowledged messages left no room.
    pub held_up: u64,
    /// End of the requested time: the end of the schedule, or of sending if that was earlier; 0
    /// before a producer has ended.
    pub asked_until_ns: InstantNs,
    /// Time in which producers were blocked for lack of room, nanoseconds.
    pub blocked_ns: u64,
    /// Instant of the last confirmation; 0 without one.
    pub last_acked_ns: InstantNs,
    /// Messages received.
    pub received: Volume,
    /// Of these, due after the warm-up.
    pub measured_received: Volume,
    /// Of all messages received, those whose row was written.
    pub landed: u64,
    /// From the start of receiving the first message that counts (when the consumer began to wait
    /// for it or, where messages land, when the writer of its row got it) until the last one arrived
    /// or landed. `None` without messages.
    pub receiving: Option<Span>,
    /// Whether a consumer ended before it had read everything.
    pub is_behind: bool,
    /// Why the consumers stopped, if it was before they had read everything.
    pub early_stop: Option<EarlyStop>,
    /// End-to-end samples measured by this host's clock.
    pub monotonic: u64,
    /// End-to-end samples measured by the wall clocks of two hosts.
    pub wall: u64,
    /// Latencies of the whole run.
    pub latencies: Latencies,
    /// Durations of the system's own work in the whole run, by name.
    pub durations: DurationHistograms,
    /// Messages acknowledged.
    pub ledger: AckLedger,
    /// Messages received.
    pub audit: Audit,
}

/// The receiving end of all workers' outboxes.
pub(super) struct Collector<S> {
    run: RunId,
    timeline: Timeline,
    raw: bool,
    sink: S,
    reports: Receiver<WorkerReport>,
    producers: Vec<WorkerState<ProducerSample>>,
    consumers: Vec<WorkerState<ConsumerSample>>,
    /// Intervals not yet reported by all workers.
    open: BTreeMap<u64, Interval>,
    /// The next interval to be passed on.
    next: u64,
    /// An interval for reuse.
    spare: Option<Interval>,
    system: SystemFigures,
    /// The counts when they were last taken.
    counted: CountsNow,
    /// Start of the time whose system figures have not been taken: within one interval, and on one
    /// side of the end of the warm-up.
    system_from_ns: InstantNs,
    /// Messages that were sent but never acknowledged, by producer.
    unanswered: Vec<(StreamId, Vec<Unanswered>)>,
    /// Waits of messages that were never sent.
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
pub(super) struct Outboxes {
    pub(super) producers: Vec<Outbox<ProducerSample>>,
    pub(super) consumers: Vec<Outbox<ConsumerSample>>,
}

impl<S: IntervalSink> Collector<S> {
    /// A collector for this many workers of `run`.
    pub(super) fn new(
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
            system: SystemFigures::default(),
            counted: CountsNow::default(),
            system_from_ns: 0,
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

    /// Sets whether messages have no header, so that only their number shows whether all arrived.
    pub(super) fn with_raw_messages(mut self, raw: bool) -> Self {
        self.raw = raw;
        self
    }

    /// Includes the system's own figures from now on in the intervals.
    pub(super) fn with_system(mut self, system: SystemFigures) -> Self {
        self.counted = system.counts.now();
        self.system = system;
        self
    }

    /// Advances the collector's clock. Call it soon after each interval ends, or the system's own
    /// figures land in the next one.
    pub(super) fn tick(&mut self, now_ns: InstantNs) {
        let Timeline { warm_up_end_ns, .. } = self.timeline;
        let interval = self.timeline.interval_of(self.system_from_ns);
        let mut until_ns = self.timeline.interval_start_ns(interval + 1);
        if self.system_from_ns < warm_up_end_ns {
            until_ns = until_ns.min(warm_up_end_ns);
        }
        if now_ns < until_ns {
            return;
        }
        self.take_system_figures();
        let interval_ns = self.timeline.interval_start_ns(self.timeline.interval_of(now_ns));
        let is_measured = now_ns >= warm_up_end_ns;
        self.system_from_ns =
            if is_measured { interval_ns.max(warm_up_end_ns) } else { interval_ns };
    }

    /// Processes pending reports, waiting up to `wait` for the first one.
    pub(super) fn collect(&mut self, wait: std::time::Duration) {
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
    pub(super) fn producers_ended(&self) -> bool {
        self.producers.iter().all(|worker| worker.ended)
    }

    /// Whether all workers have ended.
    #[cfg(test)]
    pub(super) fn all_ended(&self) -> bool {
        self.producers_ended() && self.consumers.iter().all(|worker| worker.ended)
    }

    /// Whether everything acknowledged has been received, and nothing more can be acknowledged.
    pub(super) fn is_everything_received(&self) -> bool {
        let totals = &self.totals;
        self.producers_ended()
            && if self.raw {
                totals.received.messages >= totals.acked.messages
            } else {
                totals.audit.missing(&totals.ledger) == 0
            }
    }

    /// What happened so far.
    pub(super) fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Returns the totals, once all workers have ended.
    pub(super) fn finish(mut self) -> Totals {
        self.collect(std::time::Duration::ZERO);
        self.take_system_figures();
        self.add_unreceived();
        self.pass_on();
        if !self.producers.is_empty() {
            self.sink.acked(&self.totals.ledger, self.producers_ended());
        }
        self.totals
    }

    fn absorb(&mut self, report: WorkerReport) {
        let WorkerReport { worker, interval, content } = report;
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
        for &(failure, count) in &sample.failures {
            *totals.failures.entry(failure).or_default() += count;
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
        // A worker that has ended needs no sample.
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
        // A worker that has ended needs no sample.
        let _ = self.consumers[worker].returns.send(sample);
    }

    fn absorb_end(&mut self, stream: StreamId, end: ProducerEnd) {
        let totals = &mut self.totals;
        totals.unresolved += end.unresolved;
        // They were counted when they were built.
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

    /// The stream of a producer, by its position.
    fn stream(&self, producer: usize) -> StreamId {
        StreamId { run: self.run, producer: u16::try_from(producer).unwrap_or(u16::MAX) }
    }

    /// Adds messages that were never sent, or that went unacknowledged and were not received, to the
    /// latencies of received messages: they have waited until the end.
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

    /// Adds the system's own figures to their interval, except the durations of what ended in the
    /// warm-up.
    fn take_system_figures(&mut self) {
        let is_measured = self.system_from_ns >= self.timeline.warm_up_end_ns;
        let interval = self.timeline.interval_of(self.system_from_ns).max(self.next);
        let SystemFigures { durations, counts } = self.system.clone();
        durations.take(|name, recorded| {
            if is_measured {
                self.open_interval(interval).durations.entry(name).or_default().merge(recorded);
            }
        });
        if !counts.names().is_empty() {
            let now = counts.now();
            let earlier = std::mem::take(&mut self.counted);
            now.show_since(&earlier, &mut self.open_interval(interval).counts);
            self.counted = now;
        }
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

    /// Passes on the intervals that every worker has finished.
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
