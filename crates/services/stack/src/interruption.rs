//! Work on a stack that a user can interrupt.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::StackError;

thread_local! {
    /// What interrupts the work of this thread.
    static FLAG: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
}

/// Runs `work`. Once `flag` is true, all waiting in it for a server, a program, a download or a
/// lock ends with [`StackError::Interrupted`], and what had been started is stopped.
///
/// Stopping a stack still completes, without waiting for servers to end by themselves.
pub fn interruptible<T>(flag: &Arc<AtomicBool>, work: impl FnOnce() -> T) -> T {
    let _restored = Restored(FLAG.replace(Some(Arc::clone(flag))));
    work()
}

/// The flag that interrupts this thread, for threads that work for it.
#[must_use]
pub fn current() -> Arc<AtomicBool> {
    FLAG.with_borrow(Clone::clone).unwrap_or_default()
}

/// Whether this thread has been interrupted.
pub(crate) fn is_requested() -> bool {
    FLAG.with_borrow(|flag| flag.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed)))
}

/// An error if this thread has been interrupted.
pub(crate) fn check() -> Result<(), StackError> {
    if is_requested() { Err(StackError::Interrupted) } else { Ok(()) }
}

/// Restores the flag from before, however the work ends.
struct Restored(Option<Arc<AtomicBool>>);

impl Drop for Restored {
    fn drop(&mut self) {
        FLAG.set(self.0.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_current_thread_is_interrupted() {
        let flag = Arc::new(AtomicBool::new(true));
        interruptible(&flag, || {
            assert!(matches!(check(), Err(StackError::Interrupted)));
            interruptible(&Arc::default(), || check().expect("its own flag"));
            assert!(is_requested());
        });
        check().expect("the work is over");
    }
}
