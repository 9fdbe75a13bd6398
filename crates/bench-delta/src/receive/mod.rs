//! Receiving: the rows that are appended to a table as the engine's
//! [`Receive`](bench_core::transport::Receive) transport, by following its log.
//!
//! A table's log has one object per version. A follower that has read version N requests N + 1,
//! which costs the same however many versions there are; the log is listed only to confirm its end,
//! and no state of the table is kept. The data files of a version are fetched ahead, several at
//! once, with bounded memory, and decoded in order by the receiver.

mod config;
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

pub use error::FollowError;
pub use receiver::DeltaReceiver;

pub use config::{FollowConfig, FollowMode, TableStart};
pub(crate) use entry::VersionChanges;
