//! The runtime that all connections to S3 live on.
//!
//! A connection is driven by the runtime that was current when it was made. Publishers and receivers
//! drive runtimes of their own only while they wait, and delta-rs makes runtimes of its own and drops
//! them: a connection that one of them made and another took from the pool would stand still. So one
//! thread, which never ends, does the input and output of all; what waits for it may run anywhere.

use std::future::Future;
use std::sync::{Mutex, PoisonError};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinError;

use crate::DeltaError;

static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);

/// The runtime, which is started when it is first asked for.
pub(super) fn runtime() -> Result<Handle, DeltaError> {
    let mut runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = runtime.as_ref() {
        return Ok(running.handle().clone());
    }
    let started = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("lake-io")
        .enable_all()
        .build()
        .map_err(DeltaError::Runtime)?;
    let handle = started.handle().clone();
    *runtime = Some(started);
    Ok(handle)
}

/// Runs something there that makes connections by itself, such as a client of the SDK.
pub(crate) async fn run<T, F>(task: F) -> Result<T, DeltaError>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    ended(runtime()?.spawn(task).await)
}

/// Runs something there that keeps its thread waiting, such as work on files.
pub(super) async fn run_blocking<T, F>(work: F) -> Result<T, DeltaError>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    ended(runtime()?.spawn_blocking(work).await)
}

fn ended<T>(joined: Result<T, JoinError>) -> Result<T, DeltaError> {
    joined.map_err(|error| DeltaError::Runtime(std::io::Error::other(error)))
}
