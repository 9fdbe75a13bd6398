//! Shared by the writers of both systems: several requests in flight, each retried separately, with
//! one combined result.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bench_core::clock::Stamp;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::error::TableError;
use crate::row::{BatchId, ConfirmedBatch, OwnedRow, Row, WriterOptions, Written};

/// The first delay before a retry, and the longest.
const BACKOFF_MIN: Duration = Duration::from_millis(25);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// Identifies a writer's rows among those of all writers.
#[derive(Debug)]
pub(crate) struct WriterId {
    writer: u32,
    calls: AtomicU64,
    last_instant_ns: AtomicU64,
}

impl WriterId {
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

    /// The number of a call, unique across all writers.
    pub(crate) fn next_call(&self) -> u64 {
        let count = self.calls.fetch_add(1, Ordering::Relaxed) & u64::from(u32::MAX);
        u64::from(self.writer) << 32 | count
    }

    /// The wall clock, nanoseconds since 1970, without repeating a value.
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

/// Creates the batch identifiers of one call.
#[derive(Debug, Clone)]
pub(crate) struct BatchIds {
    call: u64,
    next: Arc<AtomicU64>,
}

impl BatchIds {
    pub(crate) fn of(call: u64) -> Self {
        Self { call, next: Arc::default() }
    }

    pub(crate) fn next(&self) -> BatchId {
        let part = self.next.fetch_add(1, Ordering::Relaxed);
        BatchId { call: self.call, part: u32::try_from(part).unwrap_or(u32::MAX) }
    }
}

/// Delays between the attempts of one request: doubling, and randomised so that writers which
/// failed together do not retry together.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    deadline: Instant,
}

impl Backoff {
    pub(crate) fn new(retry_for: Duration) -> Self {
        Self { next: BACKOFF_MIN, deadline: Instant::now() + retry_for }
    }

    /// Waits; returns `false` at once if no time is left for another attempt.
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

/// A random number below `bound`.
fn random_below(bound: u64) -> u64 {
    RandomState::new().hash_one(0) % bound.max(1)
}

/// Confirmed rows of one request.
#[derive(Debug)]
pub(crate) struct ConfirmedRows {
    pub(crate) id: BatchId,
    pub(crate) rows: Vec<usize>,
    pub(crate) at: Stamp,
}

/// The result of one request, including retries.
#[derive(Debug, Default)]
pub(crate) struct RequestResult {
    pub(crate) landings: Vec<ConfirmedRows>,
    pub(crate) failed: Vec<(usize, String)>,
    pub(crate) retried: u64,
}

impl RequestResult {
    /// Records rows as failed.
    pub(crate) fn give_up(&mut self, rows: impl Iterator<Item = usize>, reason: &str) {
        self.failed.extend(rows.map(|index| (index, reason.to_owned())));
    }
}

/// Sends `chunks` of `rows`, several at a time. After an error that retrying cannot cure, starts
/// nothing more and waits for the requests in flight.
pub(crate) async fn send_all<F>(
    rows: &[Row<'_>],
    chunks: impl Iterator<Item = Vec<usize>>,
    options: WriterOptions,
    mut send: impl FnMut(Vec<OwnedRow>) -> F,
    written: &mut Written,
) -> Result<(), TableError>
where
    F: Future<Output = Result<RequestResult, TableError>> + Send + 'static,
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

/// Takes the result of the next finished request.
async fn settle(
    under_way: &mut JoinSet<Result<RequestResult, TableError>>,
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

fn account(sent: RequestResult, rows: &[Row<'_>], written: &mut Written) {
    written.retried += sent.retried;
    written.failed.extend(sent.failed);
    for ConfirmedRows { id, rows: mut indices, at } in sent.landings {
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

/// Splits rows of these sizes into chunks of at most `rows_max` rows and `bytes_max` bytes; a row
/// that exceeds a chunk forms one of its own.
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
    fn instants_and_calls_are_unique() {
        let identity = WriterId::new();
        let instants: Vec<_> = (0..1_000).map(|_| identity.next_instant_ns()).collect();
        assert!(instants.is_sorted_by(|before, after| before < after));
        let (first, second) = (identity.next_call(), identity.next_call());
        assert_eq!(first + 1, second);
        assert_eq!(first >> 32, u64::from(identity.writer()));
    }

    #[test]
    fn landed_rows_are_grouped_by_range_and_run() {
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
        let landing = ConfirmedRows { id, rows: vec![4, 0, 1], at: stamp };
        let sent =
            RequestResult { landings: vec![landing], failed: vec![(2, "no".into())], retried: 3 };
        let mut written = Written::default();
        account(sent, &rows, &mut written);
        assert_eq!(written.landed, [(0..2, stamp), (4..5, stamp)]);
        let batch = |run, rows| ConfirmedBatch { run, id, rows, landed: stamp };
        assert_eq!(written.batches, [batch(run, 2), batch(None, 1)]);
        assert_eq!((written.failed.len(), written.retried), (1, 3));
    }

    proptest! {
        #[test]
        fn chunks_keep_order_and_limits(
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
