//! The audit: acknowledged messages compared with received ones.
//!
//! Each consumer keeps a [`ReceiveAudit`] and hands over what it saw as one [`ReceiveDelta`] per
//! interval; an [`Audit`] merges those of all consumers. Each producer does the same with its
//! acknowledgements, merged into an [`AckLedger`] that is also kept in the result folder, so that a
//! consumer running later or elsewhere can be checked against it.
//!
//! Order is judged where messaging systems promise it: within one producer's messages of one
//! partition (shard, key), as one consumer received them.

mod ledger;
mod sequences;

use std::collections::BTreeMap;

pub use ledger::{AckLedger, LedgerError};
pub use sequences::{CHUNK_LEN, SequenceDelta, SequenceSet};

use bench_record::{AuditBasis, AuditSummary, Guarantee, ProducerAudit};

use crate::message::RunId;
use crate::message::header::Header;

/// How many ranges of lost sequence numbers a summary lists per producer.
const LOST_RANGES_MAX: usize = 10;

/// How many streams of one topic are distinguished; messages of further ones count as foreign.
/// Bounded because run and producer ids come from outside.
const STREAMS_MAX: usize = 1 << 16;

/// The messages of one producer of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId {
    /// The run.
    pub run: RunId,
    /// The producer within the run.
    pub producer: u16,
}

/// Which runs' messages are expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Those of one run; others are foreign.
    Run(RunId),
    /// Those of any run.
    Any,
}

/// How a received message was classified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// The first of its sequence number, as far as this consumer can tell.
    First,
    /// Received before.
    Repeated,
    /// Of another run.
    Foreign,
}

/// One consumer's side of the audit: called once per message, on the hot path.
pub struct ReceiveAudit {
    expected: Expected,
    unordered: bool,
    streams: Vec<Stream>,
    /// The stream of the last message: most likely also that of the next.
    current: usize,
    corrupt: u64,
    foreign: u64,
}

struct Stream {
    id: StreamId,
    seen: SequenceDelta,
    /// Numbers received after a higher one of their partition: either reordered, or repeats of
    /// numbers in an earlier delta. The merge decides which.
    late: SequenceDelta,
    duplicated: u64,
    /// Per partition, one more than the highest sequence number.
    next_by_partition: Vec<u64>,
}

impl ReceiveAudit {
    /// An audit of the `expected` messages.
    #[must_use]
    pub fn new(expected: Expected) -> Self {
        Self { expected, unordered: false, streams: Vec::new(), current: 0, corrupt: 0, foreign: 0 }
    }

    /// Disables the check of order if `unordered`, for a system that promises none.
    pub(crate) fn without_order(mut self, unordered: bool) -> Self {
        self.unordered = unordered;
        self
    }

    /// Records a decoded message.
    #[inline]
    pub fn received(&mut self, header: &Header, partition: u32) -> Receipt {
        if let Expected::Run(run) = self.expected
            && header.run != run
        {
            self.foreign += 1;
            return Receipt::Foreign;
        }
        let id = StreamId { run: header.run, producer: header.producer };
        if self.streams.get(self.current).is_none_or(|stream| stream.id != id)
            && !self.switch_to(id)
        {
            self.foreign += 1;
            return Receipt::Foreign;
        }
        let partition = (!self.unordered).then_some(partition);
        self.streams[self.current].received(header.sequence, partition)
    }

    /// Records a message that could not be decoded.
    pub fn corrupt(&mut self) {
        self.corrupt += 1;
    }

    #[cold]
    fn switch_to(&mut self, id: StreamId) -> bool {
        if let Some(position) = self.streams.iter().position(|stream| stream.id == id) {
            self.current = position;
            return true;
        }
        if self.streams.len() == STREAMS_MAX {
            return false;
        }
        self.current = self.streams.len();
        self.streams.push(Stream {
            id,
            seen: SequenceDelta::default(),
            late: SequenceDelta::default(),
            duplicated: 0,
            next_by_partition: Vec::new(),
        });
        true
    }

    /// Moves everything seen since the last call into `delta`, which must be empty.
    pub(crate) fn hand_over(&mut self, delta: &mut ReceiveDelta) {
        delta.corrupt = std::mem::take(&mut self.corrupt);
        delta.foreign = std::mem::take(&mut self.foreign);
        for (index, stream) in self.streams.iter_mut().enumerate() {
            if delta.streams.len() == index {
                delta.streams.push(StreamDelta::default());
            }
            let out = &mut delta.streams[index];
            out.id = Some(stream.id);
            out.duplicated = std::mem::take(&mut stream.duplicated);
            std::mem::swap(&mut out.seen, &mut stream.seen);
            std::mem::swap(&mut out.late, &mut stream.late);
        }
    }
}

impl Stream {
    #[inline]
    fn received(&mut self, sequence: u64, partition: Option<u32>) -> Receipt {
        if !self.seen.insert(sequence) {
            self.duplicated += 1;
            return Receipt::Repeated;
        }
        let Some(partition) = partition else { return Receipt::First };
        let partition = partition as usize;
        if partition >= self.next_by_partition.len() {
            self.next_by_partition.resize(partition + 1, 0);
        }
        let next = &mut self.next_by_partition[partition];
        if sequence >= *next {
            *next = sequence + 1;
        } else {
            self.late.insert(sequence);
        }
        Receipt::First
    }
}

/// What one consumer saw since its last report.
#[derive(Default)]
pub(crate) struct ReceiveDelta {
    streams: Vec<StreamDelta>,
    corrupt: u64,
    foreign: u64,
}

#[derive(Default)]
struct StreamDelta {
    id: Option<StreamId>,
    seen: SequenceDelta,
    late: SequenceDelta,
    duplicated: u64,
}

/// What all consumers saw, merged.
#[derive(Default)]
pub struct Audit {
    streams: BTreeMap<StreamId, StreamAudit>,
    corrupt: u64,
    foreign: u64,
}

#[derive(Default)]
struct StreamAudit {
    received: SequenceSet,
    duplicated: u64,
    reordered: u64,
}

impl Audit {
    /// Adds what a consumer saw and empties `delta` for reuse.
    pub(crate) fn absorb(&mut self, delta: &mut ReceiveDelta) {
        self.corrupt += std::mem::take(&mut delta.corrupt);
        self.foreign += std::mem::take(&mut delta.foreign);
        for stream in &mut delta.streams {
            let Some(id) = stream.id.take() else { continue };
            let audit = self.streams.entry(id).or_default();
            audit.reordered += audit.received.count_new(&stream.late);
            audit.duplicated += stream.duplicated + audit.received.absorb(&stream.seen);
            stream.seen.clear();
            stream.late.clear();
        }
    }

    /// Number of acknowledged messages not yet received.
    #[must_use]
    pub fn missing(&self, acked: &AckLedger) -> u64 {
        let streams = acked.streams();
        streams.map(|(id, acked)| acked.count_without(self.received(id))).sum()
    }

    /// Number of distinct messages received.
    #[must_use]
    pub fn distinct(&self) -> u64 {
        self.streams.values().map(|stream| stream.received.len()).sum()
    }

    /// Whether a message has been received.
    pub(crate) fn has_received(&self, stream: StreamId, sequence: u64) -> bool {
        self.received(stream).contains(sequence)
    }

    /// The audit's figures, compared with the acknowledged messages or, without `acked`, with the
    /// sequence numbers alone.
    #[must_use]
    pub fn summary(&self, acked: Option<&AckLedger>) -> AuditSummary {
        let mut ids: Vec<StreamId> = self.streams.keys().copied().collect();
        if let Some(ledger) = acked {
            ids.extend(ledger.streams().map(|(id, _)| id));
            ids.sort_unstable();
            ids.dedup();
        }
        let producers: Vec<ProducerAudit> =
            ids.into_iter().map(|id| self.producer(id, acked)).collect();
        let total = |of: fn(&ProducerAudit) -> u64| producers.iter().map(of).sum();
        AuditSummary {
            against: if acked.is_some() { AuditBasis::Acked } else { AuditBasis::Sequences },
            received: total(|p| p.received),
            lost: total(|p| p.lost),
            unread: 0,
            partial: None,
            duplicated: total(|p| p.duplicated),
            reordered: total(|p| p.reordered),
            corrupt: self.corrupt,
            foreign: self.foreign,
            unacked_received: total(|p| p.unacked_received),
            aborted_received: total(|p| p.aborted_received),
            guarantee: Guarantee::default(),
            producers,
        }
    }

    fn received(&self, id: StreamId) -> &SequenceSet {
        static NOTHING: SequenceSet = SequenceSet::new();
        self.streams.get(&id).map_or(&NOTHING, |stream| &stream.received)
    }

    fn producer(&self, id: StreamId, ledger: Option<&AckLedger>) -> ProducerAudit {
        let received = self.received(id);
        let whole;
        let (acked, expected, unacked_received, aborted_received) = if let Some(ledger) = ledger {
            let acked = ledger.acked(id);
            let aborted_received = ledger.aborted(id).count_within(received);
            // A hostile file may list a number as both acknowledged and aborted: it counts as
            // aborted.
            let unacked = received.count_without(acked).saturating_sub(aborted_received);
            (acked.len(), acked, unacked, aborted_received)
        } else {
            let mut all = SequenceSet::new();
            if let (Some(lowest), Some(highest)) = (received.lowest(), received.highest()) {
                all.insert_range(lowest, highest);
            }
            whole = all;
            (0, &whole, 0, 0)
        };
        let stream = self.streams.get(&id);
        ProducerAudit {
            run_id: id.run.to_string(),
            producer: id.producer,
            acked,
            received: received.len(),
            lost: expected.count_without(received),
            unread: 0,
            duplicated: stream.map_or(0, |stream| stream.duplicated),
            reordered: stream.map_or(0, |stream| stream.reordered),
            unacked_received,
            aborted_received,
            lost_ranges: expected.ranges_without(received, LOST_RANGES_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{BootId, ClockOrigin};

    const RUN: u64 = 7;

    fn header(run: u64, producer: u16, sequence: u64) -> Header {
        Header {
            run: RunId::from_bits(run),
            producer,
            sequence,
            intended_ns: 0,
            sent_ns: 0,
            origin: ClockOrigin { boot: BootId::from_hash(0), wall_offset_ns: 0 },
        }
    }

    fn ledger(producer: u16, ranges: &[(u64, u64)]) -> AckLedger {
        let mut ledger = AckLedger::default();
        for &(first, last) in ranges {
            ledger.insert_range(StreamId { run: RunId::from_bits(RUN), producer }, first, last);
        }
        ledger
    }

    /// Feeds `(producer, sequence, partition)` to one consumer, which reports after each message if
    /// `often`, and merges its reports.
    fn audit_of(messages: &[(u16, u64, u32)], often: bool) -> Audit {
        let mut consumer = ReceiveAudit::new(Expected::Run(RunId::from_bits(RUN)));
        let (mut audit, mut delta) = (Audit::default(), ReceiveDelta::default());
        for &(producer, sequence, partition) in messages {
            consumer.received(&header(RUN, producer, sequence), partition);
            if often {
                consumer.hand_over(&mut delta);
                audit.absorb(&mut delta);
            }
        }
        consumer.hand_over(&mut delta);
        audit.absorb(&mut delta);
        audit
    }

    #[test]
    fn figures_do_not_depend_on_report_frequency() {
        // 0 1 3 2 4 4 1 6 on one partition: 5 lost, 2 reordered, 4 and 1 twice.
        let messages = [0, 1, 3, 2, 4, 4, 1, 6].map(|sequence| (0, sequence, 0));
        for often in [false, true] {
            let summary = audit_of(&messages, often).summary(Some(&ledger(0, &[(0, 6)])));
            assert_eq!(summary.received, 6, "reporting often: {often}");
            assert_eq!((summary.lost, summary.duplicated, summary.reordered), (1, 2, 1));
            assert_eq!(summary.producers[0].lost_ranges, [(5, 5)]);
        }
    }

    #[test]
    fn order_is_judged_within_producer_and_partition() {
        let interleaved = [(0, 5, 0), (0, 1, 1), (1, 0, 0), (0, 6, 0), (0, 2, 1), (1, 1, 0)];
        let summary = audit_of(&interleaved, false).summary(None);
        assert_eq!(summary.reordered, 0);
        assert_eq!(summary.producers.len(), 2);
    }

    #[test]
    fn unordered_systems_reorder_nothing() {
        let mut consumer = ReceiveAudit::new(Expected::Any).without_order(true);
        for sequence in [3, 0, 2, 1, 2] {
            consumer.received(&header(RUN, 0, sequence), 0);
        }
        let (mut audit, mut delta) = (Audit::default(), ReceiveDelta::default());
        consumer.hand_over(&mut delta);
        audit.absorb(&mut delta);
        let summary = audit.summary(Some(&ledger(0, &[(0, 3)])));
        assert_eq!((summary.received, summary.duplicated, summary.reordered), (4, 1, 0));
    }

    #[test]
    fn messages_received_by_two_consumers_are_duplicates() {
        let mut audit = Audit::default();
        for sequences in [[0, 2, 4], [1, 3, 4]] {
            let mut consumer = ReceiveAudit::new(Expected::Any);
            for sequence in sequences {
                consumer.received(&header(RUN, 0, sequence), 0);
            }
            let mut delta = ReceiveDelta::default();
            consumer.hand_over(&mut delta);
            audit.absorb(&mut delta);
        }
        assert_eq!(audit.missing(&ledger(0, &[(0, 4)])), 0);
        let summary = audit.summary(Some(&ledger(0, &[(0, 4)])));
        assert_eq!((summary.received, summary.duplicated, summary.lost), (5, 1, 0));
    }

    #[test]
    fn foreign_and_corrupt_messages_are_counted_separately() {
        let mut consumer = ReceiveAudit::new(Expected::Run(RunId::from_bits(RUN)));
        assert_eq!(consumer.received(&header(RUN + 1, 0, 0), 0), Receipt::Foreign);
        consumer.corrupt();
        let (mut audit, mut delta) = (Audit::default(), ReceiveDelta::default());
        consumer.hand_over(&mut delta);
        audit.absorb(&mut delta);
        let summary = audit.summary(Some(&ledger(3, &[(0, 9)])));
        assert_eq!((summary.foreign, summary.corrupt, summary.lost), (1, 1, 10));
    }

    #[test]
    fn unacknowledged_arrivals_are_counted_separately() {
        let summary = audit_of(&[(0, 0, 0), (0, 1, 0)], false).summary(Some(&ledger(0, &[(0, 0)])));
        assert_eq!((summary.unacked_received, summary.lost), (1, 0));
    }

    #[test]
    fn aborted_arrivals_are_distinct_from_unacknowledged_ones() {
        let mut acked = ledger(0, &[(0, 1)]);
        let mut aborted = SequenceDelta::default();
        for sequence in [2, 3, 4] {
            aborted.insert(sequence);
        }
        acked.absorb_aborted(StreamId { run: RunId::from_bits(RUN), producer: 0 }, &mut aborted);
        assert!(aborted.is_empty());
        let received = [0, 1, 3, 4, 5].map(|sequence| (0, sequence, 0));
        let summary = audit_of(&received, true).summary(Some(&acked));
        assert_eq!((summary.received, summary.lost), (5, 0));
        assert_eq!((summary.aborted_received, summary.unacked_received), (2, 1));
        assert_eq!(summary.producers[0].aborted_received, 2);
    }

    #[test]
    fn without_a_ledger_gaps_are_lost() {
        let summary = audit_of(&[(0, 1, 0), (0, 4, 0)], false).summary(None);
        assert_eq!(summary.against, AuditBasis::Sequences);
        assert_eq!(summary.lost, 2);
        assert_eq!(summary.producers[0].lost_ranges, [(2, 3)]);
    }
}
