//! Work on a stack that ends when somebody has had enough of it.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::LocalError;

thread_local! {
    /// What interrupts the work of this thread.
    static FLAG: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
}

/// Does `work`, in which everything that waits for a server, a program, a download or a lock ends with
/// [`LocalError::Interrupted`] as soon as `flag` is true. What has been started by then is ended.
///
/// Stopping a stack is not broken off, but done without waiting for servers to end by themselves.
pub fn interruptible<T>(flag: &Arc<AtomicBool>, work: impl FnOnce() -> T) -> T {
    let _restored = Restored(FLAG.replace(Some(Arc::clone(flag))));
    work()
}

/// What interrupts this thread, for a thread that works for it.
pub(super) fn current() -> Arc<AtomicBool> {
    FLAG.with_borrow(Clone::clone).unwrap_or_default()
}

/// Whether the work of this thread is to end.
pub(super) fn is_requested() -> bool {
    FLAG.with_borrow(|flag| flag.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed)))
}

/// An error if the work of this thread is to end.
pub(super) fn check() -> Result<(), LocalError> {
    if is_requested() { Err(LocalError::Interrupted) } else { Ok(()) }
}

/// Puts back what was in force before, however the work ends.
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
    fn only_the_work_of_the_thread_is_interrupted() {
        let flag = Arc::new(AtomicBool::new(true));
        interruptible(&flag, || {
            assert!(matches!(check(), Err(LocalError::Interrupted)));
            interruptible(&Arc::default(), || check().expect("its own flag"));
            assert!(is_requested());
        });
        check().expect("the work is over");
    }
}
