//! An embedded Kafka broker, as the program that starts it sees it.
//!
//! It is librdkafka's mock cluster: real sockets and the real protocol. It stores nothing on disk,
//! keeps little ([`BACKLOG_MAX_BYTES`]), and has no administration except creating topics.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bench_stand_in::{StandInError, StandInKind, StandInProcess};
use serde::{Deserialize, Serialize};

/// Bytes of one partition that may be produced and not yet consumed without loss. At 5 MiB or
/// [`BACKLOG_MAX_BATCHES`] the broker silently drops the oldest batches; this leaves room for
/// batches in flight.
pub const BACKLOG_MAX_BYTES: u64 = 3 << 20;

/// Batches that a partition holds before the oldest are dropped.
pub const BACKLOG_MAX_BATCHES: u64 = 100_000;

/// The `fetch.wait.max.ms` that a client should use. The broker answers an empty fetch only when
/// that time is up, even if messages have arrived meanwhile.
pub const FETCH_WAIT_MS: u32 = 2;

/// Most partitions of a topic.
pub const PARTITIONS_MAX: u32 = 1_000;

/// Most brokers of an embedded cluster.
pub const EMBEDDED_BROKERS_MAX: u32 = 16;

/// The stand-in.
pub const KIND: StandInKind = StandInKind {
    name: "embedded Kafka broker",
    program: "embedded-kafka",
    remedy: "use another server with --bootstrap-servers",
};

/// A request to the broker's process.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Create a topic.
    CreateTopic {
        /// Its name.
        name: String,
        /// 1 to [`PARTITIONS_MAX`].
        partitions: u32,
        /// 1 to the number of brokers.
        replication: u32,
    },
}

/// A running embedded broker, or several that form a cluster. It ends when this value is dropped,
/// and when this process ends in any way.
#[derive(Debug)]
pub struct EmbeddedKafka(StandInProcess);

impl EmbeddedKafka {
    /// Starts a cluster of `brokers`.
    pub fn start(brokers: u32) -> Result<Self, StandInError> {
        let action = format!("start a cluster of {brokers}");
        StandInProcess::start(&KIND, &brokers, &action).map(Self)
    }

    /// The brokers' addresses, `host:port` separated by commas.
    #[must_use]
    pub fn bootstrap_servers(&self) -> &str {
        self.0.address()
    }

    /// The process id of the broker.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// A flag that becomes true when the broker's process has ended, for whatever reason.
    #[must_use]
    pub fn ended(&self) -> Arc<AtomicBool> {
        self.0.ended()
    }

    /// Creates a topic with 1 to [`PARTITIONS_MAX`] partitions and at most one replica per broker.
    pub fn create_topic(
        &mut self,
        name: &str,
        partitions: u32,
        replication: u32,
    ) -> Result<(), StandInError> {
        let request = Request::CreateTopic { name: name.to_owned(), partitions, replication };
        self.0.ask(&format!("create topic '{name}'"), &request)
    }
}
