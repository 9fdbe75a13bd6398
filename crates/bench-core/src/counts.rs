//! System-specific counts: throttled requests, rewritten rows, and anything else that shows how
//! hard a run was on its system; and gauges, such as a backlog.
//!
//! An adapter takes a [`Count`] or a [`Gauge`] for each name when it connects and changes it without
//! a lock; the tool keeps the [`Counts`]. Counts end up in `run.json` under their names, counts and
//! gauges in the columns of `intervals.csv`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The counts of a run, shared by all of its connections.
#[derive(Debug, Clone, Default)]
pub struct Counts(Arc<Mutex<Named>>);

#[derive(Debug, Default)]
struct Named {
    counts: BTreeMap<&'static str, Count>,
    gauges: BTreeMap<&'static str, Gauge>,
}

/// One count, shared by everyone who asked for the same name.
#[derive(Debug, Clone, Default)]
pub struct Count(Arc<AtomicU64>);

/// A value that goes up and down, shared by everyone who asked for the same name.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<AtomicU64>);

impl Counts {
    /// The count with this name, starting at 0. Names are in snake case and begin with what is
    /// counted: `records_throttled`. Once requested, it appears in `run.json` even if it stays 0.
    ///
    /// Ask for it before the run starts: a name unknown by then gets no column in `intervals.csv`.
    #[must_use]
    pub fn count(&self, name: &'static str) -> Count {
        self.named().counts.entry(name).or_default().clone()
    }

    /// The gauge with this name, starting at 0; what holds for the names of counts holds for it.
    #[must_use]
    pub fn gauge(&self, name: &'static str) -> Gauge {
        self.named().gauges.entry(name).or_default().clone()
    }

    /// All counts so far, by name.
    #[must_use]
    pub fn read(&self) -> BTreeMap<String, u64> {
        let named = self.named();
        named.counts.iter().map(|(name, count)| ((*name).to_owned(), count.get())).collect()
    }

    /// The names requested so far: counts, then gauges, each sorted.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        let named = self.named();
        named.counts.keys().chain(named.gauges.keys()).copied().collect()
    }

    /// The counts and the gauges at this moment.
    pub(crate) fn now(&self) -> CountsNow {
        let named = self.named();
        CountsNow {
            counts: named.counts.iter().map(|(&name, count)| (name, count.get())).collect(),
            gauges: named.gauges.iter().map(|(&name, gauge)| (name, gauge.get())).collect(),
        }
    }

    fn named(&self) -> MutexGuard<'_, Named> {
        // Nothing that holds the lock can panic halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts and gauges at one moment, by name.
#[derive(Debug, Default)]
pub(crate) struct CountsNow {
    counts: BTreeMap<&'static str, u64>,
    gauges: BTreeMap<&'static str, u64>,
}

impl CountsNow {
    /// Adds to an interval by how much each count has grown since `earlier`, and sets each gauge to
    /// its present value.
    pub(crate) fn show_since(&self, earlier: &Self, interval: &mut BTreeMap<&'static str, u64>) {
        for (&name, now) in &self.counts {
            *interval.entry(name).or_default() += now - earlier.counts.get(name).unwrap_or(&0);
        }
        interval.extend(&self.gauges);
    }
}

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
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

    #[test]
    fn intervals_show_growth_of_counts_and_values_of_gauges() {
        let counts = Counts::default();
        let (sent, backlog) = (counts.count("rows_sent"), counts.gauge("backlog"));
        sent.add(5);
        backlog.set(7);
        let earlier = counts.now();
        sent.add(2);
        backlog.set(3);
        let mut interval = [("rows_sent", 1), ("backlog", 9)].into();
        counts.now().show_since(&earlier, &mut interval);
        assert_eq!(interval, [("rows_sent", 3), ("backlog", 3)].into());
        assert_eq!(counts.names(), ["rows_sent", "backlog"]);
        assert_eq!(counts.read().len(), 1, "gauges are not counts of the run");
    }
}
