//! Waiting for what a service does, or until the user has had enough.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::runtime::Runtime;

use crate::{Interrupted, Shutdown};

/// How often a wait looks whether the user has had enough.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Waits for what is asked of a service before a run, on a runtime of its own.
#[derive(Debug)]
pub struct Waiting {
    /// Always there, up to its end.
    runtime: Option<Runtime>,
    shutdown: Shutdown,
}

impl Waiting {
    /// Waits that end early when `shutdown` is requested.
    pub fn new(shutdown: &Shutdown) -> Result<Self> {
        // Some libraries block within what they do, for which a runtime needs another thread.
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build();
        let runtime = runtime.context("failed to start a runtime")?;
        Ok(Self { runtime: Some(runtime), shutdown: shutdown.clone() })
    }

    /// Waits for an operation. If it is interrupted, the error says `interrupted while` and `doing`.
    pub fn until<T>(&self, operation: impl Future<Output = T>, doing: &'static str) -> Result<T> {
        let interrupted = async {
            while !self.shutdown.is_requested() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let Some(runtime) = &self.runtime else { return Err(Interrupted(doing).into()) };
        runtime.block_on(async {
            tokio::select! {
                done = operation => Ok(done),
                () = interrupted => Err(Interrupted(doing).into()),
            }
        })
    }

    /// Waits in the same way for work that keeps its thread, such as a client's own connecting or a
    /// question on the terminal: see [`Shutdown::interruptible`].
    pub fn until_done<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
        doing: &'static str,
    ) -> Result<T> {
        Ok(self.shutdown.interruptible(doing, work)?)
    }

    /// The same for work that has `grace` to come to its end after an interrupt.
    pub fn until_done_within<T: Send + 'static>(
        &self,
        grace: Duration,
        work: impl FnOnce() -> T + Send + 'static,
        doing: &'static str,
    ) -> Result<T> {
        Ok(self.shutdown.interruptible_within(grace, doing, work)?)
    }
}

impl Drop for Waiting {
    /// Waits for nothing that still blocks, such as the look-up of a host name.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Instant;

    use super::*;

    #[test]
    fn an_operation_is_waited_for_until_the_user_has_had_enough() {
        let shutdown = Shutdown::without_signals();
        let waiting = Waiting::new(&shutdown).expect("a runtime");
        assert_eq!(waiting.until(async { 7 }, "nothing was done").expect("done"), 7);
        shutdown.request();
        let sleep = async { tokio::time::sleep(Duration::from_mins(10)).await };
        let started = Instant::now();
        let error = waiting.until(sleep, "it slept");
        let error = error.expect_err("interrupted");
        assert_eq!(error.to_string(), "interrupted while it slept");
        assert!(started.elapsed() < Duration::from_mins(1));
    }

    #[test]
    fn the_end_does_not_wait_for_what_blocks() {
        let waiting = Waiting::new(&Shutdown::without_signals()).expect("a runtime");
        let (open, never) = channel::<()>();
        let task = async move { drop(tokio::task::spawn_blocking(move || never.recv())) };
        waiting.until(task, "it blocked").expect("done");
        drop(waiting);
        // Its end would have been waited for, and it only ends now.
        drop(open);
    }
}
