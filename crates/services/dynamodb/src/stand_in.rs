//! An embedded `DynamoDB`, as the program that starts it sees it. It never throttles and never
//! leaves items unprocessed.

use bench_stack::StackError;
use bench_stand_in::{StandInError, StandInKind, StandInProcess};
use serde::{Deserialize, Serialize};

/// The stand-in.
pub const KIND: StandInKind = StandInKind {
    name: "embedded DynamoDB",
    program: "embedded-dynamodb",
    remedy: "use another service with --endpoint-url",
};

/// Its name and version as results show them.
pub const VERSION: &str = "dynoxide 3.2.0";

/// The argument of its process.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Argument {
    /// The port to listen on until it is killed. Without one, it ends with its parent process.
    pub port: Option<u16>,
}

/// A running embedded `DynamoDB`. It ends when this value is dropped, and when this process ends in
/// any way.
#[derive(Debug)]
pub struct EmbeddedDynamodb(StandInProcess);

impl EmbeddedDynamodb {
    /// Starts one.
    pub fn start() -> Result<Self, StandInError> {
        StandInProcess::start(&KIND, &Argument::default(), "start a service").map(Self)
    }

    /// Where clients reach it, as in `http://127.0.0.1:4566`.
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
pub(crate) fn arguments(port: u16) -> Result<Vec<String>, StackError> {
    KIND.arguments(&Argument { port: Some(port) })
}
