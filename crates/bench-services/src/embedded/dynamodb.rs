//! An embedded `DynamoDB`: dynoxide, in memory.
//!
//! It never throttles and never leaves items unprocessed.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use dynoxide::Database;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpListener;

use super::process::{Kind, ServiceProcess};
use super::serving::{Background, ServeError, argument, serve_process};
use crate::ServiceError;

pub(super) const KIND: Kind = Kind {
    name: "embedded DynamoDB",
    argument: "__embedded-dynamodb",
    remedy: "name another with --endpoint-url",
};

/// Its name and version as results show them.
pub const VERSION: &str = "dynoxide 3.2.0";

/// What the process is told.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Argument {
    /// Where to listen until it is killed. Without one, it ends with whoever started it.
    port: Option<u16>,
}

/// A running embedded `DynamoDB`. Ends with its value, and by itself when this process ends in
/// whatever way.
#[derive(Debug)]
pub struct EmbeddedDynamodb(ServiceProcess);

impl EmbeddedDynamodb {
    /// Starts it from the running program, whose `main` must call [`super::run_if_requested`].
    pub fn start() -> Result<Self, ServiceError> {
        Self::start_program(None)
    }

    /// Starts it from another program than the running one.
    pub fn start_from(executable: &Path) -> Result<Self, ServiceError> {
        Self::start_program(Some(executable))
    }

    fn start_program(executable: Option<&Path>) -> Result<Self, ServiceError> {
        ServiceProcess::start(&KIND, executable, &Argument::default(), "start a service").map(Self)
    }

    /// Where it is reached, as in `http://127.0.0.1:4566`.
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

/// An embedded `DynamoDB` in a thread of this process. Ends with its value.
#[derive(Debug)]
pub struct DynamodbServer(Background);

impl DynamodbServer {
    /// Where it is reached, as in `http://127.0.0.1:4566`.
    #[must_use]
    pub fn endpoint_url(&self) -> &str {
        self.0.endpoint_url()
    }
}

/// Starts one in a thread of this process, for tests.
pub fn serve_in_background() -> Result<DynamodbServer, ServiceError> {
    Background::start(&KIND, serve_on).map(DynamodbServer)
}

/// The arguments by which a program becomes one that listens on this port until it is killed.
pub(crate) fn stand_alone(port: u16) -> Vec<String> {
    vec![KIND.argument.to_owned(), json!({ "port": port }).to_string()]
}

/// The life of its process.
pub(super) fn serve(text: &OsStr) -> Result<(), ServeError> {
    let Argument { port } = argument(text)?;
    serve_process(port, None, serve_on)
}

async fn serve_on(listener: TcpListener) -> io::Result<()> {
    let database = Database::memory().map_err(io::Error::other)?;
    let never = std::future::pending();
    dynoxide::server::serve_with_shutdown(listener, database, never).await.map_err(io::Error::other)
}
