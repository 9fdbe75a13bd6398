//! Graceful shutdown: one signal asks the work to end, a second one ends the process.

use std::io;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::{Exit, Interrupted, keys, progress};

/// Interval between checks for a request to end.
const POLL: Duration = Duration::from_millis(20);

/// Whether the work was asked to end. Clones share the state.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    requested: Arc<AtomicBool>,
}

impl Shutdown {
    /// Listens for SIGINT, SIGTERM and SIGHUP in a thread of its own. The first of them is a
    /// request to end; the second ends the process at once with [`Exit::Interrupted`].
    ///
    /// SIGHUP stays ignored if it was ignored from the start, as `nohup` intends.
    pub fn install() -> io::Result<Self> {
        let shutdown = Self::without_signals();
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        if !hangup_is_ignored() {
            signals.handle().add_signal(SIGHUP)?;
        }
        let requested = shutdown.flag();
        thread::Builder::new().name("signals".into()).spawn(move || {
            for _ in signals.forever() {
                if requested.load(Ordering::Relaxed) {
                    keys::restore();
                    // Skips exit handlers, which could wait for work that does not end.
                    signal_hook::low_level::exit(Exit::Interrupted as i32);
                }
                // Printed before the request, after which the process may end at once.
                progress::print_line_on_stderr(
                    "interrupted: finishing what is in flight (again to stop at once)",
                );
                requested.store(true, Ordering::Relaxed);
            }
        })?;
        Ok(shutdown)
    }

    /// A shutdown that only [`Shutdown::request`] triggers.
    #[must_use]
    pub fn without_signals() -> Self {
        Self::default()
    }

    /// Asks the work to end.
    pub fn request(&self) {
        self.requested.store(true, Ordering::Relaxed);
    }

    /// Whether the work was asked to end.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }

    /// Makes a call that may block for long, such as one into a client library that ignores
    /// signals, and returns as soon as the work is asked to end: the error is then `interrupted
    /// while` followed by `doing`.
    ///
    /// The call runs on a thread of its own. After an interrupt nobody waits for it, so it must own
    /// everything it uses, and it continues until the process ends.
    pub fn interruptible<T: Send + 'static>(
        &self,
        doing: &'static str,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Interrupted> {
        self.interruptible_within(Duration::ZERO, doing, call)
    }

    /// Like [`interruptible`](Self::interruptible), for a call that should finish because it would
    /// otherwise leave something behind: after an interrupt, even an earlier one, it has `grace` to
    /// do so.
    pub fn interruptible_within<T: Send + 'static>(
        &self,
        grace: Duration,
        doing: &'static str,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Interrupted> {
        if grace.is_zero() && self.is_requested() {
            return Err(Interrupted(doing));
        }
        let (sender, result) = sync_channel(1);
        // Shared, so that it is still available if no thread can be started.
        let call = Arc::new(Mutex::new(Some(call)));
        let take = |call: &Mutex<Option<_>>| call.lock().ok().and_then(|mut call| call.take());
        let worker = thread::Builder::new().name("blocking".to_owned()).spawn({
            let call = Arc::clone(&call);
            move || {
                if let Some(call) = take(&call) {
                    // After an interrupt nobody receives it.
                    let _ = sender.send(call());
                }
            }
        });
        let Ok(worker) = worker else {
            return take(&call).map(|call| call()).ok_or(Interrupted(doing));
        };
        let mut deadline = None;
        loop {
            match result.recv_timeout(POLL) {
                Ok(result) => return Ok(result),
                Err(RecvTimeoutError::Timeout) if self.is_requested() => {
                    if Instant::now() >= *deadline.get_or_insert_with(|| Instant::now() + grace) {
                        return Err(Interrupted(doing));
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                // The call panicked: pass the panic on.
                Err(RecvTimeoutError::Disconnected) => match worker.join() {
                    Err(panic) => resume_unwind(panic),
                    Ok(()) => return Err(Interrupted(doing)),
                },
            }
        }
    }

    /// The flag behind [`Shutdown::is_requested`], for code that cannot use this type.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.requested)
    }
}

/// Whether this process was started with SIGHUP ignored; false if the system does not report it.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored_signals(&status) & (1 << (SIGHUP - 1)) != 0
}

/// The mask of ignored signals in the text of `/proc/PID/status`; signal n is bit n - 1.
fn ignored_signals(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_reach_every_clone_and_the_flag() {
        let shutdown = Shutdown::without_signals();
        let (clone, flag) = (shutdown.clone(), shutdown.flag());
        assert!(!clone.is_requested());
        shutdown.request();
        assert!(clone.is_requested());
        assert!(flag.load(Ordering::Relaxed));
    }

    #[test]
    fn blocking_calls_end_with_a_request() {
        let shutdown = Shutdown::without_signals();
        assert_eq!(shutdown.interruptible("counting", || 7), Ok(7));
        let (started, has_started) = sync_channel(0);
        let (_open, never) = sync_channel::<()>(0);
        let requester = shutdown.clone();
        let request = thread::spawn(move || {
            has_started.recv().expect("the call has started");
            requester.request();
        });
        let waited = shutdown.interruptible("waiting", move || {
            started.send(()).expect("the requester waits");
            never.recv().is_ok()
        });
        assert_eq!(waited, Err(Interrupted("waiting")));
        request.join().expect("requested");
        let late = shutdown.interruptible("starting", || panic!("must not be called"));
        assert_eq!(late, Err::<(), _>(Interrupted("starting")));
    }

    #[test]
    fn calls_with_grace_finish_after_a_request() {
        let shutdown = Shutdown::without_signals();
        let requester = shutdown.clone();
        let call = move || {
            requester.request();
            thread::sleep(POLL * 5);
            7
        };
        let patience = Duration::from_mins(1);
        assert_eq!(shutdown.interruptible_within(patience, "cleaning up", call), Ok(7));
        assert_eq!(shutdown.interruptible_within(patience, "cleaning up", || 8), Ok(8));
    }

    #[test]
    #[should_panic(expected = "as here")]
    fn panics_of_blocking_calls_are_passed_on() {
        let _ = Shutdown::without_signals().interruptible("panicking", || panic!("as here"));
    }

    #[test]
    fn ignored_signals_are_read_from_the_status_file() {
        let status = "Name:\tx\nSigBlk:\t0000000000000002\nSigIgn:\t0000000000001001\n";
        assert_eq!(ignored_signals(status), 0x1001);
        assert_eq!(ignored_signals("Name:\tx\n"), 0);
        assert_eq!(ignored_signals("SigIgn:\tzz\n"), 0);
    }
}
