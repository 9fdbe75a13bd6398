//! Sending: an append writer as the engine's [`Publish`](bench_core::transport::Publish) transport.
//!
//! Messages are copied into column buffers on the engine's thread. A batch closes at the commit
//! interval, or earlier when it is large enough for a file. A runtime of the publisher's own then
//! encodes and uploads it as one data file, several at a time, and commits files in the order of
//! their batches. A commit takes every file uploaded by the time it begins, so a slow commit makes
//! the next one larger instead of building up a queue.
//!
//! A message is acknowledged only once its log entry is known to be in the table, and reported as
//! not written only if it can never appear. Everything else fails as in doubt.

mod batch;
mod checkpoints;
mod committer;
mod counts;
mod data_file;
mod direct;
mod entry;
mod failure;
mod publisher;
mod retry;
mod rows;
mod standard;
#[cfg(test)]
mod tests;
mod uploader;

pub use publisher::DeltaPublisher;

use std::time::Duration;

use crate::schema::PartitionColumn;

/// Largest data file, bytes of keys and messages: offsets within a column have 32 bits.
pub const FILE_BYTES_MAX: usize = 1 << 30;

/// Shortest retention of log entries. Other writers must be able to see an entry before it is
/// removed: one that has not checked for [`HEAD_FRESH_NS`] checks before it commits.
pub const LOG_RETENTION_MIN: Duration = Duration::from_secs(10);

/// How long a writer assumes that the newest version it has seen is still in the log.
const HEAD_FRESH_NS: u64 = 5_000_000_000;

/// How messages are written to the table.
#[derive(Debug, Clone)]
pub struct PublishConfig {
    /// The producer's number, stored as a column.
    pub producer: u16,
    /// Longest time between two commits while there are messages, nanoseconds; above 0.
    pub commit_interval_ns: u64,
    /// How log entries are written.
    pub commit: CommitPath,
    /// Size at which a data file closes before the interval ends, bytes of keys and messages, 1 to
    /// [`FILE_BYTES_MAX`]. A larger message gets a file of its own.
    pub file_bytes_max: usize,
    /// Rows per row group in a data file; above 0.
    pub rows_per_group: usize,
    /// Compression of the pages of data files.
    pub compression: Compression,
    /// The columns that the table is partitioned by.
    pub partition_by: Vec<PartitionColumn>,
    /// Limit on batches that are being uploaded or committed; above 0. At the limit, messages are
    /// refused once the open batch is full, so memory is bounded by one batch more than this.
    pub uploads_max: usize,
    /// Versions between checkpoints; above 0. `None`: no checkpoints. Only for
    /// [`CommitPath::Direct`]: delta-rs writes its own checkpoints.
    pub checkpoint_every: Option<u64>,
    /// Retention of log entries that a checkpoint has made superfluous, at least
    /// [`LOG_RETENTION_MIN`].
    pub log_retention: Duration,
    /// How long an upload or a commit is retried before its messages fail, nanoseconds.
    pub give_up_ns: u64,
}

/// How log entries are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum CommitPath {
    /// A blind append: puts the next entry if it does not exist yet. Takes the same time however
    /// many versions the table has.
    Direct,
    /// delta-rs' own commit, with the snapshot that it keeps, its checkpoints and its clean-up:
    /// what users of its writers get.
    Std,
}

/// Compression of the pages of data files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Compression {
    /// Not at all.
    None,
    /// Snappy.
    Snappy,
    /// LZ4, raw blocks.
    Lz4,
    /// Zstandard at its lowest level.
    Zstd,
}
