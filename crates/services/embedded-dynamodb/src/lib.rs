//! The stand-in for `DynamoDB`: dynoxide, in memory.

use std::io;

use bench_service_dynamodb::stand_in::{Argument, KIND};
use bench_stand_in::StandInError;
use bench_stand_in_host::{Background, HostError, argument, serve_process};
use dynoxide::Database;
use tokio::net::TcpListener;

/// One in a thread of this process, which ends when this value is dropped.
#[derive(Debug)]
pub struct DynamodbServer(Background);

impl DynamodbServer {
    /// Where clients reach it, as in `http://127.0.0.1:4566`.
    #[must_use]
    pub fn endpoint_url(&self) -> &str {
        self.0.endpoint_url()
    }
}

/// Starts one in a thread of this process, for tests.
pub fn serve_in_background() -> Result<DynamodbServer, StandInError> {
    Background::start(&KIND, serve_on).map(DynamodbServer)
}

/// Runs its process.
pub fn serve(text: &str) -> Result<(), HostError> {
    let Argument { port } = argument(text)?;
    serve_process(port, serve_on)
}

async fn serve_on(listener: TcpListener) -> io::Result<()> {
    let database = Database::memory().map_err(io::Error::other)?;
    let never = std::future::pending();
    dynoxide::server::serve_with_shutdown(listener, database, never).await.map_err(io::Error::other)
}
