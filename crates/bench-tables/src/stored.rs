//! Rows as stored in a table.

use bench_core::clock::Stamp;
use bench_core::message::RunId;

use crate::row::BatchId;

/// A row that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredRow {
    pub(crate) run: Option<RunId>,
    pub(crate) producer: u16,
    pub(crate) sequence: u64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) message: Vec<u8>,
    pub(crate) partition: u32,
    pub(crate) received: Stamp,
    pub(crate) arrived_wall_ms: Option<i64>,
    pub(crate) batch: BatchId,
}

/// Rows read at once.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) rows: Vec<StoredRow>,
    /// Whether everything that existed has been read.
    pub(crate) at_end: bool,
}
