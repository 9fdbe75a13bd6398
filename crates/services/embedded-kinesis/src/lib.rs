//! The stand-in for Kinesis Data Streams: ferrokinesis, in memory.

mod create;
mod get;
mod put;
mod reads;
mod request;
mod server;
mod streams;

use bench_service_kinesis::stand_in::{Argument, KIND, KinesisLimits};
use bench_stand_in::StandInError;
use bench_stand_in_host::{Background, HostError, argument, serve_process};

/// One in a thread of this process, which ends when this value is dropped.
#[derive(Debug)]
pub struct KinesisServer(Background);

impl KinesisServer {
    /// Where clients reach it, as in `http://127.0.0.1:4567`.
    #[must_use]
    pub fn endpoint_url(&self) -> &str {
        self.0.endpoint_url()
    }
}

/// Starts one in a thread of this process, for tests.
pub fn serve_in_background(limits: &KinesisLimits) -> Result<KinesisServer, StandInError> {
    let limits = limits.clone();
    Background::start(&KIND, |listener| server::serve_on(listener, limits)).map(KinesisServer)
}

/// Runs its process.
pub fn serve(text: &str) -> Result<(), HostError> {
    let Argument { port, limits } = argument(text)?;
    serve_process(port, |listener| server::serve_on(listener, limits))
}
