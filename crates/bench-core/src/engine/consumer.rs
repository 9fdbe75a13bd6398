//! The consumer loop: receives, decodes, audits and measures until told to stop.

use bench_record::{EarlyStop, Guarantee};

use super::control::RunControl;
use super::report::{ConsumerEnd, ConsumerSample, Content, Outbox, Timeline};
use crate::audit::{Receipt, ReceiveAudit};
use crate::clock::{Clock, ClockOrigin, InstantNs};
use crate::message::{self, header::Header};
use crate::transport::{Incoming, Receive, TransportError};

/// Longest wait for messages before the loop looks at the flags again.
const POLL_NS: u64 = 50_000_000;

/// How often a consumer reports while the run drains, so that its end is noticed at once.
const DRAIN_REPORT_NS: u64 = 20_000_000;

/// How one consumer works. The default never waits for what is late: it suits runs without consumers.
#[derive(Debug, Clone, Default)]
pub struct ConsumerConfig {
    /// Whether messages carry no header: only volume is measured then.
    pub raw: bool,
    /// All consumers stop after so many messages.
    pub messages_max: Option<u64>,
    /// So many messages are known to have been sent: fewer, or gaps in the sequence numbers, are a
    /// loss where nothing tells which of them were acknowledged.
    pub messages_expected: Option<u64>,
    /// All consumers stop at this instant.
    pub deadline_ns: Option<InstantNs>,
    /// All consumers stop when nothing has come for so long, once all producers have ended.
    pub drain_timeout_ns: u64,
    /// Whether a consumer that has read everything there was stops.
    pub stop_at_end: bool,
    /// What the consumers were promised, for the verdict.
    pub guarantee: Guarantee,
    /// Whether the system promises no order at all, as a table: then nothing counts as reordered.
    pub unordered: bool,
}

/// A consumer at work.
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
    /// Runs until told to stop and reports, also after an error.
    pub(super) fn run(mut self) -> Result<(), TransportError> {
        let result = self.receive_all();
        let now_ns = self.clock.now_ns();
        self.report(now_ns);
        self.outbox.post(Content::ConsumerEnded(ConsumerEnd {
            ended_ns: now_ns,
            // One that gave up will not read on.
            is_behind: result.is_ok() && self.transport.is_behind(),
            early_stop: self.control.early_stop(),
        }));
        result
    }

    fn receive_all(&mut self) -> Result<(), TransportError> {
        let mut reported_ns = self.clock.now_ns();
        // Where nothing is produced, the time without a message counts from here.
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
            // What is there is on its way from the first call on, also in calls that bring nothing.
            let asked_ns = if self.config.stop_at_end { begun_ns } else { now_ns };
            let messages = self.receive(asked_ns, until_ns)?;
            caught_up |= draining && self.transport.at_end();
            if messages > 0 && !caught_up && self.transport.is_behind() {
                // Messages of others lie before those of the run.
                self.control.progress(self.clock.now_ns());
            }
            if self.config.stop_at_end && self.transport.at_end() != at_end {
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

    /// Takes in what comes until `until_ns` of what has been asked for since `asked_ns`; returns how
    /// many messages that were.
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

/// Takes in the messages of one call.
struct Sink<'a> {
    /// From when on the messages have been asked for.
    asked_ns: InstantNs,
    raw: bool,
    timeline: Timeline,
    origin: ClockOrigin,
    audit: &'a mut ReceiveAudit,
    sample: &'a mut ConsumerSample,
    /// Messages that show that the run goes on. A stream of foreign ones does so only while it lies
    /// before the end.
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
            // Across hosts the wall clocks are all there is: both instants go through them.
            let offset_ns = header.origin.wall_offset_ns.wrapping_sub(self.origin.wall_offset_ns);
            header.intended_ns.cast_signed().wrapping_add(offset_ns)
        };
        let warm_up_end_ns = self.timeline.warm_up_end_ns.cast_signed();
        // Without a warm-up everything counts, also what another host sent before this one's boot.
        if intended_ns < warm_up_end_ns && warm_up_end_ns > 0 {
            return;
        }
        self.sample.measured.add_message(size_bytes);
        if receipt == Receipt::First {
            let latency_ns = incoming.received_ns.cast_signed().wrapping_sub(intended_ns);
            self.sample.end_to_end_latency.record(latency_ns);
            self.sample.record_stages(incoming, Some(intended_ns));
            if same_clock && !incoming.stamps.by_wall_clock {
                self.sample.monotonic += 1;
            } else {
                self.sample.wall += 1;
            }
        }
    }
}
