//! Administration of a Kafka cluster: lists topics and changes them.
//!
//! Every call blocks, at most for the timeout given to [`Admin::connect`]; calls that change a
//! topic return once the cluster's metadata shows the change.

mod connect;
mod offsets;
mod sample;
mod topics;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigEntry, ConfigSource, ResourceSpecifier};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError as LibraryError;
use rdkafka::metadata::{Metadata, MetadataBroker, MetadataTopic};
use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka::types::RDKafkaRespErr;

pub use offsets::PartitionWatermarks;
pub use sample::SampledMessage;
pub use topics::TopicOutcome;

use crate::answers::Subject;
use crate::config::KafkaConfig;
use crate::connection_error::ConnectionError;
use crate::error::{KafkaError, is_passing};
use connect::{ConnectionErrors, name_mismatch, wait_for_broker};

/// Default timeout of [`Admin::connect`] and of each operation.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// Interval between polls of the cluster's metadata.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A connection for administration.
pub struct Admin {
    /// Reads metadata and watermarks. A producer, because the admin client never reports why it has
    /// no connection.
    client: BaseProducer<ConnectionErrors>,
    operations: AdminClient<ConnectionErrors>,
    config: KafkaConfig,
    servers: String,
    timeout: Duration,
}

/// A topic as the cluster's metadata shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// How many partitions it has, at least 1.
    pub partitions: u32,
    /// How many replicas its partitions have (the largest number among them).
    pub replication: u32,
    /// Whether it is internal to Kafka: its name starts with two underscores.
    pub internal: bool,
}

/// The cluster that a connection leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterInfo {
    /// The cluster's id, if the brokers report one.
    pub id: Option<String>,
    /// How many brokers are up.
    pub brokers: u32,
}

impl Admin {
    /// Validates the configuration and connects to its cluster. Fails if no broker answers within
    /// `timeout`, and as soon as one rejects the login.
    pub fn connect(config: &KafkaConfig, timeout: Duration) -> Result<Self, KafkaError> {
        config.validate()?;
        config.check_admin()?;
        let servers = config.bootstrap_servers().ok_or(KafkaError::NoServers)?.to_owned();
        // Producer and consumer settings do not concern administration.
        let mut config = config.of_admin();
        // Checking whether a topic exists must not create it, whatever is set for producers.
        config.set("allow.auto.create.topics", "false");
        // Otherwise partitions appear to end where the first open transaction begins.
        config.set("isolation.level", "read_uncommitted");
        let mut native = config.to_client_config();
        // Only the log reports closed connections, as by a port that speaks another protocol.
        native.set_log_level(RDKafkaLogLevel::Info);
        let failed = |error: LibraryError| KafkaError::Client {
            servers: servers.clone(),
            reason: match error {
                LibraryError::ClientCreation(reason) => reason,
                other => other.to_string(),
            },
        };
        let client = native.create_with_context(ConnectionErrors::default()).map_err(failed)?;
        wait_for_broker(&client, &servers, timeout)
            .map_err(|error| name_mismatch(error, &config))?;
        // Failed attempts do not explain later errors.
        client.context().forget();
        let operations = native.create_with_context(ConnectionErrors::default()).map_err(failed)?;
        Ok(Self { client, operations, config, servers, timeout })
    }

    /// The configured bootstrap servers.
    #[must_use]
    pub fn servers(&self) -> &str {
        &self.servers
    }

    /// The cluster's id and size.
    pub fn cluster(&self) -> Result<ClusterInfo, KafkaError> {
        let metadata = self.metadata(None, "describe the cluster")?;
        Ok(ClusterInfo {
            id: self.client.client().fetch_cluster_id(self.timeout),
            brokers: count(metadata.brokers().len()),
        })
    }

    /// Whether a broker answers within a second.
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        let timeout = self.timeout.min(Duration::from_secs(1));
        self.client.client().fetch_metadata(None, timeout).is_ok()
    }

    /// All topics, by name.
    pub fn topics(&self) -> Result<Vec<TopicInfo>, KafkaError> {
        let metadata = self.metadata(None, "list the topics")?;
        let mut topics: Vec<_> = metadata.topics().iter().filter_map(describe).collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// The topic with this name, if it exists.
    pub fn topic(&self, name: &str) -> Result<Option<TopicInfo>, KafkaError> {
        let metadata = self.metadata(Some(name), &format!("look up topic '{name}'"))?;
        let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
            return Ok(None);
        };
        match topic.error() {
            None | Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) => {
                Ok(describe(topic))
            }
            Some(
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
                | RDKafkaRespErr::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
            ) => Ok(None),
            Some(code) => {
                let subject = Subject::topic("DESCRIBE", name);
                Err(KafkaError::answer(
                    format!("look up topic '{name}'"),
                    code.into(),
                    &subject,
                    None,
                ))
            }
        }
    }

    /// The topic's own settings that can be set: those that a replacement topic needs.
    pub fn topic_config(&self, name: &str) -> Result<BTreeMap<String, String>, KafkaError> {
        let own = self
            .describe_topic(name)?
            .into_iter()
            .filter(|entry| entry.source == ConfigSource::DynamicTopic && !entry.is_read_only);
        Ok(own.filter_map(|entry| Some((entry.name, entry.value?))).collect())
    }

    /// Whether the topic is compacted, by its own setting or the brokers' default.
    pub fn is_compacted(&self, name: &str) -> Result<bool, KafkaError> {
        let entries = self.describe_topic(name)?;
        let policy = entries.into_iter().find(|entry| entry.name == "cleanup.policy");
        let policy = policy.and_then(|entry| entry.value).unwrap_or_default();
        Ok(policy.split(',').any(|part| part.trim() == "compact"))
    }

    /// Maximum batch size of a topic in bytes, by its own setting or the brokers' default; `None`
    /// if the brokers do not report it.
    pub fn message_max_bytes(&self, name: &str) -> Result<Option<u64>, KafkaError> {
        let entries = self.describe_topic(name)?;
        let limit = entries.into_iter().find(|entry| entry.name == "max.message.bytes");
        Ok(limit.and_then(|entry| entry.value?.parse().ok()))
    }

    /// The settings in force for a topic as the brokers report them, by name: `topic partitions`,
    /// `topic min.insync.replicas`, and of one broker what is not its default, `broker num.io.threads`.
    /// Addresses, folders, ids and whatever is sensitive are left out. What a broker does not tell about
    /// itself, for lack of a permission, is missing.
    pub fn settings_in_force(&self, name: &str) -> Result<BTreeMap<String, String>, KafkaError> {
        let mut settings = BTreeMap::new();
        if let Some(topic) = self.topic(name)? {
            settings.insert("topic partitions".to_owned(), topic.partitions.to_string());
            settings.insert("topic replication".to_owned(), topic.replication.to_string());
        }
        let own = self.describe_topic(name)?;
        settings.extend(shown("topic", own.into_iter()));
        let action = format!("read the configuration of the brokers of topic '{name}'");
        let metadata = self.metadata(Some(name), &action)?;
        if let Some(broker) = metadata.brokers().iter().map(MetadataBroker::id).min() {
            let told = self.describe(name, &action, ResourceSpecifier::Broker(broker));
            let told = told.unwrap_or_default().into_iter();
            let is_set = |entry: &ConfigEntry| entry.source != ConfigSource::Default;
            settings.extend(shown("broker", told.filter(is_set)));
        }
        Ok(settings)
    }

    fn describe_topic(&self, name: &str) -> Result<Vec<ConfigEntry>, KafkaError> {
        let action = format!("read the configuration of topic '{name}'");
        self.describe(name, &action, ResourceSpecifier::Topic(name))
    }

    /// The settings of a topic, or of a broker, to do with topic `name`.
    fn describe(
        &self,
        name: &str,
        action: &str,
        of: ResourceSpecifier<'_>,
    ) -> Result<Vec<ConfigEntry>, KafkaError> {
        let subject = Subject::topic("DESCRIBE_CONFIGS", name);
        let library = |error: LibraryError| self.failed(action, &error, &subject);
        // Any broker knows topics; asking the one that just answered never waits for a controller.
        let metadata = self.metadata(Some(name), action)?;
        let answering = match of {
            ResourceSpecifier::Broker(id) => id,
            _ => metadata.orig_broker_id(),
        };
        let options = self.options().broker_id(Some(answering).filter(|id| *id >= 0));
        let wanted = [of];
        let resources = block_on(self.operations.describe_configs(&wanted, &options));
        let mut entries = Vec::new();
        for resource in resources.map_err(library)? {
            let resource = resource.map_err(|code| library(LibraryError::AdminOp(code)))?;
            entries.extend(resource.entries);
        }
        Ok(entries)
    }

    fn metadata(&self, topic: Option<&str>, action: &str) -> Result<Metadata, KafkaError> {
        let metadata = self.client.client().fetch_metadata(topic, self.timeout);
        let subject = Subject::topic("DESCRIBE", topic.unwrap_or_default());
        metadata.map_err(|error| self.failed(action, &error, &subject))
    }

    /// Converts the client library's error in `action`.
    fn failed(
        &self,
        action: impl Into<String>,
        error: &LibraryError,
        subject: &Subject,
    ) -> KafkaError {
        KafkaError::of_subject(action, error, subject).because_of(self.last_error())
    }

    /// The last failure of a connection.
    fn last_error(&self) -> Option<ConnectionError> {
        // The reason may still be queued.
        self.client.poll(Duration::ZERO);
        self.client
            .context()
            .last()
            .or_else(|| self.operations.inner().context().last())
            .map(|last| last.connection_error)
    }

    /// Retries transient errors until the timeout.
    fn retry_while_passing<T>(
        &self,
        attempt: impl Fn() -> Result<T, KafkaError>,
    ) -> Result<T, KafkaError> {
        let deadline = Instant::now() + self.timeout;
        loop {
            match attempt() {
                Err(error) if error.code().is_some_and(is_passing) && Instant::now() < deadline => {
                    std::thread::sleep(POLL_INTERVAL);
                }
                result => return result,
            }
        }
    }

    fn wait_until(
        &self,
        action: &str,
        holds: impl Fn() -> Result<bool, KafkaError>,
    ) -> Result<(), KafkaError> {
        let deadline = Instant::now() + self.timeout;
        while !holds()? {
            if Instant::now() >= deadline {
                let action = action.to_owned();
                return Err(KafkaError::NoEffect { action, timeout: self.timeout });
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    fn options(&self) -> AdminOptions {
        AdminOptions::new()
            .request_timeout(Some(self.timeout))
            .operation_timeout(Some(self.timeout))
    }
}

/// Describes a topic of the metadata; `None` while it is being deleted and has no partitions left.
fn describe(topic: &MetadataTopic) -> Option<TopicInfo> {
    let partitions = topic.partitions();
    if partitions.is_empty() {
        return None;
    }
    let replicas = partitions.iter().map(|partition| partition.replicas().len()).max();
    Some(TopicInfo {
        name: topic.name().to_owned(),
        partitions: count(partitions.len()),
        replication: count(replicas.unwrap_or(0)),
        internal: topic.name().starts_with("__"),
    })
}

fn no_such(topic: &str) -> KafkaError {
    KafkaError::NoSuchTopic { topic: topic.to_owned() }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Converts a number to the protocol's type; one that is too large becomes one that the broker
/// rejects.
fn to_native(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
/// Entries that may say why one system is faster than another, under names of their own.
fn shown(
    of: &str,
    entries: impl Iterator<Item = ConfigEntry>,
) -> impl Iterator<Item = (String, String)> {
    // They differ from start to start, and say nothing about speed.
    const LEFT_OUT: [&str; 6] = ["listener", "log.dir", ".id", "quorum", "zookeeper", "ssl."];
    entries
        .filter(|entry| !entry.is_sensitive)
        .filter(|entry| !LEFT_OUT.iter().any(|part| entry.name.contains(part)))
        .filter_map(move |entry| Some((format!("{of} {}", entry.name), entry.value?)))
}
