//! The runtime that drives all connections to S3.
//!
//! A connection is driven by the runtime that was current when it was opened. Publishers and
//! receivers drive their own runtimes only while they wait, and delta-rs creates and drops runtimes
//! of its own: a pooled connection opened on one of them would stall when used from another. So one
//! thread, which never ends, does all input and output; the code that waits for it may run
//! anywhere.

use std::future::Future;
use std::sync::{Mutex, PoisonError};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinError;

use crate::DeltaError;

static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);

/// The runtime, started on first use.
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

/// Runs a task there that opens connections of its own, such as a client of the SDK.
pub(crate) async fn run<T, F>(task: F) -> Result<T, DeltaError>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    ended(runtime()?.spawn(task).await)
}

/// Runs blocking work there, such as file operations.
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
