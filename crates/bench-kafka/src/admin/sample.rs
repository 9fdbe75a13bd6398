//! Looking at a few messages of a topic, to judge whose they are.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as LibraryError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use super::{Admin, Complaints, PartitionWatermarks};
use crate::error::KafkaError;

/// How far behind the end of a partition to look for its last message: further each time, because
/// transactions leave markers there that no consumer sees, and compaction leaves gaps.
const STEPS_BACK: [i64; 4] = [1, 16, 256, 4_096];

/// A message as it stands in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampledMessage {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its value; none for a tombstone.
    pub payload: Option<Vec<u8>>,
}

impl Admin {
    /// Hands the first and the last message of every partition that holds any to `visit`. Joins no
    /// group and commits nothing.
    pub fn sample_messages(
        &self,
        topic: &str,
        watermarks: &[PartitionWatermarks],
        mut visit: impl FnMut(&SampledMessage),
    ) -> Result<(), KafkaError> {
        let reader = Reader::new(topic, &self.config, self.timeout)?;
        for &PartitionWatermarks { partition, low, high } in watermarks {
            let Some(first) = reader.first_from(partition, low, high)? else { continue };
            let last = reader.last_before(partition, first.offset, high)?;
            visit(&first);
            if let Some(last) = last.filter(|last| last.offset != first.offset) {
                visit(&last);
            }
        }
        Ok(())
    }
}

struct Reader {
    /// Its errors are the answers to its calls, and are not logged besides.
    consumer: BaseConsumer<Complaints>,
    topic: String,
    action: String,
    timeout: Duration,
}

impl Reader {
    fn new(topic: &str, config: &ClientConfig, timeout: Duration) -> Result<Self, KafkaError> {
        let mut config = config.clone();
        if config.get("group.id").is_none() {
            // The library wants one even where no group is joined.
            config.set("group.id", format!("bench-sample-{}", std::process::id()));
        }
        for (name, value) in [
            ("enable.auto.commit", "false"),
            ("enable.partition.eof", "true"),
            ("auto.offset.reset", "earliest"),
            ("fetch.wait.max.ms", "10"),
            // What aborted transactions left is still somebody's.
            ("isolation.level", "read_uncommitted"),
        ] {
            config.set(name, value);
        }
        let action = format!("read messages of topic '{topic}'");
        let consumer = config
            .create_with_context(Complaints::default())
            .map_err(|error| KafkaError::from_library(action.as_str(), &error))?;
        Ok(Self { consumer, topic: topic.to_owned(), action, timeout })
    }

    /// The first message at or after `from`.
    fn first_from(
        &self,
        partition: i32,
        from: i64,
        high: i64,
    ) -> Result<Option<SampledMessage>, KafkaError> {
        self.read(partition, from, high, |_| true)
    }

    /// The last message between `first`, where one is known to be, and `high`.
    fn last_before(
        &self,
        partition: i32,
        first: i64,
        high: i64,
    ) -> Result<Option<SampledMessage>, KafkaError> {
        for back in STEPS_BACK {
            let from = (high - back).max(first);
            let found = self.read(partition, from, high, |offset| offset + 1 >= high)?;
            if found.is_some() || from == first {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Reads from an offset and gives the first message that satisfies `is_wanted`, or else the
    /// last one before the end of the partition.
    fn read(
        &self,
        partition: i32,
        from: i64,
        high: i64,
        is_wanted: impl Fn(i64) -> bool,
    ) -> Result<Option<SampledMessage>, KafkaError> {
        if from >= high {
            return Ok(None);
        }
        self.start(partition, from)?;
        let deadline = Instant::now() + self.timeout;
        let mut latest = None;
        let mut last_error = RDKafkaErrorCode::OperationTimedOut;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.consumer.poll(left) {
                Some(Ok(message)) if message.partition() == partition => {
                    let offset = message.offset();
                    let payload = message.payload().map(<[u8]>::to_vec);
                    latest = Some(SampledMessage { partition, offset, payload });
                    if is_wanted(offset) {
                        return Ok(latest);
                    }
                }
                Some(Err(LibraryError::PartitionEOF(ended))) if ended == partition => {
                    return Ok(latest);
                }
                // Trouble with one broker among several passes; what lasts ends in the time-out.
                Some(Err(LibraryError::MessageConsumption(code))) => {
                    if code == RDKafkaErrorCode::TopicAuthorizationFailed {
                        return Err(self.failed(code));
                    }
                    last_error = code;
                }
                None if left.is_zero() => return Err(self.failed(last_error)),
                Some(_) | None => {}
            }
        }
    }

    fn start(&self, partition: i32, offset: i64) -> Result<(), KafkaError> {
        let mut assignment = TopicPartitionList::new();
        assignment
            .add_partition_offset(&self.topic, partition, Offset::Offset(offset))
            .and_then(|()| self.consumer.assign(&assignment))
            .map_err(|error| KafkaError::from_library(self.action.as_str(), &error))
    }

    fn failed(&self, code: RDKafkaErrorCode) -> KafkaError {
        KafkaError::Request { action: self.action.clone(), code }
    }
}
