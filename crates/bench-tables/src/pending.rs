//! Rows that were read and wait for the confirmation of their batch.

use std::collections::{HashMap, HashSet, VecDeque};

use bench_core::clock::{Clock as _, ClockOrigin, InstantNs, SECOND_NS, Stamp, SystemClock};
use bench_core::message::RunId;

use crate::row::BatchId;
use crate::stored::StoredRow;

/// A row waits so long for its confirmation after it was read: a function confirms its rows when it
/// has written them all.
const CONFIRMATION_WAIT_NS: u64 = 5 * SECOND_NS;

/// A row that is older than this when it is read, nanoseconds, will not be confirmed any more.
const CONFIRMATION_AGE_MAX_NS: u64 = 60 * SECOND_NS;

/// Most confirmations that are remembered; some 30 MB. Forgotten ones are asked for again.
const CONFIRMED_MAX: usize = 1 << 18;

/// A batch of a run, which is confirmed as one.
pub(crate) type RunBatch = (Option<RunId>, BatchId);

/// A row with the instant at which it landed.
#[derive(Debug)]
pub(crate) struct ReadyRow {
    pub(crate) row: StoredRow,
    pub(crate) landing: Landing,
}

/// What is known of the instant at which a row landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Landing {
    /// The writer has told.
    Confirmed(Stamp),
    /// The writer has not told; the row was there at this instant of the reader's clock, and came
    /// after the reader had begun.
    Seen(InstantNs),
    /// The row was there before the reader was.
    Unknown,
}

/// Rows without a confirmation, oldest first, and confirmations.
#[derive(Debug)]
pub(crate) struct Pending {
    clock: SystemClock,
    began_ns: InstantNs,
    rows: VecDeque<(StoredRow, InstantNs)>,
    bytes: usize,
    confirmed: HashMap<RunBatch, Stamp>,
    /// In the order in which they came.
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

    /// Bytes of the messages that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Takes in a row that was read at this instant.
    pub(crate) fn push(&mut self, row: StoredRow, seen_ns: InstantNs) {
        self.bytes += row.message.len();
        self.rows.push_back((row, seen_ns));
    }

    /// The batches whose confirmations are to be asked for, each once.
    pub(crate) fn wanted(&self) -> Vec<RunBatch> {
        let batches: HashSet<RunBatch> =
            self.rows.iter().map(|(row, _)| (row.run, row.batch)).collect();
        batches.into_iter().filter(|batch| !self.confirmed.contains_key(batch)).collect()
    }

    /// Takes in a confirmation.
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

    /// Gives out the rows that need not wait any longer. Every confirmation that [`Self::wanted`]
    /// named must have been asked for since the last row was pushed.
    pub(crate) fn take_ready(&mut self) -> Vec<ReadyRow> {
        let now_ns = self.clock.now_ns();
        let mut ready = Vec::new();
        let mut waiting = VecDeque::new();
        for (row, seen_ns) in self.rows.drain(..) {
            match self.confirmed.get(&(row.run, row.batch)) {
                Some(at) => ready.push(ReadyRow { row, landing: Landing::Confirmed(*at) }),
                None if has_waited(&row, seen_ns, now_ns, self.clock.origin()) => {
                    let received_ns = row.received.to_clock(self.clock.origin()).cast_signed();
                    let landing = if received_ns >= self.began_ns.cast_signed() {
                        Landing::Seen(seen_ns)
                    } else {
                        Landing::Unknown
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

/// Whether a row has waited for its confirmation as long as it should.
fn has_waited(row: &StoredRow, seen_ns: InstantNs, now_ns: InstantNs, origin: ClockOrigin) -> bool {
    // An instant before this host's boot is negative.
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
    fn rows_wait_for_the_confirmation_of_their_batch() {
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
        assert_eq!((ready[0].row.batch.part, ready[0].landing), (1, Landing::Confirmed(now)));
        assert_eq!((pending.bytes(), pending.wanted().len()), (10, 1));
    }

    #[test]
    fn what_is_never_confirmed_landed_when_it_was_seen_if_someone_looked() {
        let clock = SystemClock::new();
        let mut pending = Pending::new(clock);
        let now = Stamp::now(&clock);
        let long_ago_ns = now.instant_ns.saturating_sub(2 * CONFIRMATION_WAIT_NS);
        pending.push(row(0, now), long_ago_ns);
        let before = Stamp { instant_ns: now.instant_ns.wrapping_sub(10_000 * SECOND_NS), ..now };
        pending.push(row(1, before), now.instant_ns);
        let landings: Vec<_> = pending.take_ready().iter().map(|ready| ready.landing).collect();
        assert_eq!(landings, [Landing::Seen(long_ago_ns), Landing::Unknown]);
        assert!(pending.is_empty());
    }
}
