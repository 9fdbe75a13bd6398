//! An embedded Kinesis Data Streams: ferrokinesis, in memory.

mod create;
mod get;
mod put;
mod reads;
mod request;
mod server;

use std::ffi::OsStr;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::process::{Kind, ServiceProcess};
use super::serving::{Background, ServeError, argument, serve_process};
use crate::ServiceError;

pub(super) const KIND: Kind = Kind {
    name: "embedded Kinesis",
    argument: "__embedded-kinesis",
    remedy: "name another with --endpoint-url",
};

/// Its name and version as results show them.
pub const VERSION: &str = "ferrokinesis 0.7.0";

/// Which of the limits of Kinesis hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KinesisLimits {
    /// A shard takes 1,000 records and 1 MiB in a second.
    pub enforce_writes: bool,
    /// A shard answers 5 calls of `GetRecords` in a second, and gives 2 MiB in a second, at most
    /// 10 MiB a call.
    pub enforce_reads: bool,
    /// How many open shards all streams may have together.
    pub shard_limit: u32,
}

impl Default for KinesisLimits {
    fn default() -> Self {
        Self { enforce_writes: true, enforce_reads: false, shard_limit: 500 }
    }
}

/// What the process is told.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Argument {
    /// Where to listen until it is killed. Without one, it ends with whoever started it.
    port: Option<u16>,
    limits: KinesisLimits,
}

/// A running embedded Kinesis. Ends with its value, and by itself when this process ends in
/// whatever way.
#[derive(Debug)]
pub struct EmbeddedKinesis(ServiceProcess);

impl EmbeddedKinesis {
    /// Starts it from the running program, whose `main` must call [`super::run_if_requested`].
    pub fn start(limits: &KinesisLimits) -> Result<Self, ServiceError> {
        Self::start_program(None, limits)
    }

    /// Starts it from another program than the running one.
    pub fn start_from(executable: &Path, limits: &KinesisLimits) -> Result<Self, ServiceError> {
        Self::start_program(Some(executable), limits)
    }

    fn start_program(
        executable: Option<&Path>,
        limits: &KinesisLimits,
    ) -> Result<Self, ServiceError> {
        let argument = Argument { port: None, limits: limits.clone() };
        ServiceProcess::start(&KIND, executable, &argument, "start a service").map(Self)
    }

    /// Where it is reached, as in `http://127.0.0.1:4567`.
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

/// An embedded Kinesis in a thread of this process. Ends with its value.
#[derive(Debug)]
pub struct KinesisServer(Background);

impl KinesisServer {
    /// Where it is reached, as in `http://127.0.0.1:4567`.
    #[must_use]
    pub fn endpoint_url(&self) -> &str {
        self.0.endpoint_url()
    }
}

/// Starts one in a thread of this process, for tests.
pub fn serve_in_background(limits: &KinesisLimits) -> Result<KinesisServer, ServiceError> {
    let limits = limits.clone();
    Background::start(&KIND, |listener| server::serve_on(listener, limits)).map(KinesisServer)
}

/// The arguments by which a program becomes one that listens on this port until it is killed.
pub(crate) fn stand_alone(port: u16, limits: &KinesisLimits) -> Vec<String> {
    vec![KIND.argument.to_owned(), json!({ "port": port, "limits": limits }).to_string()]
}

/// The life of its process.
pub(super) fn serve(text: &OsStr) -> Result<(), ServeError> {
    let Argument { port, limits } = argument(text)?;
    serve_process(port, None, |listener| server::serve_on(listener, limits))
}
