//! Divides a paced producer's linger between the engine and librdkafka.
//!
//! A producer that wakes for each of 10,000 messages per second spends most of its CPU time on
//! waking. Messages that wait for others of their batch anyway may spend part of that time in the
//! engine, which then hands over several at once. librdkafka's own linger is shorter by that part,
//! so that batches leave at the same time as before and no message waits longer than configured.

use bench_core::transport::lingering_share_ns;

use crate::config::KafkaConfig;
use crate::publish::SendRate;

const LINGER: &str = "linger.ms";

/// librdkafka's default, milliseconds.
const LINGER_DEFAULT_MS: f64 = 5.0;

const BATCH_SIZE: &str = "batch.size";

/// librdkafka's default, bytes.
const BATCH_SIZE_DEFAULT: f64 = 1_000_000.0;

/// Shortens the producer's linger by the time that messages may spend in the engine, and returns
/// that time in nanoseconds: 0 if the producer would still wake for every message. Batches that
/// fill earlier linger for less.
pub(crate) fn share_linger(config: &mut KafkaConfig, rate: SendRate) -> u64 {
    let number = |name, default| config.get(name).map_or(Some(default), |text| text.parse().ok());
    // librdkafka rejects values that are not numbers.
    let Some(linger_ms) = number(LINGER, LINGER_DEFAULT_MS) else { return 0 };
    let Some(batch_bytes) = number(BATCH_SIZE, BATCH_SIZE_DEFAULT) else { return 0 };
    let full_after_ms = batch_bytes / rate.bytes_per_s * 1e3;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    let waits_ns = (linger_ms.min(full_after_ms) * 1e6) as u64;
    let share_ns = lingering_share_ns(waits_ns);
    let saves_waking = rate.messages_per_s * share_ns as f64 / 1e9 >= 1.0;
    if !saves_waking {
        return 0;
    }
    config.set(LINGER, (linger_ms - share_ns as f64 / 1e6).to_string());
    share_ns
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bench_core::clock::SystemClock;
    use bench_core::transport::Publish as _;
    use rdkafka::mocking::MockCluster;

    use super::*;
    use crate::publish::{KafkaPublisher, SendPlan};

    /// Messages of 100 bytes.
    const fn rate(messages_per_s: f64) -> SendRate {
        SendRate { messages_per_s, bytes_per_s: messages_per_s * 100.0 }
    }

    const MODEST: SendRate = rate(20_000.0);

    #[track_caller]
    fn check(settings: &[(&str, &str)], rate: SendRate, engine_ns: u64, client_ms: Option<&str>) {
        let mut config = KafkaConfig::new();
        for (name, value) in settings {
            config.set(name, *value);
        }
        assert_eq!(share_linger(&mut config, rate), engine_ns, "{settings:?}");
        assert_eq!(config.get(LINGER), client_ms, "{settings:?}");
    }

    #[test]
    fn engine_gets_a_tenth_of_the_linger() {
        check(&[], MODEST, 500_000, Some("4.5"));
        check(&[("linger.ms", "1")], MODEST, 100_000, Some("0.9"));
        check(&[("queue.buffering.max.ms", "0.5")], MODEST, 50_000, Some("0.45"));
    }

    #[test]
    fn engine_share_is_at_most_half_a_millisecond() {
        check(&[("linger.ms", "100")], MODEST, 500_000, Some("99.5"));
    }

    #[test]
    fn zero_linger_leaves_no_share() {
        check(&[("linger.ms", "0")], MODEST, 0, Some("0"));
        check(&[("linger.ms", "soon")], MODEST, 0, Some("soon"));
    }

    #[test]
    fn batches_that_fill_sooner_linger_less() {
        // A hundred messages of 100 bytes at 100,000 per second: full after 1 ms.
        check(&[("batch.size", "10000")], rate(1e5), 100_000, Some("4.9"));
    }

    #[test]
    fn sparse_messages_never_linger_in_the_engine() {
        check(&[], rate(2_000.0), 500_000, Some("4.5"));
        check(&[], rate(1_999.0), 0, None);
    }

    #[test]
    fn only_paced_producers_share_the_linger() {
        let cluster = MockCluster::new(1).expect("a mock cluster");
        cluster.create_topic("t", 1, 1).expect("a topic");
        let mut config = KafkaConfig::new();
        config.set("bootstrap.servers", cluster.bootstrap_servers());
        let lingering_ns = |rate| {
            let plan = SendPlan { rate, ..SendPlan::default() };
            let (clock, timeout) = (SystemClock::new(), Duration::from_secs(30));
            let publisher = KafkaPublisher::connect(&config, "t", clock, plan, timeout);
            publisher.expect("a producer").lingering_ns()
        };
        assert_eq!((lingering_ns(Some(MODEST)), lingering_ns(None)), (500_000, 0));
    }
}
