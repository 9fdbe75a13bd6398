//! Waits for operations of a service, until the user interrupts.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::runtime::Runtime;

use crate::{Interrupted, Shutdown};

/// Interval between checks for an interrupt.
const POLL: Duration = Duration::from_millis(50);

/// Waits for a service's operations before a run, on a runtime of its own.
#[derive(Debug)]
pub struct Waiting {
    /// `None` only while dropping.
    runtime: Option<Runtime>,
    shutdown: Shutdown,
}

impl Waiting {
    /// Creates waits that end early when `shutdown` is requested.
    pub fn new(shutdown: &Shutdown) -> Result<Self> {
        // Some libraries block inside async code, for which the runtime needs another thread.
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build();
        let runtime = runtime.context("failed to start a runtime")?;
        Ok(Self { runtime: Some(runtime), shutdown: shutdown.clone() })
    }

    /// Waits for an operation. If interrupted, the error is `interrupted while` followed by
    /// `doing`.
    pub fn until<T>(&self, operation: impl Future<Output = T>, doing: &'static str) -> Result<T> {
        let interrupted = async {
            while !self.shutdown.is_requested() {
                tokio::time::sleep(POLL).await;
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

    /// Waits in the same way for blocking work, such as a client's connecting or a question on the
    /// terminal: see [`Shutdown::interruptible`].
    pub fn until_done<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
        doing: &'static str,
    ) -> Result<T> {
        Ok(self.shutdown.interruptible(doing, work)?)
    }

    /// Like [`until_done`](Self::until_done), for work that has `grace` to finish after an
    /// interrupt.
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
    /// Does not wait for blocking tasks, such as a host name lookup.
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
    fn operations_are_waited_for_until_interrupted() {
        let shutdown = Shutdown::without_signals();
        let waiting = Waiting::new(&shutdown).expect("a runtime");
        assert_eq!(waiting.until(async { 7 }, "doing nothing").expect("done"), 7);
        shutdown.request();
        let sleep = async { tokio::time::sleep(Duration::from_mins(10)).await };
        let started = Instant::now();
        let error = waiting.until(sleep, "sleeping");
        let error = error.expect_err("interrupted");
        assert_eq!(error.to_string(), "interrupted while sleeping");
        assert!(started.elapsed() < Duration::from_mins(1));
    }

    #[test]
    fn dropping_does_not_wait_for_blocking_tasks() {
        let waiting = Waiting::new(&Shutdown::without_signals()).expect("a runtime");
        let (open, never) = channel::<()>();
        let task = async move { drop(tokio::task::spawn_blocking(move || never.recv())) };
        waiting.until(task, "blocking").expect("done");
        drop(waiting);
        // The task ends only now, so dropping did not wait for it.
        drop(open);
    }
}
