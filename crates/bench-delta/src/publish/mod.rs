//! Sending: an append writer as the engine's [`Publish`](bench_core::transport::Publish) transport.
//!
//! Messages are copied into column buffers on the engine's thread. A batch of them closes at the
//! commit interval, or earlier when it is large enough for a file; from then on a runtime of the
//! publisher's own works on it: it is encoded and uploaded as one data file, several at a time, and
//! committed in the order of the batches. What has been uploaded when a commit begins goes into it,
//! so a slow commit makes the next one larger instead of a queue.
//!
//! Nothing is reported as acknowledged before its log entry is known to be in the table, and
//! nothing as taken back that may still come: what cannot be found out fails as in doubt.

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

/// Largest data file, bytes of keys and messages: their offsets in a column have 32 bits.
pub const FILE_BYTES_MAX: usize = 1 << 30;

/// Shortest time for which log entries are kept. Another writer must have a chance to see them
/// before they go: one that has not looked for [`HEAD_FRESH_NS`] looks before it commits.
pub const LOG_RETENTION_MIN: Duration = Duration::from_secs(10);

/// How long a writer takes for granted that the newest version it has seen is still in the log.
const HEAD_FRESH_NS: u64 = 5_000_000_000;

/// How messages are put into the table.
#[derive(Debug, Clone)]
pub struct PublishConfig {
    /// The producer's number, which is a column.
    pub producer: u16,
    /// Longest time between two commits while there are messages, nanoseconds, above 0.
    pub commit_interval_ns: u64,
    /// How log entries are written.
    pub commit: CommitPath,
    /// Size at which a data file is closed before the interval ends, bytes of keys and messages, 1
    /// to [`FILE_BYTES_MAX`]. A message that is larger has a file to itself.
    pub file_bytes_max: usize,
    /// Rows of a row group in a data file, above 0.
    pub rows_per_group: usize,
    /// How the pages of data files are compressed.
    pub compression: Compression,
    /// The columns that the table is partitioned by.
    pub partition_by: Vec<PartitionColumn>,
    /// Batches that are uploaded or committed at which no further one closes, above 0. Messages are
    /// refused when the open one is full then, so that memory is bounded by one batch more than this.
    pub uploads_max: usize,
    /// Versions from one checkpoint to the next, above 0. Absent: none are written. Only for
    /// [`CommitPath::Direct`]: the other way has checkpoints of its own.
    pub checkpoint_every: Option<u64>,
    /// How long log entries are kept that a checkpoint has made superfluous, at least
    /// [`LOG_RETENTION_MIN`].
    pub log_retention: Duration,
    /// How long an upload or a commit is tried again and again until its messages count as failed,
    /// nanoseconds.
    pub give_up_ns: u64,
}

/// How log entries are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum CommitPath {
    /// A blind append: the next entry is put if it is not there yet. Takes the same time however
    /// many versions the table has.
    Direct,
    /// The commit of delta-rs, with a snapshot that it keeps, its checkpoints and its clean-up: what
    /// users of its writers get.
    Std,
}

/// How the pages of data files are compressed.
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
