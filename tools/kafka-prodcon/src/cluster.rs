//! The cluster of a run, embedded or the user's, and its topic.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result};
use bench_cli::{Interrupted, Shutdown, UsageError};
use bench_kafka::StartOffset;
use bench_kafka::admin::{Admin, TopicOutcome};
use bench_kafka::config::KafkaConfig;
use bench_kafka::options::ConnectionArgs;
use bench_record::{ServiceInfo, ServiceOrigin};
use bench_service_kafka::stand_in::{BACKLOG_MAX_BYTES, EmbeddedKafka};
use bench_stack::origin_of;

use crate::options::{From, TopicArgs};
use crate::settings::Settings;

const SERVERS: &str = "bootstrap.servers";

/// A cluster to run against.
pub(crate) struct Cluster {
    /// Shared with calls that an interrupt has abandoned.
    admin: Arc<Admin>,
    shutdown: Shutdown,
    embedded: Option<RefCell<EmbeddedKafka>>,
    connection: ConnectionArgs,
}

/// The size of a cluster and of the topic that clients use on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClusterSize {
    /// Whether it is an embedded broker, which slows producers down, so that little is ever queued.
    pub(crate) is_embedded: bool,
    pub(crate) brokers: u64,
    /// Partitions of the topic.
    pub(crate) partitions: u64,
}

impl ClusterSize {
    /// An embedded broker with a topic of this many partitions.
    pub(crate) fn embedded(partitions: u32) -> Self {
        Self { is_embedded: true, brokers: 1, partitions: partitions.into() }
    }
}

/// The topic's partitions, and a warning if there are too few.
pub(crate) struct PreparedTopic {
    pub(crate) partitions: u32,
    pub(crate) warning: Option<String>,
}

impl Cluster {
    /// Connects to the configured cluster, or starts an embedded one.
    pub(crate) fn named_or_embedded(settings: &Settings, shutdown: &Shutdown) -> Result<Self> {
        if !settings.is_for_embedded() {
            return Self::connect(settings, settings.config.clone(), None, shutdown);
        }
        let embedded = EmbeddedKafka::start(1).context("failed to start the embedded broker")?;
        let mut config = settings.config.clone();
        config.set(SERVERS, embedded.bootstrap_servers());
        Self::connect(settings, config, Some(embedded), shutdown)
    }

    /// Connects to the configured cluster; `mode` cannot use an embedded one.
    pub(crate) fn named(settings: &Settings, mode: &str, shutdown: &Shutdown) -> Result<Self> {
        if settings.is_for_embedded() {
            return Err(UsageError::new(
                "--bootstrap-servers",
                format!("{mode} needs a server: an embedded broker ends with its run"),
                "set it here, in KAFKA_BOOTSTRAP_SERVERS or in --properties",
            )
            .into());
        }
        Self::connect(settings, settings.config.clone(), None, shutdown)
    }

    fn connect(
        settings: &Settings,
        config: KafkaConfig,
        embedded: Option<EmbeddedKafka>,
        shutdown: &Shutdown,
    ) -> Result<Self> {
        let connection = settings.connection.clone();
        let timeout = connection.timeout;
        let admin = shutdown
            .interruptible("connecting to Kafka", move || Admin::connect(&config, timeout))??;
        let (admin, shutdown) = (Arc::new(admin), shutdown.clone());
        let embedded = embedded.map(RefCell::new);
        Ok(Self { admin, shutdown, embedded, connection })
    }

    /// Adds the cluster's servers to a client's settings.
    pub(crate) fn client(&self, config: &KafkaConfig) -> KafkaConfig {
        let mut config = config.clone();
        config.set_default(SERVERS, self.servers());
        config
    }

    /// The bootstrap servers.
    pub(crate) fn servers(&self) -> &str {
        self.admin.servers()
    }

    /// Calls the admin client and waits for the result; an interrupt ends the wait with an error
    /// that says `doing`.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        doing: &'static str,
        call: impl FnOnce(&Admin) -> T + Send + 'static,
    ) -> Result<T, Interrupted> {
        let admin = Arc::clone(&self.admin);
        self.shutdown.interruptible(doing, move || call(&admin))
    }

    /// The cluster's size, with a topic of this many partitions.
    pub(crate) fn target(&self, partitions: u32) -> ClusterSize {
        let cluster = self.ask("looking up the cluster's size", Admin::cluster);
        let brokers = cluster.map_or(1, |cluster| cluster.map_or(1, |cluster| cluster.brokers));
        let is_embedded = self.embedded.is_some();
        ClusterSize { is_embedded, brokers: brokers.into(), partitions: partitions.into() }
    }

    /// Timeout of connecting and of administrative operations.
    pub(crate) fn timeout(&self) -> Duration {
        self.connection.timeout
    }

    /// Becomes true when the process of an embedded broker has ended.
    pub(crate) fn broker_ended(&self) -> Option<Arc<AtomicBool>> {
        self.embedded.as_ref().map(|embedded| embedded.borrow().ended())
    }

    /// Maximum bytes sent and not yet received; `None` for a broker that keeps all acknowledged
    /// messages.
    pub(crate) fn backlog_max_bytes(&self) -> Option<u64> {
        self.embedded.as_ref().map(|_| BACKLOG_MAX_BYTES)
    }

    /// The service as results name it.
    pub(crate) fn service(&self) -> ServiceInfo {
        let address = self.servers().to_owned();
        let name = "kafka".to_owned();
        if self.embedded.is_some() {
            let version = format!("librdkafka {} mock cluster", bench_kafka::library_version());
            return ServiceInfo { name, origin: ServiceOrigin::Embedded, address, version };
        }
        if let Some(local) = origin_of(&name, &address) {
            return local;
        }
        let version = match self.ask("looking up the cluster's id", Admin::cluster) {
            Ok(Ok(cluster)) => format!(
                "cluster {} of {} broker(s)",
                cluster.id.as_deref().unwrap_or("without an id"),
                cluster.brokers
            ),
            _ => "unknown".to_owned(),
        };
        ServiceInfo { name, origin: ServiceOrigin::External, address, version }
    }

    /// Ensures that the topic exists, with at least `wanted` partitions if it may be extended.
    pub(crate) fn prepare_topic(&self, args: &TopicArgs, wanted: u32) -> Result<PreparedTopic> {
        let topic = args.topic.as_str();
        if let Some(embedded) = &self.embedded {
            let replication = args.replication_factor.unwrap_or(1);
            embedded.borrow_mut().create_topic(topic, wanted, replication)?;
            return Ok(PreparedTopic { partitions: wanted, warning: None });
        }
        let may_extend = !args.keep_partitions;
        let ensure = |may_extend| {
            let (topic, replication) = (args.topic.clone(), args.replication_factor);
            self.ask("preparing the topic", move |admin| {
                admin.ensure_topic(&topic, wanted, replication, may_extend)
            })
        };
        let outcome = match ensure(may_extend)? {
            // The user may lack the permission to extend a topic that has enough partitions.
            Err(error) if may_extend => {
                let again = ensure(false)?;
                match again {
                    Ok(TopicOutcome::TooFew { .. }) => {
                        tracing::warn!("topic '{topic}' was not extended: {error}");
                        again
                    }
                    _ => Err(error),
                }
            }
            outcome => outcome,
        }?;
        Ok(match outcome {
            TopicOutcome::Created => PreparedTopic { partitions: wanted, warning: None },
            TopicOutcome::Enough { partitions } => PreparedTopic { partitions, warning: None },
            TopicOutcome::Extended { from, to } => {
                tracing::info!("topic '{topic}' had {from} partitions and now has {to}");
                PreparedTopic { partitions: to, warning: None }
            }
            TopicOutcome::TooFew { have, wanted } => PreparedTopic {
                partitions: have,
                warning: Some(format!(
                    "topic '{topic}' has {have} partitions; {wanted} are needed to keep all \
                     producers and consumers busy"
                )),
            },
        })
    }

    /// Whether the topic exists and is compacted; false if the cluster does not reveal it.
    pub(crate) fn is_compacted(&self, topic: &str) -> Result<bool, Interrupted> {
        if self.embedded.is_some() {
            return Ok(false);
        }
        let topic = topic.to_owned();
        let compacted = self.ask("looking up the topic", move |admin| {
            admin.topic(&topic).and_then(|found| match found {
                Some(_) => admin.is_compacted(&topic),
                None => Ok(false),
            })
        })?;
        Ok(compacted.unwrap_or_else(|error| {
            tracing::debug!("cannot find out whether the topic is compacted: {error}");
            false
        }))
    }

    /// The settings of the topic and its brokers, as far as they tell.
    pub(crate) fn settings_in_force(
        &self,
        topic: &str,
    ) -> Result<BTreeMap<String, String>, Interrupted> {
        if self.embedded.is_some() {
            return Ok(BTreeMap::new());
        }
        let topic = topic.to_owned();
        let told =
            self.ask("reading the topic's settings", move |admin| admin.settings_in_force(&topic))?;
        Ok(told.unwrap_or_else(|error| {
            tracing::debug!("the settings of the topic are not recorded: {error}");
            BTreeMap::new()
        }))
    }

    /// Refuses a compacted topic, where superseded messages would count as lost.
    pub(crate) fn refuse_compacted(&self, topic: &str) -> Result<()> {
        if !self.is_compacted(topic)? {
            return Ok(());
        }
        Err(UsageError::new(
            "--topic",
            format!(
                "topic '{topic}' is compacted: only the last message per key is kept, and the \
                 others would count as lost"
            ),
            "use another topic, or set cleanup.policy=delete on this one",
        )
        .into())
    }

    /// The offsets at which reading starts, one per partition.
    pub(crate) fn starts(&self, topic: &str, from: From) -> Result<Vec<StartOffset>> {
        let topic = topic.to_owned();
        let watermarks =
            self.ask("looking up the ends of the topic", move |admin| admin.watermarks(&topic))??;
        let start = |marks: &bench_kafka::admin::PartitionWatermarks| StartOffset {
            partition: marks.partition,
            offset: match from {
                From::Beginning => marks.low,
                From::Latest => marks.high,
            },
            high: marks.high,
        };
        Ok(watermarks.iter().map(start).collect())
    }
}
