//! How a table is followed.

use std::time::{Duration, SystemTime};

/// Where following begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableStart {
    /// With the first row. If the log no longer reaches back that far, or the first files were
    /// compacted and removed: with all current rows, in the order in which their files were
    /// written, and then with new ones.
    Beginning,
    /// With rows added from now on.
    End,
    /// With the rows added by this version.
    Version(u64),
    /// With the first version committed at or after this time, by the writer's clock.
    Timestamp(SystemTime),
}

/// How far a table is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowMode {
    /// Up to its end. Each time the end seems to be reached, a listing confirms it.
    ToEnd,
    /// Beyond its end, starting with the next version at the latest. The end is confirmed when it
    /// is first reached, and from time to time while nothing arrives.
    NextVersion,
    /// The same, starting with any later version; for a table that did not exist when following was
    /// requested.
    AnyVersion,
}

/// How to follow a table.
#[derive(Debug, Clone, Copy)]
pub struct FollowConfig {
    /// Where following begins.
    pub start: TableStart,
    /// How far the table is read.
    pub mode: FollowMode,
    /// Time between polls for the next version.
    pub poll_interval: Duration,
    /// Limit on bytes of data files held at once, fetched or in flight. A row group whose columns
    /// `value` and `key` are larger is fetched alone.
    pub read_ahead_bytes: usize,
    /// How long to wait for a table that does not exist yet; zero: not at all.
    pub wait_for_table: Duration,
}
