//! The cluster of a run, embedded or the user's, and the topic on it.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result};
use bench_cli::{Interrupted, Shutdown, UsageError};
use bench_core::results::{ServiceInfo, ServiceOrigin};
use bench_kafka::StartOffset;
use bench_kafka::admin::{Admin, TopicOutcome};
use bench_kafka::config::KafkaConfig;
use bench_kafka::options::ConnectionArgs;
use bench_service_kafka::stand_in::{BACKLOG_MAX_BYTES, EmbeddedKafka};
use bench_stack::origin_of;

use crate::clients::Target;
use crate::options::{From, TopicArgs};
use crate::settings::Settings;

const SERVERS: &str = "bootstrap.servers";

/// A cluster to run against.
pub(crate) struct Cluster {
    /// Shared with calls that nobody waits for any more after an interrupt.
    admin: Arc<Admin>,
    shutdown: Shutdown,
    embedded: Option<RefCell<EmbeddedKafka>>,
    connection: ConnectionArgs,
}

/// What became of the wish for partitions.
pub(crate) struct PreparedTopic {
    pub(crate) partitions: u32,
    pub(crate) warning: Option<String>,
}

impl Cluster {
    /// Connects to the cluster that is named, or starts an embedded one.
    pub(crate) fn named_or_embedded(settings: &Settings, shutdown: &Shutdown) -> Result<Self> {
        if !settings.is_for_embedded() {
            return Self::connect(settings, settings.config.clone(), None, shutdown);
        }
        let embedded = EmbeddedKafka::start(1).context("failed to start the embedded broker")?;
        let mut config = settings.config.clone();
        config.set(SERVERS, embedded.bootstrap_servers());
        Self::connect(settings, config, Some(embedded), shutdown)
    }

    /// Connects to the cluster that is named; `mode` cannot use an embedded one.
    pub(crate) fn named(settings: &Settings, mode: &str, shutdown: &Shutdown) -> Result<Self> {
        if settings.is_for_embedded() {
            return Err(UsageError::new(
                "--bootstrap-servers",
                format!("{mode} needs a server, since the embedded one ends with its run"),
                "name one, here or in KAFKA_BOOTSTRAP_SERVERS or --properties",
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

    /// The settings of a client, with the servers to connect to.
    pub(crate) fn client(&self, config: &KafkaConfig) -> KafkaConfig {
        let mut config = config.clone();
        config.set_default(SERVERS, self.servers());
        config
    }

    /// The servers that clients connect to first.
    pub(crate) fn servers(&self) -> &str {
        self.admin.servers()
    }

    /// Asks the cluster something, and no longer waits for the answer after an interrupt, which was
    /// one while `doing`.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        doing: &'static str,
        call: impl FnOnce(&Admin) -> T + Send + 'static,
    ) -> Result<T, Interrupted> {
        let admin = Arc::clone(&self.admin);
        self.shutdown.interruptible(doing, move || call(&admin))
    }

    /// What its clients connect to, to use a topic of so many partitions.
    pub(crate) fn target(&self, partitions: u32) -> Target {
        let cluster = self.ask("asking for the cluster's size", Admin::cluster);
        let brokers = cluster.map_or(1, |cluster| cluster.map_or(1, |cluster| cluster.brokers));
        let is_embedded = self.embedded.is_some();
        Target { is_embedded, brokers: brokers.into(), partitions: partitions.into() }
    }

    /// How long connecting and the like may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.connection.timeout
    }

    /// Becomes true when the process of an embedded broker has ended.
    pub(crate) fn broker_ended(&self) -> Option<Arc<AtomicBool>> {
        self.embedded.as_ref().map(|embedded| embedded.borrow().ended())
    }

    /// How many bytes may be sent and not yet received; `None` for a broker that keeps what it has
    /// confirmed.
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
        let version = match self.ask("asking for the cluster's id", Admin::cluster) {
            Ok(Ok(cluster)) => format!(
                "cluster {} of {} broker(s)",
                cluster.id.as_deref().unwrap_or("without an id"),
                cluster.brokers
            ),
            _ => "unknown".to_owned(),
        };
        ServiceInfo { name, origin: ServiceOrigin::External, address, version }
    }

    /// Sees to it that the topic is there, with at least `wanted` partitions if that may be.
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
            self.ask("the topic was prepared", move |admin| {
                admin.ensure_topic(&topic, wanted, replication, may_extend)
            })
        };
        let outcome = match ensure(may_extend)? {
            // Not everyone may extend a topic, and not every one needs to be extended.
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
                    "topic '{topic}' has {have} partitions where {wanted} are needed for all \
                     producers and consumers to work at once"
                )),
            },
        })
    }

    /// Whether the topic is there and compacted. A cluster that does not tell is taken at its best.
    pub(crate) fn is_compacted(&self, topic: &str) -> Result<bool, Interrupted> {
        if self.embedded.is_some() {
            return Ok(false);
        }
        let topic = topic.to_owned();
        let compacted = self.ask("looking at the topic", move |admin| {
            admin.topic(&topic).and_then(|found| match found {
                Some(_) => admin.is_compacted(&topic),
                None => Ok(false),
            })
        })?;
        Ok(compacted.unwrap_or_else(|error| {
            tracing::debug!("whether the topic is compacted is not known: {error}");
            false
        }))
    }

    /// Refuses a compacted topic, on which an audit would count as lost what was superseded.
    pub(crate) fn refuse_compacted(&self, topic: &str) -> Result<()> {
        if !self.is_compacted(topic)? {
            return Ok(());
        }
        Err(UsageError::new(
            "--topic",
            format!(
                "topic '{topic}' is compacted: of messages with equal keys only the last is kept, \
                 and the others would count as lost"
            ),
            "name another topic, or set cleanup.policy=delete on this one",
        )
        .into())
    }

    /// The offsets at which reading begins, one a partition.
    pub(crate) fn starts(&self, topic: &str, from: From) -> Result<Vec<StartOffset>> {
        let topic = topic.to_owned();
        let watermarks =
            self.ask("looking for the ends of the topic", move |admin| admin.watermarks(&topic))??;
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
