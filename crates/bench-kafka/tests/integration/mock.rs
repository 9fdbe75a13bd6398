//! librdkafka's mock cluster, and clients of it that react quickly.

use std::ops::Deref;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use bench_kafka::config::KafkaConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

/// The only topic.
pub(crate) const TOPIC: &str = "t";

/// Read by mock clusters, written by the start of a process. A process inherits the connections
/// that a cluster has accepted, since librdkafka does not mark them close-on-exec, and would keep
/// them open after the broker has gone down.
static CONNECTIONS: RwLock<()> = RwLock::new(());

/// A mock cluster, during which no process is started.
pub(crate) struct Cluster {
    cluster: MockCluster<'static, DefaultProducerContext>,
    _no_processes: RwLockReadGuard<'static, ()>,
}

impl Deref for Cluster {
    type Target = MockCluster<'static, DefaultProducerContext>;

    fn deref(&self) -> &Self::Target {
        &self.cluster
    }
}

/// One broker, with the topic in one partition. At most one cluster per test.
pub(crate) fn cluster() -> Cluster {
    let no_processes = CONNECTIONS.read().unwrap_or_else(PoisonError::into_inner);
    let cluster = MockCluster::new(1).expect("a mock cluster");
    cluster.create_topic(TOPIC, 1, 1).expect("created");
    Cluster { cluster, _no_processes: no_processes }
}

/// Starts a process while there is no mock cluster.
pub(crate) fn start_process<T>(start: impl FnOnce() -> T) -> T {
    let _no_clusters = CONNECTIONS.write().unwrap_or_else(PoisonError::into_inner);
    start()
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
