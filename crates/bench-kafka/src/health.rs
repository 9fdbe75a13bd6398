//! Whether a client reaches its brokers.
//!
//! A state is logged once, however many clients and retries run into it, and again after it has
//! changed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::complaint::Complaint;

/// What is said, and logged, of brokers that are all unreachable.
const OUTAGE: &str = "all brokers are down";

/// What the clients of this process have logged since the brokers last answered.
static LOGGED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Whether nothing of this `kind` has been logged since the brokers last answered.
pub(crate) fn is_news(kind: impl Into<String>) -> bool {
    lock(&LOGGED).insert(kind.into())
}

/// Whether it has been logged that all brokers are down, and none has answered since. What fails in
/// the meantime is no other state.
pub(crate) fn is_outage_logged() -> bool {
    lock(&LOGGED).contains(OUTAGE)
}

/// The connection of a client, as far as the client knows.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// The same as in the state, to be read for every batch.
    is_down: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The last error of a connection.
    complaint: Option<Complaint>,
    down_since: Option<Instant>,
}

impl Health {
    /// Takes in the last error of a connection.
    pub(crate) fn complain(&self, complaint: Complaint) {
        lock(&self.state).complaint = Some(complaint);
    }

    /// The last error of a connection.
    pub(crate) fn complaint(&self) -> Option<Complaint> {
        lock(&self.state).complaint.clone()
    }

    /// Notes that no broker is reachable any more.
    pub(crate) fn lost_all_brokers(&self) {
        let mut state = lock(&self.state);
        state.down_since.get_or_insert_with(Instant::now);
        self.is_down.store(true, Ordering::Relaxed);
        if is_news(OUTAGE) {
            tracing::warn!("{}; trying to reconnect", outage(&state));
        }
    }

    /// Notes that a broker has answered.
    pub(crate) fn answered(&self) {
        if self.is_down() {
            self.is_down.store(false, Ordering::Relaxed);
            lock(&self.state).down_since = None;
            let mut logged = lock(&LOGGED);
            if !logged.is_empty() {
                tracing::info!("a broker answers again");
                logged.clear();
            }
        }
    }

    /// Whether all brokers are unreachable.
    pub(crate) fn is_down(&self) -> bool {
        self.is_down.load(Ordering::Relaxed)
    }

    /// Why no broker is reachable, if none is.
    pub(crate) fn outage(&self) -> Option<String> {
        self.is_down().then(|| outage(&lock(&self.state)))
    }

    /// The same, once it has been so for `duration`.
    pub(crate) fn lasting_outage(&self, duration: Duration) -> Option<String> {
        let since = lock(&self.state).down_since?;
        (since.elapsed() >= duration).then(|| self.outage()).flatten()
    }
}

fn outage(state: &State) -> String {
    match &state.complaint {
        Some(complaint) => format!("{OUTAGE} ({complaint})"),
        None => OUTAGE.to_owned(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outages_name_the_last_complaint_until_an_answer() {
        let health = Health::default();
        let refused =
            "b:9092/1: Connect to ipv4#1.2.3.4:9092 failed: Connection refused (after 0ms)";
        health.complain(Complaint::new(refused));
        assert_eq!(health.outage(), None, "other brokers may be up");
        health.lost_all_brokers();
        let outage = "all brokers are down (b:9092: Connection refused)";
        assert_eq!(health.outage().as_deref(), Some(outage));
        assert_eq!(health.lasting_outage(Duration::ZERO).as_deref(), Some(outage));
        assert_eq!(health.lasting_outage(Duration::from_mins(1)), None);
        health.answered();
        assert_eq!((health.outage(), health.lasting_outage(Duration::ZERO)), (None, None));
    }
}
