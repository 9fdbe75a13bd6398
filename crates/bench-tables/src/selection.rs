//! Which rows to read, and until when.

use bench_core::message::RunId;

/// Which rows to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// The rows of one run.
    Run(RunId),
    /// The rows of all runs, including messages that are not the benchmark's.
    All,
}

/// When a reader is at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// When it has read everything that existed when it reached the end of the table.
    End,
    /// When it has reached the end of the table and read this many distinct messages; it follows
    /// until then.
    Distinct(u64),
    /// Never; it follows.
    Never,
}
