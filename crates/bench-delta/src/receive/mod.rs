//! Receiving: the rows that are appended to a table as the engine's
//! [`Receive`](bench_core::transport::Receive) transport, by following its log.
//!
//! A table's log has one object a version. A follower that has read version N asks for N + 1, which
//! costs the same however many versions there are; nothing is listed and no state of the table is
//! kept. The data files that a version adds are fetched ahead, several at once, within a bound on
//! memory, and decoded in order by whoever receives.

mod entry;
mod error;
mod fetch;
mod follower;
mod layout;
mod objects;
mod receiver;
mod requirements;
mod rows;
mod start;
mod tail;

use std::time::{Duration, SystemTime};

pub use error::FollowError;
pub use receiver::DeltaReceiver;

pub(crate) use entry::Entry;
pub(crate) use objects::entry_path;

/// Where following begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableStart {
    /// With the first row. If the log no longer goes back that far, or the first files were
    /// compacted and removed: with the rows that the table holds now, in the order in which their
    /// files were written, and then with what is added.
    Beginning,
    /// With what is added from now on.
    End,
    /// With what this version added. It need not be there yet.
    Version(u64),
    /// With the first version that was committed at this time or later, by the clock of its writer;
    /// with what is added from now on if there is none.
    Timestamp(SystemTime),
}

/// How a table is followed.
#[derive(Debug, Clone, Copy)]
pub struct FollowConfig {
    /// Where following begins.
    pub start: TableStart,
    /// Time between two looks for the next version while there is none.
    pub poll_interval: Duration,
    /// Most bytes of data files that are held at once, fetched or on their way. A row group of
    /// which the columns `value` and `key` are larger is fetched alone.
    pub read_ahead_bytes: usize,
    /// How long a table that is not there yet is waited for; not at all if zero.
    pub wait_for_table: Duration,
}
