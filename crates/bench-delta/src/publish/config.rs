//! How a publisher writes.

use crate::schema::PartitionColumn;
use std::time::Duration;

/// Largest data file, bytes of keys and messages: offsets within a column have 32 bits.
pub const FILE_BYTES_MAX: usize = 1 << 30;

/// Shortest retention of log entries. Other writers must be able to see an entry before it is
/// removed: one that has not checked for [`HEAD_FRESH_NS`] checks before it commits.
pub const LOG_RETENTION_MIN: Duration = Duration::from_secs(10);

/// How long a writer assumes that the newest version it has seen is still in the log.
pub(super) const HEAD_FRESH_NS: u64 = 5_000_000_000;

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
