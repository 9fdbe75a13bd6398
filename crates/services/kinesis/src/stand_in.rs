//! An embedded Kinesis Data Streams, as the program that starts it sees it.

use bench_stack::StackError;
use bench_stand_in::{StandInError, StandInKind, StandInProcess};
use serde::{Deserialize, Serialize};

/// The stand-in.
pub const KIND: StandInKind = StandInKind {
    name: "embedded Kinesis",
    program: "embedded-kinesis",
    remedy: "use another service with --endpoint-url",
};

/// Its name and version as results show them.
pub const VERSION: &str = "ferrokinesis 0.7.0";

/// The limits of Kinesis that are enforced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KinesisLimits {
    /// A shard takes 1,000 records and 1 MiB per second.
    pub enforce_writes: bool,
    /// A shard answers 5 calls of `GetRecords` per second, and returns 2 MiB per second and at most
    /// 10 MiB per call.
    pub enforce_reads: bool,
    /// Most open shards of all streams together.
    pub shard_limit: u32,
}

impl Default for KinesisLimits {
    fn default() -> Self {
        Self { enforce_writes: true, enforce_reads: false, shard_limit: 500 }
    }
}

/// The argument of its process.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Argument {
    /// The port to listen on until it is killed. Without one, it ends with its parent process.
    pub port: Option<u16>,
    /// The limits that it enforces.
    pub limits: KinesisLimits,
}

/// A running embedded Kinesis. It ends when this value is dropped, and when this process ends in
/// any way.
#[derive(Debug)]
pub struct EmbeddedKinesis(StandInProcess);

impl EmbeddedKinesis {
    /// Starts one.
    pub fn start(limits: &KinesisLimits) -> Result<Self, StandInError> {
        let argument = Argument { port: None, limits: limits.clone() };
        StandInProcess::start(&KIND, &argument, "start a service").map(Self)
    }

    /// Where clients reach it, as in `http://127.0.0.1:4567`.
    #[must_use]
    pub fn endpoint_url(&self) -> &str {
        self.0.address()
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.pid()
    }
}

/// The arguments of a process that listens on this port until it is killed.
pub(crate) fn arguments(port: u16, limits: &KinesisLimits) -> Result<Vec<String>, StackError> {
    KIND.arguments(&Argument { port: Some(port), limits: limits.clone() })
}
