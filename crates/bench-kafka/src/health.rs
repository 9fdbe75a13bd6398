//! Whether a client reaches its brokers.
//!
//! A state is logged once, however many clients and retries run into it, and again after it has
//! changed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
    /// The last error of a connection: `host:port: reason`.
    complaint: Option<String>,
    down_since: Option<Instant>,
}

impl Health {
    /// Takes in the last error of a connection, in librdkafka's words.
    pub(crate) fn complain(&self, reason: &str) {
        lock(&self.state).complaint = Some(short(reason));
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

/// librdkafka's words without what changes from one retry to the next: `host:port: reason`.
///
/// It writes `sasl_ssl://host:port/1: Connect to ipv4#host:port failed: Connection refused (after
/// 2ms in state CONNECT)`, and for a coordinator `GroupCoordinator: host:port: ...`.
pub(crate) fn short(line: &str) -> String {
    let line = line.split_once(" (after ").map_or(line, |(line, _)| line);
    let Some((mut broker, mut reason)) = line.split_once(": ") else { return line.to_owned() };
    if broker.ends_with("Coordinator") {
        (broker, reason) = reason.split_once(": ").unwrap_or((broker, reason));
    }
    let broker = broker.split_once("://").map_or(broker, |(_, address)| address);
    let broker = broker.split_once('/').map_or(broker, |(address, _)| address);
    let reason = reason.split_once(" failed: ").map_or(reason, |(_, reason)| reason);
    format!("{broker}: {reason}")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_of_one_failure_read_the_same() {
        for line in [
            "127.0.0.1:9092/1: Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT)",
            "sasl_ssl://127.0.0.1:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection refused \
             (after 7ms in state CONNECT, 3 identical error(s) suppressed)",
            "GroupCoordinator: 127.0.0.1:9092: Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after 1ms in state CONNECT)",
        ] {
            assert_eq!(short(line), "127.0.0.1:9092: Connection refused");
        }
        assert_eq!(short("b:9092/1: Disconnected (after 3ms in state UP)"), "b:9092: Disconnected");
        assert_eq!(short("1/1 brokers are down"), "1/1 brokers are down");
    }

    #[test]
    fn outages_name_the_last_complaint_until_an_answer() {
        let health = Health::default();
        let refused =
            "b:9092/1: Connect to ipv4#1.2.3.4:9092 failed: Connection refused (after 0ms)";
        health.complain(refused);
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
