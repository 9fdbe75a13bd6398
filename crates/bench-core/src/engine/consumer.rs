//! The consumer loop: receives, decodes, audits and measures until told to stop.

use std::sync::Arc;

use bench_record::{EarlyStop, Guarantee};

use super::collector::Totals;
use super::control::RunControl;
use super::report::{ConsumerEnd, ConsumerSample, Content, Outbox, Timeline};
use crate::audit::{AckLedger, Receipt, ReceiveAudit};
use crate::clock::{Clock, ClockOrigin, InstantNs};
use crate::message::{self, header::Header};
use crate::transport::{Incoming, Receive, TransportError};

/// Longest wait for messages before the loop checks the flags again.
const POLL_NS: u64 = 50_000_000;

/// Interval between reports while the run drains, so that its end is noticed at once.
const DRAIN_REPORT_NS: u64 = 20_000_000;

/// How consumers work and what they must receive. The default suits runs without consumers.
#[derive(Debug, Clone, Default)]
pub struct ConsumerConfig {
    /// Whether messages carry no header, so that only volume is measured.
    pub raw: bool,
    /// Number of messages after which all consumers stop.
    pub messages_max: Option<u64>,
    /// Number of messages that must come: fewer, or gaps in the sequence numbers, are a loss.
    /// Consumers wait for them beyond the end of the system, and stop once they are there.
    pub messages_expected: Option<u64>,
    /// Messages of another run that must come. The end of the system counts only once they are
    /// there; consumers that do not stop at the end stop then.
    pub acked: Option<Arc<AckLedger>>,
    /// When all consumers stop.
    pub deadline_ns: Option<InstantNs>,
    /// Time without a message after which all consumers stop, once all producers have ended.
    pub drain_timeout_ns: u64,
    /// Whether consumers stop when all of them have read everything there was.
    pub stop_at_end: bool,
    /// The guarantee given to the consumers, for the verdict.
    pub guarantee: Guarantee,
    /// Whether the system promises no order, as a table: nothing counts as reordered then.
    pub unordered: bool,
}

impl ConsumerConfig {
    /// Whether particular messages, or a number of them, must come.
    pub(super) fn requires_messages(&self) -> bool {
        self.messages_expected.is_some() || self.acked.is_some()
    }

    /// Whether what has been received is what must come.
    pub(super) fn is_satisfied_by(&self, totals: &Totals) -> bool {
        let messages = totals.received.messages;
        let count = if self.raw { messages } else { totals.audit.distinct() };
        let has_acked = |acked: &Arc<AckLedger>| {
            // Cheap while most are missing.
            messages >= acked.len() && totals.audit.missing(acked) == 0
        };
        self.messages_expected.is_none_or(|expected| count >= expected)
            && self.acked.as_ref().is_none_or(has_acked)
    }

    /// Whether messages are read as they are sent, rather than after they were.
    fn reads_live(&self) -> bool {
        !self.stop_at_end || self.messages_expected.is_some()
    }
}

/// A running consumer.
pub(super) struct Consumer<'a, C, T> {
    pub(super) clock: &'a C,
    pub(super) transport: T,
    pub(super) config: ConsumerConfig,
    pub(super) audit: ReceiveAudit,
    pub(super) timeline: Timeline,
    pub(super) control: &'a RunControl,
    pub(super) outbox: Outbox<ConsumerSample>,
}

impl<C: Clock, T: Receive> Consumer<'_, C, T> {
    /// Runs until told to stop and reports, even after an error.
    pub(super) fn run(mut self) -> Result<(), TransportError> {
        let result = self.receive_all();
        let now_ns = self.clock.now_ns();
        self.report(now_ns);
        self.outbox.post(Content::ConsumerEnded(ConsumerEnd {
            ended_ns: now_ns,
            // After an error it would not continue reading.
            is_behind: result.is_ok() && self.transport.is_behind(),
            early_stop: self.control.early_stop(),
        }));
        result
    }

    fn receive_all(&mut self) -> Result<(), TransportError> {
        let mut reported_ns = self.clock.now_ns();
        // Without producers, the time without a message counts from here.
        self.control.progress(reported_ns);
        let begun_ns = reported_ns;
        let mut at_end = false;
        // Whether everything that had been sent when the producers ended has been read.
        let mut caught_up = false;
        loop {
            let now_ns = self.clock.now_ns();
            let draining = self.control.is_draining();
            let drain_report = draining && now_ns >= reported_ns.saturating_add(DRAIN_REPORT_NS);
            if self.outbox.is_due(now_ns) || drain_report {
                self.report(now_ns);
                reported_ns = now_ns;
            }
            if self.is_over(now_ns, draining) {
                return Ok(());
            }
            let wait_ns = if draining { DRAIN_REPORT_NS } else { POLL_NS };
            let until_ns = now_ns.saturating_add(wait_ns).min(self.outbox.interval_end_ns());
            // A backlog is on its way from the first call on, also in calls that return nothing.
            let asked_ns = if self.config.reads_live() { now_ns } else { begun_ns };
            let messages = self.receive(asked_ns, until_ns)?;
            caught_up |= draining && self.transport.at_end();
            if messages > 0 && !caught_up && self.transport.is_behind() {
                // Messages of other runs lie before those of this one.
                self.control.progress(self.clock.now_ns());
            }
            if !self.config.stop_at_end {
                continue;
            }
            // Messages that must come may appear after the end was reached.
            if (self.transport.at_end() && !self.control.is_awaiting()) != at_end {
                at_end = !at_end;
                if at_end {
                    self.control.consumer_at_end();
                } else {
                    self.control.consumer_reads_on();
                }
            }
        }
    }

    fn is_over(&self, now_ns: InstantNs, draining: bool) -> bool {
        let timed_out = draining && self.control.idle_ns(now_ns) >= self.config.drain_timeout_ns;
        let past_deadline = self.config.deadline_ns.is_some_and(|deadline| now_ns >= deadline);
        if timed_out {
            self.control.stop_early(EarlyStop::Silence);
        }
        if past_deadline {
            self.control.stop_early(EarlyStop::Deadline);
        }
        self.control.is_consuming_stopped()
    }

    /// Receives messages until `until_ns` that have been asked for since `asked_ns`; returns their
    /// number.
    fn receive(
        &mut self,
        asked_ns: InstantNs,
        until_ns: InstantNs,
    ) -> Result<usize, TransportError> {
        let origin = self.clock.origin();
        let mut sink = Sink {
            asked_ns,
            raw: self.config.raw,
            timeline: self.timeline,
            origin,
            audit: &mut self.audit,
            sample: &mut self.outbox.sample,
            ours: 0,
            bytes: 0,
        };
        let messages = self.transport.receive(until_ns, |incoming| sink.accept(&incoming))?;
        let (ours, bytes) = (sink.ours, sink.bytes);
        if messages > 0 {
            let received = self.control.add_received(messages as u64, bytes);
            if self.config.messages_max.is_some_and(|most| received >= most) {
                self.control.stop_early(EarlyStop::Count);
            }
        }
        if ours > 0 || self.transport.waits_for().is_some() {
            // Rows of a table are older than their receipt.
            self.control.progress(self.clock.now_ns());
        }
        Ok(messages)
    }

    fn report(&mut self, now_ns: InstantNs) {
        self.audit.hand_over(&mut self.outbox.sample.audit);
        self.outbox.send(now_ns);
    }
}

/// Takes the messages of one call.
struct Sink<'a> {
    /// When the messages were first asked for.
    asked_ns: InstantNs,
    raw: bool,
    timeline: Timeline,
    origin: ClockOrigin,
    audit: &'a mut ReceiveAudit,
    sample: &'a mut ConsumerSample,
    /// Messages that show progress. Foreign ones do so only before the end.
    ours: u64,
    bytes: u64,
}

impl Sink<'_> {
    #[inline]
    fn accept(&mut self, incoming: &Incoming<'_>) {
        let size_bytes = (incoming.value.len() + incoming.key.map_or(0, <[u8]>::len)) as u64;
        self.bytes += size_bytes;
        self.sample.received.add_message(size_bytes);
        if self.raw {
            self.ours += 1;
            self.sample.note_received(incoming, self.asked_ns);
            self.sample.measured.add_message(size_bytes);
            self.sample.record_stages(incoming, None);
            return;
        }
        match message::decode(incoming.value) {
            Ok(header) => self.accept_decoded(&header, incoming, size_bytes),
            Err(_) => self.audit.corrupt(),
        }
    }

    #[inline]
    fn accept_decoded(&mut self, header: &Header, incoming: &Incoming<'_>, size_bytes: u64) {
        let receipt = self.audit.received(header, incoming.partition);
        if receipt == Receipt::Foreign {
            return;
        }
        self.ours += 1;
        self.sample.note_received(incoming, self.asked_ns);
        let same_clock = header.origin.boot == self.origin.boot;
        let intended_ns = if same_clock {
            header.intended_ns.cast_signed()
        } else {
            // Hosts share nothing but wall-clock time, so both instants are converted to it.
            let offset_ns = header.origin.wall_offset_ns.wrapping_sub(self.origin.wall_offset_ns);
            header.intended_ns.cast_signed().wrapping_add(offset_ns)
        };
        let warm_up_end_ns = self.timeline.warm_up_end_ns.cast_signed();
        // Without a warm-up everything counts, even messages that another host sent before this
        // host's boot.
        if intended_ns < warm_up_end_ns && warm_up_end_ns > 0 {
            return;
        }
        self.sample.measured.add_message(size_bytes);
        if receipt == Receipt::First {
            let latency_ns = incoming.received_ns.cast_signed().wrapping_sub(intended_ns);
            self.sample.end_to_end_latency.record(latency_ns);
            self.sample.record_stages(incoming, Some(intended_ns));
            if same_clock && !incoming.timestamps.by_wall_clock {
                self.sample.monotonic += 1;
            } else {
                self.sample.wall += 1;
            }
        }
    }
}
