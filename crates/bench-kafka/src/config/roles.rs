//! Selects the properties that apply to each kind of client. librdkafka warns about properties of
//! another kind, and an administrative client, which is a producer to it, would fail with
//! conflicting producer settings.

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
    /// The settings that apply to producers.
    #[must_use]
    pub fn of_producer(&self) -> Self {
        self.without(|name| OF_CONSUMERS.contains(&name))
    }

    /// The settings that apply to consumers, without statistics, which nothing reads.
    #[must_use]
    pub fn of_consumer(&self) -> Self {
        self.without(|name| OF_PRODUCERS.contains(&name) || name == STATISTICS_INTERVAL)
    }

    /// The settings that apply to all clients.
    #[must_use]
    pub(crate) fn of_admin(&self) -> Self {
        self.of_producer().of_consumer()
    }

    /// The settings of consumers, overridden by those that they depend on.
    #[must_use]
    pub fn in_force_for_consumers(&self) -> Self {
        let mut config = self.clone();
        // By default, the batch call treats the end of a partition as a message and stores an
        // offset that makes the group's next reader skip one message.
        config.set("enable.auto.offset.store", "false");
        // Only the ends of partitions show whether a message is missing or not read yet.
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
    fn role_names_are_canonical() {
        for name in OF_PRODUCERS.into_iter().chain(OF_CONSUMERS) {
            assert_eq!(canonical(name), name);
        }
    }

    #[test]
    fn each_client_gets_its_properties() {
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
