//! An embedded Kafka broker.
//!
//! It is librdkafka's mock cluster: real sockets and the real protocol. It stores nothing on disk,
//! keeps little ([`BACKLOG_MAX_BYTES`]), and knows no administration beyond creating topics.

mod server;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

use super::process::{Kind, ServiceProcess};
use crate::ServiceError;

pub(super) use server::serve;

/// How much may lie in one partition, produced and not yet consumed, without loss. At 5 MiB or
/// [`BACKLOG_MAX_BATCHES`] the broker drops the oldest batches and tells nobody; this leaves room
/// for batches in flight.
pub const BACKLOG_MAX_BYTES: u64 = 3 << 20;

/// How many batches a partition holds before the oldest are dropped.
pub const BACKLOG_MAX_BATCHES: u64 = 100_000;

/// What a client's `fetch.wait.max.ms` should be. The broker answers an empty fetch only when that
/// time is up, even though messages have arrived meanwhile.
pub const FETCH_WAIT_MS: u32 = 2;

/// How many partitions a topic may have here.
pub const PARTITIONS_MAX: u32 = 1_000;

/// How many brokers a cluster may have here.
pub const BROKERS_MAX: u32 = 16;

pub(super) const KIND: Kind = Kind {
    name: "embedded Kafka broker",
    argument: "__embedded-kafka",
    remedy: "name a server with --bootstrap-servers",
};

/// What the broker is asked for.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Request {
    /// Create a topic.
    CreateTopic { name: String, partitions: u32, replication: u32 },
}

/// A running embedded broker, or several that form a cluster. Ends with its value, and by itself
/// when this process ends in whatever way.
#[derive(Debug)]
pub struct EmbeddedKafka(ServiceProcess);

impl EmbeddedKafka {
    /// Starts a cluster of `brokers` from the running program, whose `main` must call
    /// [`super::run_if_requested`].
    pub fn start(brokers: u32) -> Result<Self, ServiceError> {
        Self::start_program(None, brokers)
    }

    /// Starts a cluster from another program than the running one.
    pub fn start_from(executable: &Path, brokers: u32) -> Result<Self, ServiceError> {
        Self::start_program(Some(executable), brokers)
    }

    fn start_program(executable: Option<&Path>, brokers: u32) -> Result<Self, ServiceError> {
        let action = format!("start a cluster of {brokers}");
        ServiceProcess::start(&KIND, executable, &brokers, &action).map(Self)
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

    /// Becomes true when the broker's process has ended, whatever ended it.
    #[must_use]
    pub fn ended(&self) -> Arc<AtomicBool> {
        self.0.ended()
    }

    /// Creates a topic with 1 to [`PARTITIONS_MAX`] partitions, and 1 replica to one on each broker.
    pub fn create_topic(
        &mut self,
        name: &str,
        partitions: u32,
        replication: u32,
    ) -> Result<(), ServiceError> {
        let request = Request::CreateTopic { name: name.to_owned(), partitions, replication };
        self.0.ask(&format!("create topic '{name}'"), &request)
    }
}
