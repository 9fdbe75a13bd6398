//! Administration of a Kafka cluster: lists topics and changes them.
//!
//! Every call blocks, at most for the timeout given to [`Admin::connect`]; calls that change a
//! topic return once the cluster's metadata shows the change.

mod sample;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures_executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigEntry, ConfigSource, ResourceSpecifier};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError as LibraryError;
use rdkafka::metadata::{Metadata, MetadataTopic};
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer, ProducerContext};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

pub use sample::SampledMessage;

use crate::answers::Subject;
use crate::complaint::Complaint;
use crate::config::KafkaConfig;
use crate::error::{KafkaError, is_passing};
use crate::native::{TopicRequest, request_topic};
use crate::reading::OpenTransaction;

/// Default timeout of [`Admin::connect`] and of each operation.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// Interval between polls of the cluster's metadata.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Interval between polls for the end of a transaction.
const TRANSACTION_POLL: Duration = Duration::from_millis(200);

/// Timeout of the first attempt to reach a broker. The client's errors are read between attempts,
/// so that a rejected login ends the wait; each attempt takes twice as long as the one before,
/// which leaves time for a distant broker's answer.
const CONNECT_ATTEMPT: Duration = Duration::from_millis(250);

/// How long to check whether a certificate would be trusted under another name.
const PROBE: Duration = Duration::from_secs(2);

/// A connection for administration.
pub struct Admin {
    /// Reads metadata and watermarks. A producer, because the admin client never reports why it has
    /// no connection.
    client: BaseProducer<Complaints>,
    operations: AdminClient<Complaints>,
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

/// The offset range in which a partition holds messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionWatermarks {
    /// The partition, from 0.
    pub partition: i32,
    /// The offset of the oldest retained message.
    pub low: i64,
    /// The offset of the next message.
    pub high: i64,
}

impl PartitionWatermarks {
    /// Number of offsets between the watermarks: the number of messages, or more in compacted
    /// topics and where transactions left markers.
    #[must_use]
    pub fn offsets(&self) -> u64 {
        u64::try_from(self.high.saturating_sub(self.low)).unwrap_or(0)
    }
}

/// The cluster that a connection leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterInfo {
    /// The cluster's id, if the brokers report one.
    pub id: Option<String>,
    /// How many brokers are up.
    pub brokers: u32,
}

/// Result of [`Admin::ensure_topic`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicOutcome {
    /// The topic did not exist and was created with the requested partitions.
    Created,
    /// The topic had too few partitions; more were added.
    Extended {
        /// Partitions before.
        from: u32,
        /// Partitions now.
        to: u32,
    },
    /// The topic has at least the requested partitions.
    Enough {
        /// Partitions now.
        partitions: u32,
    },
    /// The topic has too few partitions and may not be extended.
    TooFew {
        /// Partitions now.
        have: u32,
        /// Requested partitions.
        wanted: u32,
    },
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
        let client = native.create_with_context(Complaints::default()).map_err(failed)?;
        wait_for_broker(&client, &servers, timeout)
            .map_err(|error| name_mismatch(error, &config))?;
        // Failed attempts do not explain later errors.
        client.context().forget();
        let operations = native.create_with_context(Complaints::default()).map_err(failed)?;
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

    /// Creates a topic and waits until every partition answers. Without a replication factor the
    /// brokers use their default.
    pub fn create_topic(
        &self,
        name: &str,
        partitions: u32,
        replication: Option<u32>,
        configs: &BTreeMap<String, String>,
    ) -> Result<(), KafkaError> {
        let action = format!("create topic '{name}' with {partitions} partitions");
        // In the protocol, -1 means the broker's default.
        let replication = replication.map_or(-1, to_native);
        let partitions_wanted = to_native(partitions);
        let create =
            TopicRequest::Create { partitions: partitions_wanted, replication, settings: configs };
        self.request(&action, name, create)?;
        self.wait_for_partitions(name, partitions, &action)
    }

    /// Adds partitions to a topic until it has `total`, and waits until they answer.
    pub fn add_partitions(&self, name: &str, total: u32) -> Result<(), KafkaError> {
        let action = format!("extend topic '{name}' to {total} partitions");
        let total_wanted = usize::try_from(total).unwrap_or(usize::MAX);
        self.request(&action, name, TopicRequest::Extend { total: total_wanted })?;
        self.wait_for_partitions(name, total, &action)
    }

    /// Deletes a topic and waits until it is gone.
    pub fn delete_topic(&self, name: &str) -> Result<(), KafkaError> {
        let action = format!("delete topic '{name}'");
        self.request(&action, name, TopicRequest::Delete)?;
        self.wait_until(&action, || Ok(self.topic(name)?.is_none()))
    }

    /// Deletes a topic and creates it again with the same partitions, replication factor and
    /// configuration. If creating it fails, the error says how to do it by hand. ACLs stay, since
    /// they refer to the name; committed offsets of groups are deleted with the old topic, and
    /// partitions may move to other brokers.
    pub fn recreate_topic(&self, name: &str) -> Result<(), KafkaError> {
        let topic = self.topic(name)?.ok_or_else(|| no_such(name))?;
        let configs = self.topic_config(name)?;
        self.delete_topic(name)?;
        let deadline = Instant::now() + self.timeout;
        loop {
            let created =
                self.create_topic(name, topic.partitions, Some(topic.replication), &configs);
            let Err(error) = created else { return Ok(()) };
            // Brokers reserve a deleted name for a moment after it has gone from the metadata.
            let is_too_early = error.code() == Some(RDKafkaErrorCode::TopicAlreadyExists);
            if !is_too_early || Instant::now() >= deadline {
                return Err(not_recreated(&topic, &configs, error));
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Deletes the records of all partitions of a topic, up to their high watermarks.
    pub fn delete_records_to_end(&self, name: &str) -> Result<(), KafkaError> {
        let action = format!("delete the records of topic '{name}'");
        let topic = self.topic(name)?.ok_or_else(|| no_such(name))?;
        let mut offsets = TopicPartitionList::new();
        for partition in 0..to_native(topic.partitions) {
            offsets
                .add_partition_offset(name, partition, Offset::End)
                .map_err(|error| KafkaError::from_library(action.as_str(), &error))?;
        }
        self.retry_while_passing(|| {
            let result = block_on(self.operations.delete_records(&offsets, &self.options()));
            let failed = |action: String, error| {
                self.failed(action, &error, &Subject::topic("DELETE", name))
            };
            let deleted = result.map_err(|error| failed(action.clone(), error))?;
            let refused = deleted
                .elements()
                .into_iter()
                .find_map(|partition| Some((partition.partition(), partition.error().err()?)));
            refused.map_or(Ok(()), |(partition, error)| {
                Err(failed(format!("{action}, partition {partition}"), error))
            })
        })
    }

    /// The watermarks of every partition of a topic. Messages of open transactions lie below them.
    pub fn watermarks(&self, name: &str) -> Result<Vec<PartitionWatermarks>, KafkaError> {
        let topic = self.topic(name)?.ok_or_else(|| no_such(name))?;
        (0..to_native(topic.partitions))
            .map(|partition| self.partition_watermarks(name, partition))
            .collect()
    }

    /// Waits until the open transactions of a topic have ended: they hide later messages from
    /// read-committed consumers. Logs once what it waits for, and stops when `is_cancelled`.
    pub fn await_transactions(
        &self,
        name: &str,
        is_cancelled: impl Fn() -> bool,
    ) -> Result<(), KafkaError> {
        let mut config = self.config.clone();
        config.set("isolation.level", "read_committed");
        let native = config.to_client_config();
        let reader: BaseProducer<Complaints> =
            native.create_with_context(Complaints::default()).map_err(|error| {
                KafkaError::from_library(format!("read the offsets of topic '{name}'"), &error)
            })?;
        for PartitionWatermarks { partition, high, .. } in self.watermarks(name)? {
            loop {
                let offset = self.watermarks_as(&reader, name, partition)?.high;
                if offset >= high || is_cancelled() {
                    break;
                }
                OpenTransaction { partition, offset }.announce(name);
                std::thread::sleep(TRANSACTION_POLL);
            }
        }
        Ok(())
    }

    fn partition_watermarks(
        &self,
        name: &str,
        partition: i32,
    ) -> Result<PartitionWatermarks, KafkaError> {
        self.watermarks_as(&self.client, name, partition)
    }

    /// The watermarks as this client's `isolation.level` shows them.
    fn watermarks_as(
        &self,
        client: &BaseProducer<Complaints>,
        name: &str,
        partition: i32,
    ) -> Result<PartitionWatermarks, KafkaError> {
        let action = || format!("read the watermarks of topic '{name}', partition {partition}");
        self.retry_while_passing(|| {
            let (low, high) =
                client.client().fetch_watermarks(name, partition, self.timeout).map_err(
                    |error| self.failed(action(), &error, &Subject::topic("DESCRIBE", name)),
                )?;
            Ok(PartitionWatermarks { partition, low, high })
        })
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

    fn describe_topic(&self, name: &str) -> Result<Vec<ConfigEntry>, KafkaError> {
        let action = format!("read the configuration of topic '{name}'");
        let subject = Subject::topic("DESCRIBE_CONFIGS", name);
        let library = |error: LibraryError| self.failed(action.as_str(), &error, &subject);
        // Any broker knows; asking the one that just answered never waits for a controller.
        let metadata = self.metadata(Some(name), &action)?;
        let answering = Some(metadata.orig_broker_id()).filter(|id| *id >= 0);
        let options = self.options().broker_id(answering);
        let wanted = [ResourceSpecifier::Topic(name)];
        let resources = block_on(self.operations.describe_configs(&wanted, &options));
        let mut entries = Vec::new();
        for resource in resources.map_err(library)? {
            let resource = resource.map_err(|code| library(LibraryError::AdminOp(code)))?;
            entries.extend(resource.entries);
        }
        Ok(entries)
    }

    /// Ensures that a topic exists with at least `wanted` partitions: creates a missing topic, and
    /// extends one with too few partitions if `may_extend`. The replication factor applies only to
    /// a new topic.
    pub fn ensure_topic(
        &self,
        name: &str,
        wanted: u32,
        replication: Option<u32>,
        may_extend: bool,
    ) -> Result<TopicOutcome, KafkaError> {
        let have = match self.topic(name)? {
            Some(topic) => topic.partitions,
            None => match self.create_topic(name, wanted, replication, &BTreeMap::new()) {
                Ok(()) => return Ok(TopicOutcome::Created),
                // Another client has created it meanwhile, or this request was retried because the
                // first answer was lost with a broker.
                Err(error) if error.code() == Some(RDKafkaErrorCode::TopicAlreadyExists) => {
                    let topic = self.topic(name)?.ok_or(error)?;
                    let action = format!("wait for topic '{name}'");
                    self.wait_for_partitions(name, topic.partitions, &action)?;
                    topic.partitions
                }
                Err(error) => return Err(error),
            },
        };
        if have >= wanted {
            return Ok(TopicOutcome::Enough { partitions: have });
        }
        if !may_extend {
            return Ok(TopicOutcome::TooFew { have, wanted });
        }
        self.add_partitions(name, wanted)?;
        Ok(TopicOutcome::Extended { from: have, to: wanted })
    }

    fn metadata(&self, topic: Option<&str>, action: &str) -> Result<Metadata, KafkaError> {
        let metadata = self.client.client().fetch_metadata(topic, self.timeout);
        let subject = Subject::topic("DESCRIBE", topic.unwrap_or_default());
        metadata.map_err(|error| self.failed(action, &error, &subject))
    }

    /// Requests a change of a topic.
    fn request(
        &self,
        action: &str,
        name: &str,
        request: TopicRequest<'_>,
    ) -> Result<(), KafkaError> {
        let right = match request {
            TopicRequest::Create { .. } => "CREATE",
            TopicRequest::Extend { .. } => "ALTER",
            TopicRequest::Delete => "DELETE",
        };
        request_topic(self.client.client(), name, request, self.timeout).map_err(|refusal| {
            let subject = Subject::topic(right, name);
            KafkaError::answer(action, refusal.code, &subject, refusal.words.as_deref())
                .because_of(self.complaint())
        })
    }

    /// Converts the client library's error in `action`.
    fn failed(
        &self,
        action: impl Into<String>,
        error: &LibraryError,
        subject: &Subject,
    ) -> KafkaError {
        KafkaError::of_subject(action, error, subject).because_of(self.complaint())
    }

    /// The last failure of a connection.
    fn complaint(&self) -> Option<Complaint> {
        // The reason may still be queued.
        self.client.poll(Duration::ZERO);
        self.client
            .context()
            .last()
            .or_else(|| self.operations.inner().context().last())
            .map(|last| last.complaint)
    }

    fn wait_for_partitions(&self, name: &str, wanted: u32, action: &str) -> Result<(), KafkaError> {
        self.wait_until(action, || {
            let metadata = self.metadata(Some(name), action)?;
            let topic = metadata.topics().iter().find(|topic| topic.name() == name);
            let led = topic.map_or(0, |topic| {
                topic.partitions().iter().filter(|partition| partition.leader() >= 0).count()
            });
            Ok(count(led) >= wanted)
        })?;
        // Brokers announce partitions a moment before they serve them.
        for partition in 0..to_native(wanted) {
            self.partition_watermarks(name, partition)?;
        }
        Ok(())
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

/// Keeps the last connection error that the client library reported.
#[derive(Default)]
pub(crate) struct Complaints {
    last: Mutex<Option<Heard>>,
}

#[derive(Clone)]
struct Heard {
    code: Option<RDKafkaErrorCode>,
    complaint: Complaint,
}

impl Complaints {
    fn last(&self) -> Option<Heard> {
        self.last.lock().ok().and_then(|last| last.clone())
    }

    fn forget(&self) {
        if let Ok(mut last) = self.last.lock() {
            *last = None;
        }
    }
}

impl ClientContext for Complaints {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, "{message}");
        if facility == "FAIL"
            && let Ok(mut last) = self.last.lock()
            // An error says as much, and also has a code.
            && last.as_ref().is_none_or(|heard| heard.code.is_none())
        {
            let line = message.split_once("]: ").map_or(message, |(_, line)| line);
            *last = Some(Heard { code: None, complaint: Complaint::new(line) });
        }
    }

    fn error(&self, error: LibraryError, reason: &str) {
        tracing::debug!("{reason}");
        let code = error.rdkafka_error_code();
        // `AllBrokersDown` follows from the error before it, which gives the reason; the end of a
        // partition is not an error.
        if matches!(code, Some(RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::PartitionEOF)) {
            return;
        }
        if let Ok(mut last) = self.last.lock() {
            *last = Some(Heard { code, complaint: Complaint::new(reason) });
        }
    }
}

impl ProducerContext for Complaints {
    type DeliveryOpaque = ();

    fn delivery(&self, _result: &DeliveryResult<'_>, _opaque: Self::DeliveryOpaque) {}
}

/// Waits until a broker has answered a request.
fn wait_for_broker(
    client: &BaseProducer<Complaints>,
    servers: &str,
    timeout: Duration,
) -> Result<(), KafkaError> {
    let deadline = Instant::now() + timeout;
    let mut attempt = CONNECT_ATTEMPT;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if client.client().fetch_metadata(None, left.min(attempt)).is_ok() {
            return Ok(());
        }
        // For an interval, not once: most queued events are log lines.
        client.poll(POLL_INTERVAL);
        let heard = client.context().last();
        let servers = servers.to_owned();
        match heard {
            Some(Heard { code: Some(code), complaint }) if is_final(code) => {
                return Err(KafkaError::Refused { servers, complaint });
            }
            heard if left.is_zero() => {
                let complaint = heard.map(|heard| heard.complaint);
                return Err(KafkaError::Unreachable { servers, timeout, complaint });
            }
            _ => attempt *= 2,
        }
    }
}

/// Checks whether an untrusted certificate is only issued for another host name, which the client
/// library does not report: TLS then succeeds without checking the name and without a login.
fn name_mismatch(error: KafkaError, config: &KafkaConfig) -> KafkaError {
    let KafkaError::Refused { servers, complaint } = error else { return error };
    if !complaint.is_about_trust() {
        return KafkaError::Refused { servers, complaint };
    }
    let mut probe = config.to_client_config();
    for (name, value) in
        [("security.protocol", "ssl"), ("ssl.endpoint.identification.algorithm", "none")]
    {
        probe.set(name, value);
    }
    for name in ["sasl.username", "sasl.password", "sasl.mechanism"] {
        probe.remove(name);
    }
    let client: Result<BaseProducer<Complaints>, _> =
        probe.create_with_context(Complaints::default());
    let is_trusted = client.is_ok_and(|client| match wait_for_broker(&client, &servers, PROBE) {
        Err(KafkaError::Refused { complaint, .. }) => !complaint.is_about_trust(),
        _ => true,
    });
    let complaint = if is_trusted { complaint.for_another_name() } else { complaint };
    KafkaError::Refused { servers, complaint }
}

/// Whether retrying is pointless.
fn is_final(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::UnsupportedSASLMechanism
            | RDKafkaErrorCode::SSL
    )
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

/// The error for a topic that was deleted and not created again, with all that is needed to create
/// it.
fn not_recreated(
    topic: &TopicInfo,
    configs: &BTreeMap<String, String>,
    error: KafkaError,
) -> KafkaError {
    let TopicInfo { name, partitions, replication, .. } = topic;
    let settings = configs.iter().map(|(key, value)| format!(" --topic-config '{key}={value}'"));
    let options = format!("--partitions {partitions} --replication-factor {replication}")
        + &settings.collect::<String>();
    KafkaError::NotRecreated { topic: name.clone(), options, source: Box::new(error) }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Converts a number to the protocol's type; one that is too large becomes one that the broker
/// rejects.
fn to_native(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
