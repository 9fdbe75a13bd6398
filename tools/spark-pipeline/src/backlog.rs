//! What the job has not read yet, for `intervals.csv`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use bench_core::counts::Gauge;

use crate::topics::{self, Topics};

/// Interval between looks at the ends of the topic.
const POLL: Duration = Duration::from_millis(250);

/// A thread that compares the ends of the topic with what the job has committed. It ends after the
/// next look once this is dropped, which nobody waits for: a broker may be down.
pub(crate) struct Backlog(Arc<AtomicBool>);

impl Backlog {
    pub(crate) fn follow(
        topics: Arc<Topics>,
        topic: String,
        reached: Arc<AtomicI64>,
        gauge: Gauge,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        std::thread::spawn(move || {
            while !stopping.load(Ordering::Relaxed) {
                // Without an answer the last value stays.
                if let Ok(ends) = topics.ends(&topic) {
                    let backlog = topics::total(&ends) - reached.load(Ordering::Relaxed);
                    gauge.set(backlog.max(0).unsigned_abs());
                }
                std::thread::sleep(POLL);
            }
        });
        Self(stop)
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
