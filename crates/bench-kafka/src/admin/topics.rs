//! Creates, extends, empties and deletes topics.

use std::collections::BTreeMap;
use std::time::Instant;

use futures_executor::block_on;
use rdkafka::producer::Producer as _;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::{Admin, POLL_INTERVAL, TopicInfo, count, no_such, to_native};
use crate::answers::Subject;
use crate::error::KafkaError;
use crate::native::{TopicRequest, request_topic};

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
    pub(crate) fn add_partitions(&self, name: &str, total: u32) -> Result<(), KafkaError> {
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
                .because_of(self.last_error())
        })
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
