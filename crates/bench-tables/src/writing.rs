//! What the writers of both systems share: several requests under way, each repeated for itself,
//! and one account of what came of them.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bench_core::clock::Stamp;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::error::TableError;
use crate::row::{BatchId, ConfirmedBatch, OwnedRow, Row, WriterOptions, Written};

/// The first wait before a request is sent again, and the longest.
const BACKOFF_MIN: Duration = Duration::from_millis(25);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// Names what a writer writes, apart from all other writers.
#[derive(Debug)]
pub(crate) struct Identity {
    writer: u32,
    calls: AtomicU64,
    last_instant_ns: AtomicU64,
}

impl Identity {
    pub(crate) fn new() -> Self {
        Self {
            writer: random_below(1 << 32).try_into().unwrap_or(u32::MAX),
            calls: AtomicU64::new(0),
            last_instant_ns: AtomicU64::new(0),
        }
    }

    pub(crate) fn writer(&self) -> u32 {
        self.writer
    }

    /// The number of a call, unlike that of any other call of any writer.
    pub(crate) fn next_call(&self) -> u64 {
        let count = self.calls.fetch_add(1, Ordering::Relaxed) & u64::from(u32::MAX);
        u64::from(self.writer) << 32 | count
    }

    /// The wall clock, nanoseconds since 1970, and never the same twice.
    pub(crate) fn next_instant_ns(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let later = |last: u64| now_ns.max(last.saturating_add(1));
        let update = |last| Some(later(last));
        let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        match self.last_instant_ns.fetch_update(success, failure, update) {
            Ok(last) | Err(last) => later(last),
        }
    }
}

/// The batches of one call.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    call: u64,
    next: Arc<AtomicU64>,
}

impl Parts {
    pub(crate) fn of(call: u64) -> Self {
        Self { call, next: Arc::default() }
    }

    pub(crate) fn next(&self) -> BatchId {
        let part = self.next.fetch_add(1, Ordering::Relaxed);
        BatchId { call: self.call, part: u32::try_from(part).unwrap_or(u32::MAX) }
    }
}

/// Waits between the attempts of one request: twice as long each time, and any part of that, so that
/// writers which failed together do not come back together.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    deadline: Instant,
}

impl Backoff {
    pub(crate) fn new(retry_for: Duration) -> Self {
        Self { next: BACKOFF_MIN, deadline: Instant::now() + retry_for }
    }

    /// Waits; `false` at once when there is no time left for another attempt.
    pub(crate) async fn wait(&mut self) -> bool {
        if Instant::now() >= self.deadline {
            return false;
        }
        let half_us = u64::try_from(self.next.as_micros() / 2).unwrap_or(u64::MAX);
        tokio::time::sleep(Duration::from_micros(half_us + random_below(half_us))).await;
        self.next = (self.next * 2).min(BACKOFF_MAX);
        true
    }
}

/// A number below `bound`, from the system's randomness.
fn random_below(bound: u64) -> u64 {
    RandomState::new().hash_one(0) % bound.max(1)
}

/// Rows of one request that were confirmed.
#[derive(Debug)]
pub(crate) struct Landing {
    pub(crate) id: BatchId,
    pub(crate) rows: Vec<usize>,
    pub(crate) at: Stamp,
}

/// What came of one request, with all its repeats.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pub(crate) landings: Vec<Landing>,
    pub(crate) failed: Vec<(usize, String)>,
    pub(crate) retried: u64,
}

impl Sent {
    /// Gives rows up.
    pub(crate) fn give_up(&mut self, rows: impl Iterator<Item = usize>, reason: &str) {
        self.failed.extend(rows.map(|index| (index, reason.to_owned())));
    }
}

/// Sends `chunks` of `rows`, several at a time. After an error that no repeat can mend, nothing more
/// is begun, and what is under way is waited for.
pub(crate) async fn send_all<F>(
    rows: &[Row<'_>],
    chunks: impl Iterator<Item = Vec<usize>>,
    options: WriterOptions,
    mut send: impl FnMut(Vec<OwnedRow>) -> F,
    written: &mut Written,
) -> Result<(), TableError>
where
    F: Future<Output = Result<Sent, TableError>> + Send + 'static,
{
    let mut under_way = JoinSet::new();
    let mut outcome = Ok(());
    for chunk in chunks {
        while under_way.len() >= options.requests_in_flight.max(1) {
            settle(&mut under_way, rows, written, &mut outcome).await;
        }
        if outcome.is_err() {
            break;
        }
        under_way.spawn(send(
            chunk.into_iter().map(|index| OwnedRow::new(index, &rows[index])).collect(),
        ));
    }
    while !under_way.is_empty() {
        settle(&mut under_way, rows, written, &mut outcome).await;
    }
    written.landed.sort_unstable_by_key(|(rows, _)| rows.start);
    written.failed.sort_unstable_by_key(|(row, _)| *row);
    outcome
}

/// Takes in the next request that has come to its end.
async fn settle(
    under_way: &mut JoinSet<Result<Sent, TableError>>,
    rows: &[Row<'_>],
    written: &mut Written,
    outcome: &mut Result<(), TableError>,
) {
    match under_way.join_next().await {
        None => {}
        Some(Ok(Ok(sent))) => account(sent, rows, written),
        Some(Ok(Err(error))) => *outcome = Err(error),
        Some(Err(error)) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Nobody cancels these tasks.
            Err(error) => tracing::error!("a write was cancelled: {error}"),
        },
    }
}

fn account(sent: Sent, rows: &[Row<'_>], written: &mut Written) {
    written.retried += sent.retried;
    written.failed.extend(sent.failed);
    for Landing { id, rows: mut indices, at } in sent.landings {
        indices.sort_unstable();
        for consecutive in indices.chunk_by(|before, after| before + 1 == *after) {
            let start = consecutive[0];
            written.landed.push((start..start + consecutive.len(), at));
        }
        let mut runs: Vec<ConfirmedBatch> = Vec::new();
        for run in indices.iter().map(|index| rows[*index].run) {
            match runs.iter_mut().find(|batch| batch.run == run) {
                Some(batch) => batch.rows += 1,
                None => runs.push(ConfirmedBatch { run, id, rows: 1, landed: at }),
            }
        }
        written.batches.append(&mut runs);
    }
}

/// Divides the rows that `size_bytes` gives a size into chunks of at most `rows_max` and
/// `bytes_max`; what is too large for any chunk stands alone.
pub(crate) fn chunks(
    sizes_bytes: impl Iterator<Item = (usize, usize)>,
    rows_max: usize,
    bytes_max: usize,
) -> impl Iterator<Item = Vec<usize>> {
    let mut sizes_bytes = sizes_bytes.peekable();
    std::iter::from_fn(move || {
        let (mut chunk, mut bytes) = (Vec::new(), 0_usize);
        while let Some((index, size)) = sizes_bytes.next_if(|(_, size)| {
            chunk.is_empty() || (chunk.len() < rows_max && bytes.saturating_add(*size) <= bytes_max)
        }) {
            chunk.push(index);
            bytes = bytes.saturating_add(size);
        }
        (!chunk.is_empty()).then_some(chunk)
    })
}

#[cfg(test)]
mod tests {
    use bench_core::clock::SystemClock;
    use bench_core::message::RunId;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn instants_and_calls_of_a_writer_are_all_different() {
        let identity = Identity::new();
        let instants: Vec<_> = (0..1_000).map(|_| identity.next_instant_ns()).collect();
        assert!(instants.is_sorted_by(|before, after| before < after));
        let (first, second) = (identity.next_call(), identity.next_call());
        assert_eq!(first + 1, second);
        assert_eq!(first >> 32, u64::from(identity.writer()));
    }

    #[test]
    fn what_landed_is_accounted_by_range_and_by_run() {
        let stamp = Stamp::now(&SystemClock::new());
        let row = |run| Row {
            run,
            producer: 0,
            sequence: 0,
            key: None,
            message: b"",
            partition: 0,
            received: stamp,
            arrived_wall_ms: None,
        };
        let run = Some(RunId::from_bits(7));
        let rows = [row(run), row(None), row(run), row(run), row(run)];
        let id = BatchId { call: 1, part: 0 };
        let landing = Landing { id, rows: vec![4, 0, 1], at: stamp };
        let sent = Sent { landings: vec![landing], failed: vec![(2, "no".into())], retried: 3 };
        let mut written = Written::default();
        account(sent, &rows, &mut written);
        assert_eq!(written.landed, [(0..2, stamp), (4..5, stamp)]);
        let batch = |run, rows| ConfirmedBatch { run, id, rows, landed: stamp };
        assert_eq!(written.batches, [batch(run, 2), batch(None, 1)]);
        assert_eq!((written.failed.len(), written.retried), (1, 3));
    }

    proptest! {
        #[test]
        fn chunks_hold_every_row_once_in_order_within_the_limits(
            sizes in prop::collection::vec(0_usize..50, 0..100),
            rows_max in 1_usize..10,
            bytes_max in 1_usize..100,
        ) {
            let all: Vec<_> =
                chunks(sizes.iter().copied().enumerate(), rows_max, bytes_max).collect();
            prop_assert_eq!(all.concat(), (0..sizes.len()).collect::<Vec<_>>());
            for chunk in all {
                let bytes: usize = chunk.iter().map(|index| sizes[*index]).sum();
                prop_assert!(chunk.len() == 1 || (chunk.len() <= rows_max && bytes <= bytes_max));
            }
        }
    }
}
