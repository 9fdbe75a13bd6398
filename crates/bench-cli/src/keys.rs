//! The key that ends the work in good order, as Ctrl-C does.

use std::io::{self, IsTerminal as _, Read as _};
use std::sync::{Mutex, PoisonError};
use std::thread;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

use crate::{Shutdown, progress};

/// The key.
const QUIT: u8 = b'q';

/// How the terminal was set before.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// While this exists, the terminal passes on single keys and does not show them.
#[derive(Debug)]
pub struct Keys(());

impl Keys {
    /// Listens for `q`, if the standard input is the terminal that this process is in the foreground of.
    #[must_use]
    pub fn listen(shutdown: &Shutdown) -> Option<Self> {
        let stdin = io::stdin();
        // A process in the background would be stopped.
        let is_in_front =
            stdin.is_terminal() && tcgetpgrp(&stdin).ok()? == rustix::process::getpgrp();
        if !is_in_front {
            return None;
        }
        let before = tcgetattr(&stdin).ok()?;
        let mut single = before.clone();
        // Signals of the terminal stay, so Ctrl-C and Ctrl-Z do what they always do.
        single.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        tcsetattr(&stdin, OptionalActions::Now, &single).ok()?;
        let shutdown = shutdown.clone();
        let listening = thread::Builder::new().name("keys".to_owned()).spawn(move || {
            let mut key = [0];
            while io::stdin().read_exact(&mut key).is_ok() {
                if key[0] == QUIT && !shutdown.is_requested() {
                    progress::print_line_on_stderr("asked to end: finishing what is in flight");
                    shutdown.request();
                }
            }
        });
        let keys = Self(());
        listening.is_ok().then_some(keys)
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        restore();
    }
}

/// Sets the terminal as it was.
pub(crate) fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
    }
}
