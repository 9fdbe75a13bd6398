//! Rows that were read and are waiting for the confirmation of their batch.

use std::collections::{HashMap, HashSet, VecDeque};

use bench_core::clock::{Clock as _, ClockOrigin, InstantNs, SECOND_NS, Stamp, SystemClock};
use bench_core::message::RunId;

use crate::row::BatchId;
use crate::stored::StoredRow;

/// How long a row waits for its confirmation after it was read: a function confirms its rows after
/// writing all of them.
const CONFIRMATION_WAIT_NS: u64 = 5 * SECOND_NS;

/// Rows older than this when read, nanoseconds, will not be confirmed any more.
const CONFIRMATION_AGE_MAX_NS: u64 = 60 * SECOND_NS;

/// Limit on remembered confirmations, about 30 MB. Forgotten ones are read again.
const CONFIRMED_MAX: usize = 1 << 18;

/// A batch of a run, which is confirmed as a whole.
pub(crate) type RunBatch = (Option<RunId>, BatchId);

/// A row and when it landed.
#[derive(Debug)]
pub(crate) struct ReadyRow {
    pub(crate) row: StoredRow,
    pub(crate) landing: LandingTime,
}

/// When a row landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LandingTime {
    /// The instant reported by the writer.
    Confirmed(Stamp),
    /// The writer did not report it. The row appeared after the reader had started, and was seen at
    /// this instant of the reader's clock.
    Seen(InstantNs),
    /// The row existed before the reader started.
    Unknown,
}

/// Rows without confirmation, oldest first, and confirmations.
#[derive(Debug)]
pub(crate) struct Pending {
    clock: SystemClock,
    began_ns: InstantNs,
    rows: VecDeque<(StoredRow, InstantNs)>,
    bytes: usize,
    confirmed: HashMap<RunBatch, Stamp>,
    /// In order of arrival.
    confirmed_order: VecDeque<RunBatch>,
}

impl Pending {
    pub(crate) fn new(clock: SystemClock) -> Self {
        Self {
            clock,
            began_ns: clock.now_ns(),
            rows: VecDeque::new(),
            bytes: 0,
            confirmed: HashMap::new(),
            confirmed_order: VecDeque::new(),
        }
    }

    /// Bytes of the waiting messages.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds a row read at this instant.
    pub(crate) fn push(&mut self, row: StoredRow, seen_ns: InstantNs) {
        self.bytes += row.message.len();
        self.rows.push_back((row, seen_ns));
    }

    /// The batches whose confirmations are missing, each once.
    pub(crate) fn wanted(&self) -> Vec<RunBatch> {
        let batches: HashSet<RunBatch> =
            self.rows.iter().map(|(row, _)| (row.run, row.batch)).collect();
        batches.into_iter().filter(|batch| !self.confirmed.contains_key(batch)).collect()
    }

    /// Adds a confirmation.
    pub(crate) fn confirm(&mut self, batch: RunBatch, at: Stamp) {
        if self.confirmed.insert(batch, at).is_some() {
            return;
        }
        self.confirmed_order.push_back(batch);
        if self.confirmed_order.len() > CONFIRMED_MAX
            && let Some(oldest) = self.confirmed_order.pop_front()
        {
            self.confirmed.remove(&oldest);
        }
    }

    /// Takes the rows that need not wait any longer. All confirmations in [`Self::wanted`] must
    /// have been looked up since the last row was pushed.
    pub(crate) fn take_ready(&mut self) -> Vec<ReadyRow> {
        let now_ns = self.clock.now_ns();
        let mut ready = Vec::new();
        let mut waiting = VecDeque::new();
        for (row, seen_ns) in self.rows.drain(..) {
            match self.confirmed.get(&(row.run, row.batch)) {
                Some(at) => ready.push(ReadyRow { row, landing: LandingTime::Confirmed(*at) }),
                None if has_waited(&row, seen_ns, now_ns, self.clock.origin()) => {
                    let received_ns = row.received.to_clock(self.clock.origin()).cast_signed();
                    let landing = if received_ns >= self.began_ns.cast_signed() {
                        LandingTime::Seen(seen_ns)
                    } else {
                        LandingTime::Unknown
                    };
                    ready.push(ReadyRow { row, landing });
                }
                None => waiting.push_back((row, seen_ns)),
            }
        }
        self.rows = waiting;
        self.bytes = self.rows.iter().map(|(row, _)| row.message.len()).sum();
        ready
    }
}

/// Whether a row has waited long enough for its confirmation.
fn has_waited(row: &StoredRow, seen_ns: InstantNs, now_ns: InstantNs, origin: ClockOrigin) -> bool {
    // Instants before this host's boot are negative.
    let age_ns = now_ns.cast_signed().wrapping_sub(row.received.to_clock(origin).cast_signed());
    now_ns >= seen_ns.saturating_add(CONFIRMATION_WAIT_NS)
        || age_ns > CONFIRMATION_AGE_MAX_NS.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(part: u32, received: Stamp) -> StoredRow {
        StoredRow {
            run: None,
            producer: 0,
            sequence: 0,
            key: None,
            message: vec![0; 10],
            partition: 0,
            received,
            arrived_wall_ms: None,
            batch: BatchId { call: 1, part },
        }
    }

    #[test]
    fn rows_wait_for_their_batch_confirmation() {
        let clock = SystemClock::new();
        let mut pending = Pending::new(clock);
        let now = Stamp::now(&clock);
        pending.push(row(0, now), now.instant_ns);
        pending.push(row(1, now), now.instant_ns);
        assert_eq!((pending.bytes(), pending.wanted().len()), (20, 2));
        assert!(pending.take_ready().is_empty(), "too early");
        pending.confirm((None, BatchId { call: 1, part: 1 }), now);
        let ready = pending.take_ready();
        assert_eq!(ready.len(), 1);
        assert_eq!((ready[0].row.batch.part, ready[0].landing), (1, LandingTime::Confirmed(now)));
        assert_eq!((pending.bytes(), pending.wanted().len()), (10, 1));
    }

    #[test]
    fn unconfirmed_rows_land_when_seen() {
        let clock = SystemClock::new();
        let mut pending = Pending::new(clock);
        let now = Stamp::now(&clock);
        let long_ago_ns = now.instant_ns.saturating_sub(2 * CONFIRMATION_WAIT_NS);
        pending.push(row(0, now), long_ago_ns);
        let before = Stamp { instant_ns: now.instant_ns.wrapping_sub(10_000 * SECOND_NS), ..now };
        pending.push(row(1, before), now.instant_ns);
        let landings: Vec<_> = pending.take_ready().iter().map(|ready| ready.landing).collect();
        assert_eq!(landings, [LandingTime::Seen(long_ago_ns), LandingTime::Unknown]);
        assert!(pending.is_empty());
    }
}
