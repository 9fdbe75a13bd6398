//! What goes into a landing table, and what comes of writing it.

use std::ops::Range;
use std::time::Duration;

use bench_core::clock::Stamp;
use bench_core::message::RunId;

/// How tables name the run of what is no message of the benchmark.
const RAW: &str = "raw";

/// A message on its way into the table.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// The run that sent it; none for what is no message of the benchmark.
    pub run: Option<RunId>,
    /// The producer within the run.
    pub producer: u16,
    /// Position in the producer's stream, from 0.
    pub sequence: u64,
    /// The key, if there is one.
    pub key: Option<&'a [u8]>,
    /// The message, whole.
    pub message: &'a [u8],
    /// Number of the shard or partition that it came from.
    pub partition: u32,
    /// When the function, or the consumer, was handed it.
    pub received: Stamp,
    /// When the stream took it in, milliseconds since 1970, if the stream tells.
    pub arrived_wall_ms: Option<i64>,
}

/// How a writer works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriterOptions {
    /// Rows a request: at most [`BATCH_ROWS_MAX`](crate::dynamodb::BATCH_ROWS_MAX) for `DynamoDB`,
    /// [`INSERT_ROWS_MAX`](crate::mysql::INSERT_ROWS_MAX) for `MySQL`. More count as so many.
    pub rows_per_request: usize,
    /// Requests without an answer at a time. 0 counts as 1.
    pub requests_in_flight: usize,
    /// How long a request is sent again before its rows count as failed.
    pub retry_for: Duration,
}

impl WriterOptions {
    /// What suits `DynamoDB`: full batches, four at a time, half a minute.
    #[must_use]
    pub fn dynamodb() -> Self {
        Self {
            rows_per_request: crate::dynamodb::BATCH_ROWS_MAX,
            requests_in_flight: 4,
            retry_for: Duration::from_secs(30),
        }
    }

    /// What suits `MySQL`: a hundred rows a transaction, four at a time, half a minute.
    #[must_use]
    pub fn mysql() -> Self {
        Self { rows_per_request: 100, ..Self::dynamodb() }
    }
}

/// What has become of the rows of one call.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// Which rows, by their positions in the call, were confirmed when.
    pub landed: Vec<(Range<usize>, Stamp)>,
    /// Which rows did not land, and why. One whose last request got no answer may have landed all
    /// the same.
    pub failed: Vec<(usize, String)>,
    /// Rows that were sent again: unprocessed ones, and those of requests that failed.
    pub retried: u64,
    /// What was confirmed, to be stored by [`TableWriter::confirm`](crate::TableWriter::confirm).
    pub batches: Vec<ConfirmedBatch>,
}

/// Rows of one run that were confirmed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfirmedBatch {
    /// The run.
    pub run: Option<RunId>,
    /// The batch that these rows name.
    pub id: BatchId,
    /// How many they are.
    pub rows: u32,
    /// When they were confirmed.
    pub landed: Stamp,
}

/// Names rows that are confirmed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BatchId {
    /// The call of [`TableWriter::write`](crate::TableWriter::write): 32 random bits of the writer,
    /// then a count of its calls.
    pub call: u64,
    /// The batch within the call.
    pub part: u32,
}

/// How a table names a run.
pub(crate) fn run_name(run: Option<RunId>) -> String {
    run.map_or_else(|| RAW.to_owned(), |run| run.to_string())
}

/// The run that a table names; an error for something else.
pub(crate) fn parse_run(name: &str) -> Result<Option<RunId>, std::num::ParseIntError> {
    if name == RAW { Ok(None) } else { name.parse().map(Some) }
}

/// A row that a request owns while it is under way.
#[derive(Debug, Clone)]
pub(crate) struct OwnedRow {
    /// Position in the call.
    pub(crate) index: usize,
    pub(crate) run: Option<RunId>,
    pub(crate) producer: u16,
    pub(crate) sequence: u64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) message: Vec<u8>,
    pub(crate) partition: u32,
    pub(crate) received: Stamp,
    pub(crate) arrived_wall_ms: Option<i64>,
}

impl OwnedRow {
    pub(crate) fn new(index: usize, row: &Row<'_>) -> Self {
        Self {
            index,
            run: row.run,
            producer: row.producer,
            sequence: row.sequence,
            key: row.key.map(<[u8]>::to_vec),
            message: row.message.to_vec(),
            partition: row.partition,
            received: row.received,
            arrived_wall_ms: row.arrived_wall_ms,
        }
    }
}

impl Row<'_> {
    /// Bytes of key and message.
    pub(crate) fn size_bytes(&self) -> usize {
        self.message.len() + self.key.map_or(0, <[u8]>::len)
    }
}
