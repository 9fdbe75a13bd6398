//! Receiving: librdkafka as the engine's [`Receive`] transport.

use std::time::{Duration, Instant};

use bench_core::clock::{Clock as _, InstantNs, SystemClock};
use bench_core::transport::{Incoming, Receive, Stamps, TransportError};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;

use crate::config::KafkaConfig;
use crate::error::KafkaError;
use crate::native::{Fetched, NativeConsumer};

/// Messages that are taken from librdkafka at once.
const BATCH_MAX: usize = 1024;

/// How long a group may take to get a coordinator.
const COORDINATOR_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait before asking the coordinator again.
const COORDINATOR_POLL: Duration = Duration::from_millis(100);

/// Where a consumer begins to read a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartOffset {
    /// The partition.
    pub partition: i32,
    /// The first offset.
    pub offset: i64,
}

/// A consumer of one topic.
pub struct KafkaReceiver {
    consumer: NativeConsumer,
    clock: SystemClock,
    /// Partitions that have been read to their end.
    ended: Vec<i32>,
    assigned: usize,
    /// Codes that have been logged, each once.
    logged: Vec<RDKafkaErrorCode>,
}

impl KafkaReceiver {
    /// Connects a consumer; it reads nothing before it [joins a group](Self::join) or
    /// [takes partitions](Self::take).
    pub fn connect(config: &KafkaConfig, clock: SystemClock) -> Result<Self, KafkaError> {
        let consumer = NativeConsumer::new(config, BATCH_MAX)?;
        Ok(Self { consumer, clock, ended: Vec::new(), assigned: 0, logged: Vec::new() })
    }

    /// Joins the configured group to read `topic`.
    pub fn join(&mut self, topic: &str) -> Result<(), KafkaError> {
        let mut topics = TopicPartitionList::new();
        topics.add_topic_unassigned(topic);
        self.consumer.subscribe(&topics)
    }

    /// Reads these partitions of `topic`, without a group.
    pub fn take(&mut self, topic: &str, starts: &[StartOffset]) -> Result<(), KafkaError> {
        self.consumer.assign(&offsets(topic, starts)?)
    }

    /// Sets where the configured group goes on reading `topic`. The group must have no members.
    /// Waits up to half a minute for its coordinator: a new cluster's first group has none yet.
    pub fn commit(&mut self, topic: &str, starts: &[StartOffset]) -> Result<(), KafkaError> {
        let offsets = offsets(topic, starts)?;
        let deadline = Instant::now() + COORDINATOR_TIMEOUT;
        loop {
            match self.consumer.commit(&offsets) {
                Err(error) if is_without_coordinator(&error) && Instant::now() < deadline => {
                    std::thread::sleep(COORDINATOR_POLL);
                }
                result => return result,
            }
        }
    }

    /// How many partitions this consumer reads at the moment. Also keeps its membership of the
    /// group going; messages that arrive meanwhile are kept. Fails when it can never get any.
    pub fn assigned(&mut self) -> Result<usize, TransportError> {
        self.consumer.serve();
        if let Some((code, reason)) = self.consumer.fetched_error() {
            self.note_error(code, &reason)?;
        }
        Ok(self.consumer.assigned())
    }

    /// Ends as a process that crashes would: what was received since the last commit is not
    /// committed, and the group learns nothing before the session times out.
    pub fn kill(self) {
        self.consumer.kill();
    }

    /// Messages that were passed on and are not settled.
    pub(crate) fn held(&self) -> usize {
        self.consumer.held()
    }

    fn note_error(&mut self, code: RDKafkaErrorCode, reason: &str) -> Result<(), TransportError> {
        let hopeless = match code {
            RDKafkaErrorCode::Fatal => self.consumer.fatal_error(),
            RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::InvalidSessionTimeout
            | RDKafkaErrorCode::InconsistentGroupProtocol
            | RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownTopic => Some(reason.to_owned()),
            _ => None,
        };
        if let Some(reason) = hopeless {
            return Err(TransportError::new(format!(
                "the Kafka consumer cannot go on: {reason} ({code:?})"
            )));
        }
        if !self.logged.contains(&code) {
            self.logged.push(code);
            tracing::warn!("consumer: {reason} ({code:?}); it goes on trying");
        }
        Ok(())
    }
}

impl Receive for KafkaReceiver {
    fn receive(
        &mut self,
        until_ns: InstantNs,
        mut sink: impl FnMut(Incoming<'_>),
    ) -> Result<usize, TransportError> {
        let wait_ns = until_ns.saturating_sub(self.clock.now_ns());
        self.consumer.fetch(Duration::from_nanos(wait_ns));
        if !self.consumer.has_fetched() {
            return Ok(0);
        }
        let received_ns = self.clock.now_ns();
        let mut count = 0;
        let mut errors = Vec::new();
        let ended = &mut self.ended;
        let mut newly_ended = false;
        self.consumer.pass_on(|fetched| match fetched {
            Fetched::Message { key, value, partition } => {
                count += 1;
                if !ended.is_empty() {
                    ended.retain(|other| *other != partition);
                }
                let partition = u32::try_from(partition).unwrap_or(0);
                sink(Incoming { key, value, partition, received_ns, stamps: Stamps::default() });
            }
            Fetched::End { partition } => {
                if !ended.contains(&partition) {
                    ended.push(partition);
                }
                newly_ended = true;
            }
            Fetched::Error(code, reason) => errors.push((code, reason)),
        });
        if newly_ended {
            self.assigned = self.consumer.assigned();
        }
        for (code, reason) in errors {
            self.note_error(code, &reason)?;
        }
        Ok(count)
    }

    fn at_end(&self) -> bool {
        self.assigned > 0 && self.ended.len() >= self.assigned
    }

    /// A group's offsets are stored, and so committed, for what is settled alone.
    fn hold_back(&mut self) {
        self.consumer.hold_back();
    }

    fn settle(&mut self, messages: usize) {
        self.consumer.settle(messages);
    }
}

fn is_without_coordinator(error: &KafkaError) -> bool {
    matches!(
        error.code(),
        Some(
            RDKafkaErrorCode::NotCoordinator
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::CoordinatorLoadInProgress
                | RDKafkaErrorCode::WaitingForCoordinator
        )
    )
}

fn offsets(topic: &str, starts: &[StartOffset]) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::with_capacity(starts.len());
    for start in starts {
        list.add_partition_offset(topic, start.partition, Offset::Offset(start.offset)).map_err(
            |error| KafkaError::from_library(format!("name an offset of topic '{topic}'"), &error),
        )?;
    }
    Ok(list)
}
