//! The process of a tool, shared between the threads of a run.

use std::io;
use std::process::{Child, ExitStatus};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// The process of a tool, for another thread that may signal it as long as it is there.
#[derive(Debug, Default)]
pub(crate) struct ToolProcess {
    life: Mutex<Life>,
    changed: Condvar,
}

#[derive(Debug, Clone, Copy, Default)]
enum Life {
    #[default]
    NotStarted,
    Running(Pid),
    /// It has been asked to end.
    Ending(Pid),
    Gone,
}

impl ToolProcess {
    /// Whether the process has gone, or is about to.
    pub(crate) fn is_over(&self) -> bool {
        matches!(*self.lock(), Life::Ending(_) | Life::Gone)
    }

    /// Waits until something changes, `time` at most.
    pub(crate) fn wait(&self, time: Duration) {
        let life = self.lock();
        if matches!(*life, Life::NotStarted | Life::Running(_)) {
            // The caller finds out which of the two it was.
            let _ = self.changed.wait_timeout(life, time);
        }
    }

    /// Sends a signal to the process itself, not to what it has started.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        match *self.lock() {
            Life::Running(pid) | Life::Ending(pid) => Ok(kill_process(pid, signal)?),
            Life::NotStarted | Life::Gone => Err(io::Error::other("there is no process")),
        }
    }

    /// Checks whether the process has ended; from then on its id may be another's.
    pub(crate) fn try_wait(&self, child: &mut Child) -> io::Result<Option<ExitStatus>> {
        let mut life = self.lock();
        let status = child.try_wait()?;
        if status.is_some() {
            *life = Life::Gone;
            self.changed.notify_all();
        }
        Ok(status)
    }

    /// Notes the start of the process.
    pub(crate) fn start(&self, pid: Pid) {
        self.set(Life::Running(pid));
    }

    /// Notes that the process has been asked to end.
    pub(crate) fn ask_to_end(&self, pid: Pid) {
        self.set(Life::Ending(pid));
    }

    /// Notes that there is no process, or none that may be signalled.
    pub(crate) fn end(&self) {
        self.set(Life::Gone);
    }

    fn set(&self, life: Life) {
        *self.lock() = life;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Life> {
        // It is valid after every assignment.
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
