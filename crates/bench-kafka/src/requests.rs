//! Whether requests queue on their way to the brokers, judged by librdkafka's statistics.
//!
//! A client that may have many requests in flight sends faster than a broker answers, and the
//! latencies are then those of the queue between the two. The round trip of a single request shows
//! what they would be without it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

/// Unanswered requests on one connection from which on they count as queued: twice the default
/// limit, which never lets a queue grow that is worth a warning.
const QUEUE_MIN: u64 = 10;

/// How many times longer than a single one a queued request must take. Requests in parallel to a
/// distant broker take no longer than one alone.
const SLOWDOWN_MIN: u64 = 10;

/// The part of librdkafka's statistics that the rule needs (see its `STATISTICS.md`).
#[derive(Deserialize)]
struct Statistics {
    brokers: BTreeMap<String, Broker>,
}

#[derive(Deserialize)]
struct Broker {
    /// Requests that wait to be sent.
    outbuf_cnt: i64,
    /// Requests that wait for their answer.
    waitresp_cnt: i64,
    /// How long requests waited to be sent.
    outbuf_latency: Window,
    /// How long answers took.
    rtt: Window,
}

/// Times since the last statistics, microseconds.
#[derive(Deserialize)]
struct Window {
    min: i64,
    avg: i64,
    cnt: i64,
}

/// What the statistics of one producer have shown up to now.
#[derive(Debug, Default)]
pub(crate) struct RequestWatch {
    /// Requests that were answered.
    answered: u64,
    /// How long a request takes at least while there is no other, microseconds.
    round_trip_us: Option<u64>,
    /// How long the quickest took. Too little now and then: librdkafka notes the sending late.
    quickest_us: Option<u64>,
    /// Requests that were answered while others queued.
    queued: u64,
    /// How long these took together.
    queued_us: u64,
    /// The most that were unanswered on one connection.
    unanswered_max: u64,
}

impl RequestWatch {
    /// Notes how long a request took while there was no other.
    pub(crate) fn note_round_trip(&mut self, round_trip: Duration) {
        let round_trip_us = u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX);
        self.round_trip_us =
            Some(self.round_trip_us.map_or(round_trip_us, |us| us.min(round_trip_us)));
    }

    /// Takes in statistics. What is not understood is left out.
    pub(crate) fn note(&mut self, json: &str) {
        match serde_json::from_str::<Statistics>(json) {
            Ok(statistics) => statistics.brokers.values().for_each(|broker| self.add(broker)),
            Err(error) => tracing::debug!("statistics of librdkafka: {error}"),
        }
    }

    fn add(&mut self, broker: &Broker) {
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

    /// The warning, if most requests queued and took far longer than the quickest.
    pub(crate) fn warning(&self) -> Option<String> {
        let single_us = self.quickest_us?.max(self.round_trip_us.unwrap_or(0)).max(1);
        if self.queued * 2 <= self.answered {
            return None;
        }
        let took_us = self.queued_us / self.queued;
        (took_us >= SLOWDOWN_MIN.saturating_mul(single_us)).then(|| {
            format!(
                "requests queued between client and broker: up to {} were unanswered on one \
                 connection and took {:.1} ms on average, where a single one takes {:.1} ms; \
                 latencies show that queue rather than the broker: lower --requests-in-flight \
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

    /// Statistics as librdkafka writes them, as far as they matter here.
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
    fn queued_requests_that_take_far_longer_are_named() {
        let text = warning(&[
            // No answer comes within two microseconds.
            statistics(100, (2, 900), 0, 8),
            statistics(10_000, (150_000, 209_000), 20, 1_980),
        ]);
        let text = text.expect("a warning");
        assert!(text.contains("up to 2000 were unanswered"), "{text}");
        assert!(text.contains("took 209.1 ms on average"), "{text}");
        assert!(text.contains("a single one takes 0.4 ms"), "{text}");
        assert!(text.contains("lower --requests-in-flight"), "{text}");
    }

    #[test]
    fn the_default_limit_never_warns() {
        // Full speed: each answer waits for those of four large batches before it.
        let limit = u64::from(crate::config::REQUESTS_IN_FLIGHT_DEFAULT);
        assert_eq!(warning(&[statistics(1_000, (200, 90_000), 1, limit)]), None);
    }

    #[test]
    fn many_requests_to_a_distant_broker_are_no_queue() {
        assert_eq!(warning(&[statistics(1_000, (50_000, 55_000), 0, 60)]), None);
    }

    #[test]
    fn a_queue_that_most_requests_did_not_see_is_left_out() {
        let windows = [statistics(1_000, (400, 900), 0, 1), statistics(900, (400, 90_000), 0, 300)];
        assert_eq!(warning(&windows), None);
    }

    #[test]
    fn statistics_without_requests_or_sense_are_left_out() {
        let negative =
            statistics(10, (400, 900), 0, 1).replace("\"outbuf_cnt\": 0", "\"outbuf_cnt\": -1");
        for json in ["", "{}", "[1]", &negative, &statistics(0, (0, 0), 0, 50)] {
            assert_eq!(warning(&[json.to_owned()]), None, "{json}");
        }
    }
}
