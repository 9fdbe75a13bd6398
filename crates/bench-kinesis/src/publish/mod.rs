//! Sends with `PutRecord` and `PutRecords`, as the engine's [`Publish`] transport.
//!
//! A publisher owns a single-threaded async runtime, which runs on the engine's thread within
//! [`Publish::poll`], so that no thread has to wake another. Messages are collected in an open
//! batch (packed into aggregates first, if enabled), which becomes a request when it is full or old
//! enough. Records with transient errors are retried individually, with the SDK's own retries
//! disabled, so that nothing is counted twice.

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

/// Maximum records per `PutRecords` request.
pub const REQUEST_RECORDS_MAX: usize = 500;

/// Maximum size of a `PutRecords` request, bytes: data and partition keys of all records, as
/// documented by the SDK.
pub const REQUEST_BYTES_MAX: usize = 10 << 20;

/// The size that every service accepts, bytes; stand-ins for Kinesis accept no more.
pub const REQUEST_BYTES_DEFAULT: usize = 5 << 20;

/// Settings of a publisher.
#[derive(Debug, Clone)]
pub struct PublishConfig {
    /// The stream.
    pub stream: String,
    /// The operation.
    pub put: Put,
    /// Maximum unacknowledged requests, above 0.
    pub in_flight_max: usize,
    /// Maximum time that a message waits for others of its request or aggregate, nanoseconds.
    pub linger_ns: u64,
    /// Maximum size of a Kinesis record that packs user records, bytes: data and partition key
    /// together. `None`: each message is a Kinesis record.
    pub aggregate_bytes: Option<usize>,
    /// Where partition keys come from.
    pub keys: KeySource,
    /// Whether explicit hash keys distribute records evenly over the shards, whatever their
    /// partition keys.
    pub explicit_hash_keys: bool,
    /// How long a record is retried until it counts as failed, nanoseconds.
    pub give_up_ns: u64,
    /// Seed of generated partition keys and of the backoff's jitter.
    pub seed: u64,
    /// Receives the timing of each message.
    pub timings: Option<Sender<Timing>>,
}

/// The API operation used to put records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// `PutRecord`: one record per request.
    Record,
    /// `PutRecords`.
    Records {
        /// Records per request, 1 to [`REQUEST_RECORDS_MAX`].
        records_max: usize,
        /// Size of a request, bytes, up to [`REQUEST_BYTES_MAX`]. A larger record is sent alone.
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
