//! How far a follower has come, for the one who receives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How far a follower has come in the log. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    /// One more than the newest version that is known to be there.
    known: AtomicU64,
    /// The version that is read next.
    next: AtomicU64,
    /// Files with new rows that have been found so far.
    files: AtomicU64,
}

impl Progress {
    /// This version is in the log.
    pub(super) fn sees(&self, version: u64) {
        self.0.known.fetch_max(version + 1, Ordering::Release);
    }

    /// So many files are to be read, and then the log from version `next` on.
    pub(super) fn finds(&self, files: usize, next: u64) {
        // The files first: in between there is rather too much than too little ahead.
        self.0.files.fetch_add(files as u64, Ordering::Release);
        self.0.known.fetch_max(next, Ordering::Release);
        self.0.next.store(next, Ordering::Release);
    }

    /// Whether there is more than what is in the first `files_read` files.
    pub(super) fn is_ahead_of(&self, files_read: u64) -> bool {
        let Counters { known, next, files } = self.0.as_ref();
        next.load(Ordering::Acquire) < known.load(Ordering::Acquire)
            || files_read < files.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_and_not_read_lies_ahead() {
        let progress = Progress::default();
        assert!(!progress.is_ahead_of(0), "nothing is known");
        progress.sees(4);
        assert!(progress.is_ahead_of(0), "versions that were listed");
        progress.finds(2, 4);
        assert!(progress.is_ahead_of(2));
        progress.finds(0, 5);
        assert!(progress.is_ahead_of(1), "a file that is still to be read");
        assert!(!progress.is_ahead_of(2));
        progress.sees(2);
        assert!(!progress.is_ahead_of(2), "an older version is nothing new");
    }
}
