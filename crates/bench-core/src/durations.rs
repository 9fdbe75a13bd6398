//! Durations of a system's own work: a commit to a table, the upload of a file, and anything else
//! that explains message latencies.
//!
//! An adapter takes a [`DurationRecorder`] for each name when it connects and records a few samples
//! per second; the tool keeps the [`Durations`], which the engine divides into the intervals of the
//! run. Recording takes a lock, so do not use it per message.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::latency::LatencyHistogram;

/// Distributions by name.
pub type DurationHistograms = BTreeMap<&'static str, LatencyHistogram>;

/// The durations of a run, shared by all of its connections.
#[derive(Debug, Clone, Default)]
pub struct Durations(Arc<Mutex<BTreeMap<&'static str, DurationRecorder>>>);

/// Records one kind of duration, shared by everyone who asked for the same name.
#[derive(Clone, Default)]
pub struct DurationRecorder(Arc<Mutex<LatencyHistogram>>);

impl Durations {
    /// The recorder with this name. Names are in snake case, begin with what is timed and end with
    /// `_time`: `commit_time`. They become file and column names beside those of the latencies,
    /// whose names are taken.
    ///
    /// Ask for it before the run starts: a name unknown by then gets no columns in `intervals.csv`.
    #[must_use]
    pub fn named(&self, name: &'static str) -> DurationRecorder {
        self.recorders().entry(name).or_default().clone()
    }

    /// All names requested so far, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.recorders().keys().copied().collect()
    }

    /// Hands over everything recorded since the last call, by name.
    pub(crate) fn take(&self, mut taker: impl FnMut(&'static str, &LatencyHistogram)) {
        for (name, recorder) in &*self.recorders() {
            let mut recorded = recorder.recorded();
            if !recorded.is_empty() {
                taker(name, &recorded);
                recorded.clear();
            }
        }
    }

    fn recorders(&self) -> MutexGuard<'_, BTreeMap<&'static str, DurationRecorder>> {
        // Nothing that holds the lock can panic halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DurationRecorder {
    /// Records work that has just ended and took `duration_ns`.
    pub fn record(&self, duration_ns: u64) {
        self.recorded().record(i64::try_from(duration_ns).unwrap_or(i64::MAX));
    }

    fn recorded(&self) -> MutexGuard<'_, LatencyHistogram> {
        // Nothing that holds the lock can panic halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for DurationRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let samples = self.recorded().histogram().len();
        f.debug_struct("DurationRecorder").field("samples", &samples).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(durations: &Durations) -> Vec<(&'static str, u64, u64)> {
        let mut taken = Vec::new();
        durations.take(|name, recorded| {
            taken.push((name, recorded.histogram().len(), recorded.percentile_ns(100.0)));
        });
        taken
    }

    #[test]
    fn connections_with_one_name_share_a_recorder() {
        let durations = Durations::default();
        let (first, clone) = (durations.named("commit_time"), durations.clone());
        let second = clone.named("commit_time");
        std::thread::scope(|scope| {
            scope.spawn(|| (1..=500).for_each(|ns| first.record(ns)));
            scope.spawn(|| (501..=1_000).for_each(|ns| second.record(ns)));
        });
        let _ = durations.named("upload_time");
        assert_eq!(durations.names(), ["commit_time", "upload_time"]);
        assert_eq!(taken(&durations), [("commit_time", 1_000, 1_000)]);
        assert_eq!(taken(&durations), [], "samples are taken only once");
    }

    #[test]
    fn durations_beyond_the_range_are_counted() {
        let durations = Durations::default();
        durations.named("commit_time").record(u64::MAX);
        let mut beyond = 0;
        durations.take(|_, recorded| {
            beyond = recorded.summary().map_or(0, |summary| summary.beyond_range);
        });
        assert_eq!(beyond, 1);
    }
}
