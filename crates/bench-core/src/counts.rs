//! System-specific counts: throttled requests, rewritten rows, and anything else that shows how
//! hard a run was on its system.
//!
//! An adapter takes a [`Count`] for each name when it connects and adds to it without a lock; the
//! tool keeps the [`Counts`], which end up in `run.json` under their names.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The counts of a run, shared by all of its connections.
#[derive(Debug, Clone, Default)]
pub struct Counts(Arc<Mutex<BTreeMap<&'static str, Count>>>);

/// One count, shared by everyone who asked for the same name.
#[derive(Debug, Clone, Default)]
pub struct Count(Arc<AtomicU64>);

impl Counts {
    /// The count with this name, starting at 0. Names are in snake case and begin with what is
    /// counted: `records_throttled`. Once requested, it appears in `run.json` even if it stays 0.
    #[must_use]
    pub fn count(&self, name: &'static str) -> Count {
        // Nothing that holds the lock can panic halfway.
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.entry(name).or_default().clone()
    }

    /// All counts so far, by name.
    #[must_use]
    pub fn read(&self) -> BTreeMap<String, u64> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|(name, count)| ((*name).to_owned(), count.get())).collect()
    }
}

impl Count {
    /// Adds `more` to the count.
    pub fn add(&self, more: u64) {
        // It orders nothing else: results are read after the workers have ended.
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// The count so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_with_one_name_share_a_count() {
        let counts = Counts::default();
        let (first, second) = (counts.count("records_throttled"), counts.clone());
        first.add(3);
        second.count("records_throttled").add(4);
        let _ = counts.count("rows_retried");
        let expected = [("records_throttled", 7), ("rows_retried", 0)];
        assert_eq!(counts.read(), expected.map(|(name, n)| (name.to_owned(), n)).into());
    }
}
