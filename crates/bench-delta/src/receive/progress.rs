//! A follower's progress, for its receiver.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How far a follower has got in the log. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    /// The newest known version, plus one.
    known: AtomicU64,
    /// The next version to read.
    next: AtomicU64,
    /// Files with new rows found so far.
    files: AtomicU64,
}

impl Progress {
    /// Records that the log has this version.
    pub(super) fn sees(&self, version: u64) {
        self.0.known.fetch_max(version + 1, Ordering::Release);
    }

    /// Records files to read, and the version from which the log is read next.
    pub(super) fn finds(&self, files: usize, next: u64) {
        // Files first: in between, the count of what lies ahead is too high rather than too low.
        self.0.files.fetch_add(files as u64, Ordering::Release);
        self.0.known.fetch_max(next, Ordering::Release);
        self.0.next.store(next, Ordering::Release);
    }

    /// Whether there is more than the first `files_read` files.
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
    fn known_unread_versions_are_ahead() {
        let progress = Progress::default();
        assert!(!progress.is_ahead_of(0), "nothing is known yet");
        progress.sees(4);
        assert!(progress.is_ahead_of(0), "listed versions");
        progress.finds(2, 4);
        assert!(progress.is_ahead_of(2));
        progress.finds(0, 5);
        assert!(progress.is_ahead_of(1), "an unread file");
        assert!(!progress.is_ahead_of(2));
        progress.sees(2);
        assert!(!progress.is_ahead_of(2), "an older version is not new");
    }
}
