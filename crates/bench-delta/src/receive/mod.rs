//! Receiving: the rows that are appended to a table as the engine's
//! [`Receive`](bench_core::transport::Receive) transport, by following its log.
//!
//! A table's log has one object a version. A follower that has read version N asks for N + 1, which
//! costs the same however many versions there are; the log is listed only to make sure of its end,
//! and no state of the table is kept. The data files that a version adds are fetched ahead, several at
//! once, within a bound on memory, and decoded in order by the receiver.

mod entry;
mod error;
mod fetch;
mod follower;
mod layout;
mod objects;
mod progress;
mod receiver;
mod requirements;
mod rows;
mod start;
mod tail;

use std::time::{Duration, SystemTime};

pub use error::FollowError;
pub use receiver::DeltaReceiver;

pub(crate) use entry::Entry;

/// Where following begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableStart {
    /// With the first row. If the log no longer goes back that far, or the first files were
    /// compacted and removed: with the rows that the table holds now, in the order in which their
    /// files were written, and then with what is added.
    Beginning,
    /// With what is added from now on.
    End,
    /// With what this version added.
    Version(u64),
    /// With the first version that was committed at this time or later, by the clock of its writer.
    Timestamp(SystemTime),
}

/// What following may begin with that is not in the table yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum YetToCome {
    /// Nothing: the table is read to its end. That there is no more than what was read is made sure
    /// of whenever it seems so, which costs a listing.
    Nothing,
    /// The next version: the table is followed beyond its end. That there is no more is made sure of
    /// when it seems so first, and then now and then while nothing comes.
    NextVersion,
    /// The same for any version, of a table that was not there when following was asked for.
    AnyVersion,
}

/// How a table is followed.
#[derive(Debug, Clone, Copy)]
pub struct FollowConfig {
    /// Where following begins.
    pub start: TableStart,
    /// What of that may still have to come.
    pub yet_to_come: YetToCome,
    /// Time between two looks for the next version while there is none.
    pub poll_interval: Duration,
    /// Most bytes of data files that are held at once, fetched or on their way. A row group of
    /// which the columns `value` and `key` are larger is fetched alone.
    pub read_ahead_bytes: usize,
    /// How long a table that is not there yet is waited for; not at all if zero.
    pub wait_for_table: Duration,
}
