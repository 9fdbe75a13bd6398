//! Work that keeps its thread, and that an interrupt cannot reach.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::sync::oneshot;

use crate::Waiting;

/// How often work is looked at that may still end after an interrupt.
const LOOK_EVERY: Duration = Duration::from_millis(10);

impl Waiting {
    /// Waits for work that keeps its thread, as [`Waiting::until`] does for a future: a client's
    /// own connecting, or a question on the terminal. After an interrupt the work goes on in a
    /// thread of its own, up to the end of the process, and nobody learns what came of it.
    pub fn until_done<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
        doing: &'static str,
    ) -> Result<T> {
        self.until_done_within(Duration::ZERO, work, doing)
    }

    /// The same for work that is better brought to its end, since it would leave something behind:
    /// after an interrupt it has `grace` for that.
    pub fn until_done_within<T: Send + 'static>(
        &self,
        grace: Duration,
        work: impl FnOnce() -> T + Send + 'static,
        doing: &'static str,
    ) -> Result<T> {
        let (sender, mut done) = oneshot::channel();
        let worker = thread::Builder::new().name("apart".to_owned());
        let started = worker.spawn(move || drop(sender.send(work())));
        drop(started.context("failed to start a thread")?);
        let interrupted = match self.until(&mut done, doing) {
            Ok(done) => return done.context("a thread ended before its work"),
            Err(interrupted) => interrupted,
        };
        let deadline = Instant::now() + grace;
        loop {
            match done.try_recv() {
                Ok(done) => return Ok(done),
                Err(_) if Instant::now() >= deadline => return Err(interrupted),
                Err(_) => thread::sleep(LOOK_EVERY),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::{Interrupted, Shutdown};

    #[test]
    fn work_is_waited_for_until_the_user_has_had_enough() {
        let shutdown = Shutdown::without_signals();
        let waiting = Waiting::new(&shutdown).expect("a runtime");
        assert_eq!(waiting.until_done(|| 7, "nothing was done").expect("done"), 7);
        // Nothing is ever sent.
        let (_sender, never) = channel::<()>();
        shutdown.request();
        let error = waiting.until_done(move || never.recv(), "it connected");
        let error = error.expect_err("interrupted");
        assert!(error.is::<Interrupted>(), "{error}");
        assert_eq!(error.to_string(), "interrupted while it connected");
    }
}
