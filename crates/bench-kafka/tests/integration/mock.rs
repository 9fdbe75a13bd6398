//! librdkafka's mock cluster, and clients of it that react quickly.

use bench_kafka::config::KafkaConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

/// The only topic.
pub(crate) const TOPIC: &str = "t";

pub(crate) type Cluster = MockCluster<'static, DefaultProducerContext>;

/// One broker, with the topic in one partition.
pub(crate) fn cluster() -> Cluster {
    let cluster = MockCluster::new(1).expect("a mock cluster");
    cluster.create_topic(TOPIC, 1, 1).expect("created");
    cluster
}

/// A client's configuration, overridden by `settings`.
pub(crate) fn config(cluster: &Cluster, settings: &[(&str, &str)]) -> KafkaConfig {
    let mut config = KafkaConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers());
    // Frequent retries reveal an outage sooner.
    config.set("reconnect.backoff.max.ms", "200");
    config.set("fetch.wait.max.ms", "20");
    for (name, value) in settings {
        config.set(name, *value);
    }
    config
}
