//! Which client a property is for. librdkafka warns of those that another kind of client has, and an
//! administrative one, which is a producer to it, would fail by a producer's settings.

use super::{KafkaConfig, STATISTICS_INTERVAL};
use crate::native::PARTITION_EOF;

const OF_PRODUCERS: [&str; 20] = [
    "acks",
    "batch.num.messages",
    "batch.size",
    "compression.level",
    "compression.type",
    "delivery.report.only.error",
    "delivery.timeout.ms",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "linger.ms",
    "partitioner",
    "queue.buffering.backpressure.threshold",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "queuing.strategy",
    "request.timeout.ms",
    "retries",
    "sticky.partitioning.linger.ms",
    "transaction.timeout.ms",
    "transactional.id",
];

const OF_CONSUMERS: [&str; 27] = [
    "auto.commit.enable",
    "auto.commit.interval.ms",
    "auto.offset.reset",
    "check.crcs",
    "consume.callback.max.messages",
    "coordinator.query.interval.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.partition.eof",
    "fetch.error.backoff.ms",
    "fetch.max.bytes",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "group.protocol.type",
    "group.remote.assignor",
    "heartbeat.interval.ms",
    "isolation.level",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "partition.assignment.strategy",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "session.timeout.ms",
];

impl KafkaConfig {
    /// What of these settings concerns a producer.
    #[must_use]
    pub fn of_producer(&self) -> Self {
        self.without(|name| OF_CONSUMERS.contains(&name))
    }

    /// What of these settings concerns a consumer, whose statistics nobody reads.
    #[must_use]
    pub fn of_consumer(&self) -> Self {
        self.without(|name| OF_PRODUCERS.contains(&name) || name == STATISTICS_INTERVAL)
    }

    /// What of these settings concerns any client.
    #[must_use]
    pub fn of_admin(&self) -> Self {
        self.of_producer().of_consumer()
    }

    /// What a consumer gets: these settings, and over them those that it cannot do without.
    #[must_use]
    pub fn in_force_for_consumers(&self) -> Self {
        let mut config = self.clone();
        // Left to itself, the batch call takes the end of a partition for a message, and stores an
        // offset that a group's next reader would go on from one message too late.
        config.set("enable.auto.offset.store", "false");
        // Whether something is missing or only not read yet is known at the ends of partitions.
        config.set(PARTITION_EOF, "true");
        config
    }

    fn without(&self, is_left_out: impl Fn(&str) -> bool) -> Self {
        let mut config = self.clone();
        config.properties.retain(|name, _| !is_left_out(name));
        config
    }
}

#[cfg(test)]
mod tests {
    use super::super::canonical;
    use super::*;

    #[test]
    fn names_are_those_under_which_properties_are_kept() {
        for name in OF_PRODUCERS.into_iter().chain(OF_CONSUMERS) {
            assert_eq!(canonical(name), name);
        }
    }

    #[test]
    fn each_client_gets_what_concerns_it() {
        let mut config = KafkaConfig::new();
        for (name, value) in [
            ("client.id", "c"),
            ("queue.buffering.max.ms", "1"),
            ("transactional.id", "t"),
            ("group.id", "g"),
            (STATISTICS_INTERVAL, "1"),
        ] {
            config.set(name, value);
        }
        let names = |config: KafkaConfig| config.redacted().into_keys().collect::<Vec<_>>();
        let automatic = "allow.auto.create.topics";
        assert_eq!(names(config.of_admin()), [automatic, "client.id"]);
        assert_eq!(names(config.of_consumer()), [automatic, "client.id", "group.id"]);
        let of_producer =
            [automatic, "client.id", "linger.ms", STATISTICS_INTERVAL, "transactional.id"];
        assert_eq!(names(config.of_producer()), of_producer);
    }
}
