//! Graceful shutdown: one signal asks the work to end, a second one ends the process.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::{Exit, progress};

/// Whether the work was asked to end. Clones share the answer.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    requested: Arc<AtomicBool>,
}

impl Shutdown {
    /// Listens for SIGINT, SIGTERM and SIGHUP in a thread of its own. The first of them is a
    /// request to end; the second ends the process at once with [`Exit::Interrupted`].
    ///
    /// SIGHUP stays ignored where it was ignored from the start: `nohup` means it.
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
                    // Runs no exit handlers, which could wait for the work that does not end.
                    signal_hook::low_level::exit(Exit::Interrupted as i32);
                }
                // Before the request: the work may end, and the process with it, at once.
                progress::print_line_on_stderr(
                    "interrupted: finishing what is in flight (again to stop at once)",
                );
                requested.store(true, Ordering::Relaxed);
            }
        })?;
        Ok(shutdown)
    }

    /// A shutdown that only [`Shutdown::request`] requests.
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

    /// The flag behind [`Shutdown::is_requested`], for code that does not know this type.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.requested)
    }
}

/// Whether this process was started with SIGHUP ignored. False where the system does not tell.
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
    fn a_request_reaches_every_clone_and_the_flag() {
        let shutdown = Shutdown::without_signals();
        let (clone, flag) = (shutdown.clone(), shutdown.flag());
        assert!(!clone.is_requested());
        shutdown.request();
        assert!(clone.is_requested());
        assert!(flag.load(Ordering::Relaxed));
    }

    #[test]
    fn ignored_signals_are_read_from_the_status_file() {
        let status = "Name:\tx\nSigBlk:\t0000000000000002\nSigIgn:\t0000000000001001\n";
        assert_eq!(ignored_signals(status), 0x1001);
        assert_eq!(ignored_signals("Name:\tx\n"), 0);
        assert_eq!(ignored_signals("SigIgn:\tzz\n"), 0);
    }
}
