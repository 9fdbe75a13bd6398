//! Detects requests that queue on the connections to the brokers, from librdkafka's statistics.
//!
//! A client with many requests in flight can send faster than a broker answers; latencies then show
//! the queue between the two. The round trip of a single request shows what they would be without
//! it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

/// Minimum unanswered requests on one connection to count as a queue: twice the default limit, with
/// which queues are never worth a warning.
const QUEUE_MIN: u64 = 10;

/// Minimum ratio of a queued request's time to that of a single one. Without a queue, parallel
/// requests to a distant broker take no longer than one alone.
const SLOWDOWN_MIN: u64 = 10;

/// The relevant part of librdkafka's statistics (see its `STATISTICS.md`).
#[derive(Deserialize)]
struct Statistics {
    brokers: BTreeMap<String, BrokerStatistics>,
}

#[derive(Deserialize)]
struct BrokerStatistics {
    /// Requests waiting to be sent.
    outbuf_cnt: i64,
    /// Requests waiting for a response.
    waitresp_cnt: i64,
    /// Time that requests waited to be sent.
    outbuf_latency: LatencyWindow,
    /// Time until responses arrived.
    rtt: LatencyWindow,
}

/// Durations since the last statistics, microseconds.
#[derive(Deserialize)]
struct LatencyWindow {
    min: i64,
    avg: i64,
    cnt: i64,
}

/// Accumulates the statistics of one producer.
#[derive(Debug, Default)]
pub(crate) struct RequestWatch {
    /// Answered requests.
    answered: u64,
    /// Minimum time of a request while there was no other, microseconds.
    round_trip_us: Option<u64>,
    /// Minimum time of all requests. Sometimes too low, since librdkafka records the sending late.
    quickest_us: Option<u64>,
    /// Requests answered while others queued.
    queued: u64,
    /// Total time of these.
    queued_us: u64,
    /// Maximum unanswered requests on one connection.
    unanswered_max: u64,
}

impl RequestWatch {
    /// Records the time of a request while there was no other.
    pub(crate) fn note_round_trip(&mut self, round_trip: Duration) {
        let round_trip_us = u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX);
        self.round_trip_us =
            Some(self.round_trip_us.map_or(round_trip_us, |us| us.min(round_trip_us)));
    }

    /// Adds statistics; ignores any that cannot be parsed.
    pub(crate) fn note(&mut self, json: &str) {
        match serde_json::from_str::<Statistics>(json) {
            Ok(statistics) => statistics.brokers.values().for_each(|broker| self.add(broker)),
            Err(error) => tracing::debug!("statistics of librdkafka: {error}"),
        }
    }

    fn add(&mut self, broker: &BrokerStatistics) {
        let number = |number: i64| u64::try_from(number).unwrap_or(0);
        let answered = number(broker.rtt.cnt);
        if answered == 0 {
            return;
        }
        self.answered += answered;
        let quickest_us = number(broker.rtt.min);
        self.quickest_us = Some(self.quickest_us.map_or(quickest_us, |us| us.min(quickest_us)));
        let unanswered = number(broker.outbuf_cnt) + number(broker.waitresp_cnt);
        if unanswered >= QUEUE_MIN {
            let took_us = number(broker.outbuf_latency.avg) + number(broker.rtt.avg);
            self.queued += answered;
            self.queued_us = self.queued_us.saturating_add(answered.saturating_mul(took_us));
            self.unanswered_max = self.unanswered_max.max(unanswered);
        }
    }

    /// A warning if most requests queued and took far longer than the quickest.
    pub(crate) fn warning(&self) -> Option<String> {
        let single_us = self.quickest_us?.max(self.round_trip_us.unwrap_or(0)).max(1);
        if self.queued * 2 <= self.answered {
            return None;
        }
        let took_us = self.queued_us / self.queued;
        (took_us >= SLOWDOWN_MIN.saturating_mul(single_us)).then(|| {
            format!(
                "requests queued between client and broker: up to {} were in flight on one \
                 connection and took {:.1} ms on average, a single one {:.1} ms; latencies show \
                 that queue rather than the broker: lower --requests-in-flight \
                 (max.in.flight.requests.per.connection)",
                self.unanswered_max,
                took_us as f64 / 1e3,
                single_us as f64 / 1e3,
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Statistics as librdkafka writes them, abridged.
    fn statistics(answered: u64, rtt_us: (u64, u64), waiting: u64, unanswered: u64) -> String {
        let (min_us, avg_us) = rtt_us;
        format!(
            r#"{{"name": "rdkafka#producer-1", "brokers": {{
                "localhost:9092/bootstrap": {{"outbuf_cnt": 0, "waitresp_cnt": 0,
                    "outbuf_latency": {{"min": 0, "avg": 0, "cnt": 0}},
                    "rtt": {{"min": 0, "max": 0, "avg": 0, "cnt": 0}}}},
                "localhost:9092/1": {{"state": "UP", "outbuf_cnt": {waiting},
                    "waitresp_cnt": {unanswered}, "int_latency": {{"avg": 9000000, "cnt": 7}},
                    "outbuf_latency": {{"min": 1, "avg": 100, "cnt": {answered}}},
                    "rtt": {{"min": {min_us}, "max": 1, "avg": {avg_us}, "cnt": {answered}}}}}
            }}, "topics": {{"t": {{"partitions": {{}}}}}}}}"#
        )
    }

    fn warning(windows: &[String]) -> Option<String> {
        let mut watch = RequestWatch::default();
        // Of several, the quickest counts.
        for us in [90_000, 400] {
            watch.note_round_trip(Duration::from_micros(us));
        }
        for json in windows {
            watch.note(json);
        }
        watch.warning()
    }

    #[test]
    fn slow_queued_requests_cause_a_warning() {
        let text = warning(&[
            // No response can arrive within two microseconds.
            statistics(100, (2, 900), 0, 8),
            statistics(10_000, (150_000, 209_000), 20, 1_980),
        ]);
        let text = text.expect("a warning");
        assert!(text.contains("up to 2000 were in flight"), "{text}");
        assert!(text.contains("took 209.1 ms on average"), "{text}");
        assert!(text.contains("a single one 0.4 ms"), "{text}");
        assert!(text.contains("lower --requests-in-flight"), "{text}");
    }

    #[test]
    fn default_limits_never_warn() {
        // Full speed: each response waits for those of four large batches before it.
        let limit = u64::from(crate::config::REQUESTS_IN_FLIGHT_DEFAULT);
        assert_eq!(warning(&[statistics(1_000, (200, 90_000), 1, limit)]), None);
    }

    #[test]
    fn parallel_requests_to_distant_brokers_never_warn() {
        assert_eq!(warning(&[statistics(1_000, (50_000, 55_000), 0, 60)]), None);
    }

    #[test]
    fn queues_of_few_requests_never_warn() {
        let windows = [statistics(1_000, (400, 900), 0, 1), statistics(900, (400, 90_000), 0, 300)];
        assert_eq!(warning(&windows), None);
    }

    #[test]
    fn empty_or_malformed_statistics_are_ignored() {
        let negative =
            statistics(10, (400, 900), 0, 1).replace("\"outbuf_cnt\": 0", "\"outbuf_cnt\": -1");
        for json in ["", "{}", "[1]", &negative, &statistics(0, (0, 0), 0, 50)] {
            assert_eq!(warning(&[json.to_owned()]), None, "{json}");
        }
    }
}
