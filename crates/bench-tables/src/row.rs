//! Rows of a landing table, and the results of writing them.

use std::ops::Range;
use std::time::Duration;

use bench_core::clock::Stamp;
use bench_core::message::RunId;

/// The name that tables use as the run of foreign messages.
const RAW: &str = "raw";

/// A message on its way into the table.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// The sending run; `None` for a foreign message.
    pub run: Option<RunId>,
    /// The producer within the run.
    pub producer: u16,
    /// Position in the producer's stream, from 0.
    pub sequence: u64,
    /// The key, if any.
    pub key: Option<&'a [u8]>,
    /// The complete message.
    pub message: &'a [u8],
    /// Number of the shard or partition.
    pub partition: u32,
    /// When the function or consumer received it.
    pub received: Stamp,
    /// When the stream accepted it, milliseconds since 1970, if the stream reports it.
    pub arrived_wall_ms: Option<i64>,
}

/// The settings of a writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriterOptions {
    /// Rows per request: at most [`BATCH_ROWS_MAX`](crate::dynamodb::BATCH_ROWS_MAX) for `DynamoDB`
    /// and [`INSERT_ROWS_MAX`](crate::mysql::INSERT_ROWS_MAX) for `MySQL`; higher values are
    /// capped.
    pub rows_per_request: usize,
    /// Requests in flight; 0 counts as 1.
    pub requests_in_flight: usize,
    /// How long a request is retried before its rows fail.
    pub retry_for: Duration,
}

impl WriterOptions {
    /// Defaults for `DynamoDB`: full batches, four at a time, half a minute of retries.
    #[must_use]
    pub fn dynamodb() -> Self {
        Self {
            rows_per_request: crate::dynamodb::BATCH_ROWS_MAX,
            requests_in_flight: 4,
            retry_for: Duration::from_secs(30),
        }
    }

    /// Defaults for `MySQL`: 100 rows per transaction, four at a time, half a minute of retries.
    #[must_use]
    pub fn mysql() -> Self {
        Self { rows_per_request: 100, ..Self::dynamodb() }
    }
}

/// The result of one write.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// Rows by their positions in the call, and when they were confirmed.
    pub landed: Vec<(Range<usize>, Stamp)>,
    /// Rows that did not land, and why. A row whose last request got no response may have landed
    /// anyway.
    pub failed: Vec<(usize, String)>,
    /// Rows sent again: unprocessed ones, and those of failed requests.
    pub retried: u64,
    /// The confirmed batches, to be stored by
    /// [`TableWriter::confirm`](crate::TableWriter::confirm).
    pub batches: Vec<ConfirmedBatch>,
}

/// Rows of one run that were confirmed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfirmedBatch {
    /// The run.
    pub run: Option<RunId>,
    /// The batch's identifier, stored with its rows.
    pub id: BatchId,
    /// The number of rows.
    pub rows: u32,
    /// When they were confirmed.
    pub landed: Stamp,
}

/// Identifies rows that are confirmed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BatchId {
    /// The call of [`TableWriter::write`](crate::TableWriter::write): 32 random bits per writer,
    /// then the number of the call.
    pub call: u64,
    /// The batch within the call.
    pub part: u32,
}

/// The name of a run in a table.
pub(crate) fn run_name(run: Option<RunId>) -> String {
    run.map_or_else(|| RAW.to_owned(), |run| run.to_string())
}

/// Parses the name of a run in a table.
pub(crate) fn parse_run(name: &str) -> Result<Option<RunId>, std::num::ParseIntError> {
    if name == RAW { Ok(None) } else { name.parse().map(Some) }
}

/// A row owned by a request in flight.
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
