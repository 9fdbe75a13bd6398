//! The cluster of a run, embedded or the user's, and the topic on it.

use std::cell::RefCell;
use std::collections::BTreeMap;
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
use bench_services::embedded::{BACKLOG_MAX_BYTES, EmbeddedKafka, FETCH_WAIT_MS};
use bench_services::local;

use crate::clients::Target;
use crate::options::{From, TopicArgs};

/// The largest batch, and so the largest message, for the embedded broker. Two batches that exceed
/// together the 5 MiB that it keeps are both dropped when it holds nothing else.
const EMBEDDED_BATCH_MAX_BYTES: u64 = 2 << 20;

/// The session of a group's members on the embedded broker, which makes a group wait for all but a
/// second of it when a member comes after the first ones: by default 44 s.
const EMBEDDED_SESSION_MS: u32 = 3_000;

/// How long a consumer whose queue was full waits before it fetches again, milliseconds.
const FETCH_BACKOFF: &str = "fetch.queue.backoff.ms";

/// A cluster to run against.
pub(crate) struct Cluster {
    pub(crate) config: KafkaConfig,
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
    pub(crate) fn named_or_embedded(
        connection: &ConnectionArgs,
        shutdown: &Shutdown,
    ) -> Result<Self> {
        let mut config = connection.config("kafka-prodcon")?;
        if config.bootstrap_servers().is_some() {
            return Self::connect(config, None, connection, shutdown);
        }
        let embedded = EmbeddedKafka::start(1).context("failed to start the embedded broker")?;
        config.set("bootstrap.servers", embedded.bootstrap_servers());
        Self::connect(config, Some(embedded), connection, shutdown)
    }

    /// Connects to the cluster that is named; `mode` cannot use an embedded one.
    pub(crate) fn named(
        connection: &ConnectionArgs,
        mode: &str,
        shutdown: &Shutdown,
    ) -> Result<Self> {
        let config = connection.config("kafka-prodcon")?;
        if config.bootstrap_servers().is_none() {
            return Err(UsageError::new(
                "--bootstrap-servers",
                format!("{mode} needs a server, since the embedded one ends with its run"),
                "name one, here or in KAFKA_BOOTSTRAP_SERVERS or --properties",
            )
            .into());
        }
        Self::connect(config, None, connection, shutdown)
    }

    fn connect(
        config: KafkaConfig,
        embedded: Option<EmbeddedKafka>,
        connection: &ConnectionArgs,
        shutdown: &Shutdown,
    ) -> Result<Self> {
        let admin = shutdown.interruptible("connecting to Kafka", {
            let (config, timeout) = (config.clone(), connection.timeout);
            move || Admin::connect(&config, timeout)
        })??;
        let (admin, shutdown) = (Arc::new(admin), shutdown.clone());
        let embedded = embedded.map(RefCell::new);
        Ok(Self { config, admin, shutdown, embedded, connection: connection.clone() })
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

    /// A client's configuration: that of the connection, then the tool's `properties`, then the
    /// user's own settings, which always win.
    pub(crate) fn client(&self, properties: &[(&str, String)]) -> Result<KafkaConfig> {
        let mut config = self.config.clone();
        for (name, value) in properties {
            config.set(name, value.as_str());
        }
        self.connection.apply_settings(&mut config)?;
        Ok(config)
    }

    /// The same for a consumer, with what the embedded broker needs of one.
    pub(crate) fn consumer(&self, properties: &[(&str, String)]) -> Result<KafkaConfig> {
        let mut all = properties.to_vec();
        // The library's default of a second stalls a consumer that keeps up.
        if self.config.get(FETCH_BACKOFF).is_none() {
            all.push((FETCH_BACKOFF, "1".to_owned()));
        }
        if self.embedded.is_some() {
            all.push(("fetch.wait.max.ms", FETCH_WAIT_MS.to_string()));
            all.push(("session.timeout.ms", EMBEDDED_SESSION_MS.to_string()));
            all.push(("heartbeat.interval.ms", (EMBEDDED_SESSION_MS / 10).to_string()));
        }
        self.client(&all)
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

    /// How large a batch may be; `None` where the cluster itself says so.
    pub(crate) fn batch_max_bytes(&self) -> Option<u64> {
        self.embedded.as_ref().map(|_| EMBEDDED_BATCH_MAX_BYTES)
    }

    /// The service as results name it.
    pub(crate) fn service(&self) -> ServiceInfo {
        let address = self.admin.servers().to_owned();
        let name = "kafka".to_owned();
        if self.embedded.is_some() {
            let version = format!("librdkafka {} mock cluster", bench_kafka::library_version());
            return ServiceInfo { name, origin: ServiceOrigin::Embedded, address, version };
        }
        if let Some(local) = local::origin_of(&name, &address) {
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

    /// The settings of the user's that results record, without secrets.
    pub(crate) fn recorded_settings(&self) -> serde_json::Value {
        let settings: BTreeMap<String, String> = self.config.redacted();
        serde_json::json!(settings)
    }
}
