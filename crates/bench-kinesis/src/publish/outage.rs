//! Tracks whether the service answers, and for how long it has not.

use bench_core::clock::{InstantNs, SECOND_NS};

/// Time without any answer to pending requests that counts as an outage: many times the duration of
/// a request.
const SILENCE_NS: u64 = 2 * SECOND_NS;

/// Tracks the service's answers.
pub(super) struct OutageWatch {
    /// The service's address.
    address: String,
    /// The instant of the last answer, or of the first request since then.
    quiet_since_ns: InstantNs,
    /// Why the last completed request got no answer.
    failure: Option<String>,
}

impl OutageWatch {
    pub(super) fn new(address: String) -> Self {
        Self { address, quiet_since_ns: 0, failure: None }
    }

    /// Records a request, with this many others in flight.
    pub(super) fn asked(&mut self, now_ns: InstantNs, in_flight: usize) {
        if in_flight == 0 {
            self.quiet_since_ns = now_ns;
        }
    }

    /// Records an answer, of any kind.
    pub(super) fn answered(&mut self, at_ns: InstantNs) {
        self.quiet_since_ns = self.quiet_since_ns.max(at_ns);
        self.failure = None;
    }

    /// Records a request that ended without an answer.
    pub(super) fn failed(&mut self, reason: &str) {
        self.failure = Some(reason.to_owned());
    }

    /// Describes the outage, if there is one, with this many requests in flight.
    pub(super) fn describe(&self, now_ns: InstantNs, in_flight: usize) -> Option<String> {
        let address = &self.address;
        if let Some(reason) = &self.failure {
            return Some(format!("{address} does not answer: {reason}"));
        }
        let quiet_ns = now_ns.saturating_sub(self.quiet_since_ns);
        (in_flight > 0 && quiet_ns > SILENCE_NS).then(|| {
            format!("{address} has not answered for {:.1} s", quiet_ns as f64 / SECOND_NS as f64)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outages_last_until_an_answer() {
        let mut watch = OutageWatch::new("http://there:1".to_owned());
        watch.asked(SECOND_NS, 0);
        watch.asked(9 * SECOND_NS, 1);
        assert_eq!(watch.describe(3 * SECOND_NS, 2), None);
        let silent = "http://there:1 has not answered for 3.5 s";
        assert_eq!(watch.describe(9 * SECOND_NS / 2, 2).as_deref(), Some(silent));
        watch.answered(4 * SECOND_NS);
        assert_eq!(watch.describe(9 * SECOND_NS / 2, 1), None);
        watch.failed("no answer in time");
        let failed = "http://there:1 does not answer: no answer in time";
        assert_eq!(watch.describe(5 * SECOND_NS, 0).as_deref(), Some(failed));
        watch.answered(6 * SECOND_NS);
        assert_eq!(watch.describe(100 * SECOND_NS, 0), None, "no request is pending");
    }
}
