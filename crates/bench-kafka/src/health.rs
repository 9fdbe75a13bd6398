//! Tracks whether a client reaches its brokers.
//!
//! Each state is logged once, however many clients and retries encounter it, and again after it has
//! changed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::connection_error::ConnectionError;

/// The text for all brokers being unreachable.
const OUTAGE: &str = "all brokers are down";

/// What the clients of this process have logged since a broker last answered.
static LOGGED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Whether nothing of this `kind` has been logged since a broker last answered; from now on, it
/// counts as logged.
pub(crate) fn is_news(kind: impl Into<String>) -> bool {
    lock(&LOGGED).insert(kind.into())
}

/// Whether the ongoing outage of all brokers has been logged; errors during it need no log line of
/// their own.
pub(crate) fn is_outage_logged() -> bool {
    lock(&LOGGED).contains(OUTAGE)
}

/// The state of a client's connections, as far as the client knows.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Copy of the state that is cheap enough to read for every batch.
    is_down: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The last connection error.
    connection_error: Option<ConnectionError>,
    down_since: Option<Instant>,
}

impl Health {
    /// Records a connection error.
    pub(crate) fn record_error(&self, connection_error: ConnectionError) {
        lock(&self.state).connection_error = Some(connection_error);
    }

    /// The last connection error.
    pub(crate) fn last_error(&self) -> Option<ConnectionError> {
        lock(&self.state).connection_error.clone()
    }

    /// Records that no broker is reachable any more.
    pub(crate) fn lost_all_brokers(&self) {
        let mut state = lock(&self.state);
        state.down_since.get_or_insert_with(Instant::now);
        self.is_down.store(true, Ordering::Relaxed);
        if is_news(OUTAGE) {
            tracing::warn!("{}; trying to reconnect", outage(&state));
        }
    }

    /// Records that a broker has answered.
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

    /// Why no broker is reachable; `None` if one is.
    pub(crate) fn outage(&self) -> Option<String> {
        self.is_down().then(|| outage(&lock(&self.state)))
    }

    /// Why no broker has been reachable for at least `duration`.
    pub(crate) fn lasting_outage(&self, duration: Duration) -> Option<String> {
        let since = lock(&self.state).down_since?;
        (since.elapsed() >= duration).then(|| self.outage()).flatten()
    }
}

fn outage(state: &State) -> String {
    match &state.connection_error {
        Some(connection_error) => format!("{OUTAGE} ({connection_error})"),
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
    fn outages_name_the_last_error_until_an_answer() {
        let health = Health::default();
        let refused =
            "b:9092/1: Connect to ipv4#1.2.3.4:9092 failed: Connection refused (after 0ms)";
        health.record_error(ConnectionError::new(refused));
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
