//! Receiving: librdkafka as the engine's [`Receive`] transport.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bench_core::clock::{Clock as _, InstantNs, SystemClock};
use bench_core::transport::{Incoming, Receive, Timestamps, TransportError};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;

use crate::answers;
use crate::config::KafkaConfig;
use crate::error::KafkaError;
use crate::health::is_news;
use crate::native::{Fetched, Membership, NativeConsumer, PARTITION_EOF, Record};
use crate::reading::{OpenTransaction, Until};

/// Maximum messages taken from librdkafka at once.
const BATCH_MAX: usize = 1024;

/// Maximum time for a group to get a coordinator.
const COORDINATOR_TIMEOUT: Duration = Duration::from_secs(30);

/// Interval between requests to the coordinator.
const COORDINATOR_POLL: Duration = Duration::from_millis(100);

/// How long an open transaction may block a consumer before that is logged.
const WAIT_LOGGED_AFTER: Duration = Duration::from_secs(1);

/// Maximum total time that a consumer waits for open transactions. Brokers abort a transaction
/// after `transaction.timeout.ms`, by default limited to 15 minutes.
const WAIT_MAX: Duration = Duration::from_mins(16);

/// Where a consumer starts reading a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartOffset {
    /// The partition.
    pub partition: i32,
    /// The first offset.
    pub offset: i64,
    /// The partition's high watermark.
    pub high: i64,
}

/// A consumer of one topic.
pub struct KafkaReceiver {
    consumer: NativeConsumer,
    clock: SystemClock,
    topic: String,
    /// Whether open transactions hide later messages from it.
    reads_committed: bool,
    transaction_wait: TransactionWait,
}

/// Tracks how long open transactions block a consumer.
#[derive(Default)]
struct TransactionWait {
    by: Option<OpenTransaction>,
    since: Option<Instant>,
    /// Total time blocked before `since`.
    before: Duration,
}

impl TransactionWait {
    fn note(&mut self, by: Option<OpenTransaction>) {
        self.by = by;
        match (by, self.since) {
            (Some(_), None) => self.since = Some(Instant::now()),
            (None, Some(since)) => {
                self.before += since.elapsed();
                self.since = None;
            }
            _ => {}
        }
    }

    fn lasts(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

impl KafkaReceiver {
    /// Connects a consumer for the configured group; it reads nothing before it
    /// [joins](Self::join). With `enable.partition.eof` it is [at its end](Receive::at_end) once it
    /// has read what the partitions contained when they were assigned.
    pub fn connect(config: &KafkaConfig, clock: SystemClock) -> Result<Self, KafkaError> {
        Self::connect_as(config, clock, Membership::Group)
    }

    /// Connects a consumer outside any group, whatever the configuration says, which needs no
    /// permission on a group. It reads nothing before it [takes partitions](Self::take), and is at
    /// its end as a [member](Self::connect) is.
    pub fn connect_alone(config: &KafkaConfig, clock: SystemClock) -> Result<Self, KafkaError> {
        Self::connect_as(config, clock, Membership::Alone)
    }

    fn connect_as(
        config: &KafkaConfig,
        clock: SystemClock,
        membership: Membership,
    ) -> Result<Self, KafkaError> {
        let until = if config.get(PARTITION_EOF) == Some("true") {
            Until::FirstEnd
        } else {
            Until::Stopped
        };
        let consumer = NativeConsumer::new(config, BATCH_MAX, until, membership)?;
        // librdkafka's default is read_committed.
        let reads_committed = config.get("isolation.level") != Some("read_uncommitted");
        let (topic, transaction_wait) = (String::new(), TransactionWait::default());
        Ok(Self { consumer, clock, topic, reads_committed, transaction_wait })
    }

    /// Joins the configured group to read `topic`.
    pub fn join(&mut self, topic: &str) -> Result<(), KafkaError> {
        topic.clone_into(&mut self.topic);
        self.consumer.subscribe(topic)
    }

    /// Starts reading these partitions of `topic`. Only for consumers [without a
    /// group](Self::connect_alone).
    pub fn take(&mut self, topic: &str, starts: &[StartOffset]) -> Result<(), KafkaError> {
        topic.clone_into(&mut self.topic);
        let from: Vec<_> = starts.iter().map(|start| (start.partition, start.offset)).collect();
        self.consumer.assign(topic, &from)?;
        let mut reading = self.consumer.reports().reading();
        for start in starts {
            reading.take(start.partition, start.offset, start.high);
        }
        Ok(())
    }

    /// Sets the offsets from which the configured group continues to read `topic`. The group must
    /// have no members. Waits up to 30 seconds for its coordinator, since a new cluster's first
    /// group has none yet, or until `is_cancelled`.
    pub fn commit(
        &mut self,
        topic: &str,
        starts: &[StartOffset],
        is_cancelled: impl Fn() -> bool,
    ) -> Result<(), KafkaError> {
        let offsets = offsets(topic, starts)?;
        let deadline = Instant::now() + COORDINATOR_TIMEOUT;
        let is_over = || is_cancelled() || Instant::now() >= deadline;
        loop {
            match self.consumer.commit(&offsets, is_over) {
                Err(error) if is_without_coordinator(&error) && !is_over() => {
                    std::thread::sleep(COORDINATOR_POLL);
                }
                result => return result,
            }
        }
    }

    /// Closes consumers in parallel: each may wait for a broker that does not answer.
    pub fn close_all(receivers: Vec<Self>) {
        std::thread::scope(|scope| {
            for receiver in receivers {
                scope.spawn(move || drop(receiver));
            }
        });
    }

    /// Why no broker has been reachable for at least `duration`; `None` if one was.
    #[must_use]
    pub fn lasting_outage(&self, duration: Duration) -> Option<String> {
        self.consumer.reports().health.lasting_outage(duration)
    }

    /// Number of partitions currently assigned. Also serves the group membership; messages that
    /// arrive meanwhile are kept. Fails if the consumer can never get a partition.
    pub fn assigned(&mut self) -> Result<usize, TransportError> {
        self.consumer.serve();
        if let Some(code) = self.consumer.fetched_error() {
            self.note_error(code)?;
        }
        Ok(self.consumer.reports().reading().len())
    }

    /// Ends as if the process had crashed: nothing received since the last commit is committed, and
    /// the group notices only when the session times out.
    pub fn kill(self) {
        self.consumer.kill();
    }

    /// Number of messages that were passed on but not settled.
    pub(crate) fn held(&self) -> usize {
        self.consumer.held()
    }

    fn note_error(&mut self, code: RDKafkaErrorCode) -> Result<(), TransportError> {
        let hopeless = match code {
            RDKafkaErrorCode::Fatal => Some(self.consumer.fatal_error().unwrap_or(code)),
            RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::InvalidSessionTimeout
            | RDKafkaErrorCode::InconsistentGroupProtocol
            | RDKafkaErrorCode::InvalidGroupId
            | RDKafkaErrorCode::GroupMaxSizeReached
            | RDKafkaErrorCode::FencedInstanceId
            | RDKafkaErrorCode::UnsupportedAssignor
            | RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownTopicId
            | RDKafkaErrorCode::UnknownTopic
            // With auto.offset.reset=error, a group without offsets can never start.
            | RDKafkaErrorCode::AutoOffsetReset
            | RDKafkaErrorCode::NoOffset => Some(code),
            _ => None,
        };
        let meaning = |code| answers::sentence(code, self.consumer.subject(), None);
        if let Some(code) = hopeless {
            return Err(TransportError::new(format!(
                "the Kafka consumer failed: {}",
                meaning(code)
            )));
        }
        // Failed connections are reported elsewhere.
        if code == RDKafkaErrorCode::AllBrokersDown
            || code == RDKafkaErrorCode::BrokerTransportFailure
        {
            return Ok(());
        }
        if is_news(format!("consumer: {code:?}")) {
            tracing::warn!("consumer error, retrying: {}", meaning(code));
        }
        Ok(())
    }

    /// Checks what blocks the consumer when no message has arrived.
    fn note_silence(&mut self) {
        let reports = self.consumer.reports();
        let can_be_blocked = self.reads_committed && !reports.health.is_down();
        let by = can_be_blocked
            .then(|| reports.reading().open_transaction(|id| self.consumer.high_watermark(id)))
            .flatten();
        self.transaction_wait.note(by);
        if let Some(transaction) = by.filter(|_| self.transaction_wait.lasts() >= WAIT_LOGGED_AFTER)
        {
            transaction.announce(&self.topic);
        }
    }
}

impl KafkaReceiver {
    /// Same as [`Receive::receive`], but passes whole records, with the instant at which each
    /// arrived.
    pub fn receive_records(
        &mut self,
        until_ns: InstantNs,
        mut sink: impl FnMut(Record<'_>, InstantNs),
    ) -> Result<usize, TransportError> {
        let wait_ns = until_ns.saturating_sub(self.clock.now_ns());
        self.consumer.fetch(Duration::from_nanos(wait_ns));
        if self.consumer.reports().health.is_down() {
            self.consumer.look_for_broker();
        }
        if !self.consumer.has_fetched() {
            self.note_silence();
            return Ok(0);
        }
        let received_ns = self.clock.now_ns();
        let mut count = 0;
        let mut errors = Vec::new();
        let reports = Arc::clone(self.consumer.reports());
        let mut reading = reports.reading();
        // The last message of consecutive ones from one partition.
        let mut last: Option<(i32, i64)> = None;
        self.consumer.pass_on(|fetched| match fetched {
            Fetched::Message(record) => {
                count += 1;
                let partition = record.partition();
                if let Some((other, offset)) = last.filter(|(other, _)| *other != partition) {
                    reading.passed(other, offset);
                }
                last = Some((partition, record.offset()));
                sink(record, received_ns);
            }
            Fetched::End { partition, offset, high } => {
                if let Some((partition, offset)) = last.take() {
                    reading.passed(partition, offset);
                }
                reading.ended(partition, offset, high);
            }
            Fetched::Error(code) => errors.push(code),
        });
        if let Some((partition, offset)) = last {
            reading.passed(partition, offset);
        }
        drop(reading);
        if count > 0 {
            self.transaction_wait.note(None);
        }
        errors.into_iter().try_for_each(|code| self.note_error(code))?;
        Ok(count)
    }
}

impl Receive for KafkaReceiver {
    fn receive(
        &mut self,
        until_ns: InstantNs,
        mut sink: impl FnMut(Incoming<'_>),
    ) -> Result<usize, TransportError> {
        self.receive_records(until_ns, |record, received_ns| {
            sink(Incoming {
                key: record.key(),
                // To a benchmark, a tombstone is an empty message.
                value: record.value().unwrap_or_default(),
                partition: u32::try_from(record.partition()).unwrap_or(0),
                received_ns,
                timestamps: Timestamps::default(),
            });
        })
    }

    fn at_end(&self) -> bool {
        self.consumer.reports().reading().is_at_end()
    }

    /// A consumer that has lost its brokers cannot be at the end.
    fn is_behind(&self) -> bool {
        let reports = self.consumer.reports();
        let reading = reports.reading();
        let high = |id| self.consumer.high_watermark(id);
        reading.is_behind(high) || (reading.len() > 0 && reports.health.is_down())
    }

    fn waits_for(&self) -> Option<String> {
        let transaction = self.transaction_wait.by?;
        let waited = self.transaction_wait.before + self.transaction_wait.lasts();
        (waited < WAIT_MAX).then(|| transaction.describe(&self.topic))
    }

    /// Only settled messages have their offsets stored, and thus committed.
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
