//! Sending: `PutRecord` and `PutRecords` as the engine's [`Publish`] transport.
//!
//! A publisher owns an async runtime of one thread, which runs on the engine's thread while that
//! waits in [`Publish::poll`]: no thread is woken for another. Messages are collected in an open
//! batch (packed into aggregates first, if that is asked for), which becomes a request when it is
//! full or old enough. Records that Kinesis refused for the moment are sent again by themselves, with
//! the SDK's own repeats switched off, so that nothing is counted twice.

mod aggregates;
mod arena;
mod collector;
mod counts;
mod keys;
mod outage;
mod publisher;
mod request;
mod retry;
mod shards;
mod timings;

pub use keys::{KeySource, PARTITION_KEY_CHARS_MAX, PARTITION_KEY_DEFAULT, partition_key_field};
pub use publisher::KinesisPublisher;
pub use timings::Timing;

use std::sync::mpsc::Sender;

/// Records that a `PutRecords` request may hold.
pub const REQUEST_RECORDS_MAX: usize = 500;

/// Size that a `PutRecords` request may have, bytes: data and partition keys of all records, as the
/// SDK's documentation has it.
pub const REQUEST_BYTES_MAX: usize = 10 << 20;

/// The size that every service has ever taken, bytes; what stands in for Kinesis takes no more.
pub const REQUEST_BYTES_DEFAULT: usize = 5 << 20;

/// How messages are put into the stream.
#[derive(Debug, Clone)]
pub struct PublishConfig {
    /// The stream.
    pub stream: String,
    /// The operation.
    pub put: Put,
    /// Requests without an answer at which nothing more is sent, above 0.
    pub in_flight_max: usize,
    /// How long a message may wait for others of its request or its aggregate, nanoseconds.
    pub linger_ns: u64,
    /// Size up to which user records are packed into one Kinesis record, bytes: data and partition
    /// key together. Absent: each message is a Kinesis record.
    pub aggregate_bytes: Option<usize>,
    /// Where partition keys come from.
    pub keys: KeySource,
    /// Whether explicit hash keys spread the records evenly over the shards, whatever their
    /// partition keys.
    pub explicit_hash_keys: bool,
    /// How long a record is sent again and again until it counts as failed, nanoseconds.
    pub give_up_ns: u64,
    /// Seed of made-up partition keys and of the back-off's jitter.
    pub seed: u64,
    /// Gets the timing of each message.
    pub timings: Option<Sender<Timing>>,
}

/// The operation that puts records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// `PutRecord`: one record a request.
    Record,
    /// `PutRecords`.
    Records {
        /// Records a request, 1 to [`REQUEST_RECORDS_MAX`].
        records_max: usize,
        /// Size of a request, bytes, up to [`REQUEST_BYTES_MAX`]. A record that is larger goes by
        /// itself.
        bytes_max: usize,
    },
}

impl Put {
    fn records_max(self) -> usize {
        match self {
            Self::Record => 1,
            Self::Records { records_max, .. } => records_max.clamp(1, REQUEST_RECORDS_MAX),
        }
    }

    fn bytes_max(self) -> usize {
        match self {
            Self::Record => REQUEST_BYTES_MAX,
            Self::Records { bytes_max, .. } => bytes_max,
        }
    }
}
