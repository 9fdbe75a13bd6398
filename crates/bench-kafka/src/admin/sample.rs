//! Samples a few messages of a topic, to judge whose they are.

use std::time::{Duration, Instant};

use rdkafka::types::RDKafkaErrorCode;

use super::{Admin, PartitionWatermarks};
use crate::config::KafkaConfig;
use crate::error::KafkaError;
use crate::native::{Fetched, Membership, NativeConsumer};
use crate::reading::Until;

/// Distances from the end of a partition at which to look for its last message, tried in order:
/// transactions leave markers there that no consumer sees, and compaction leaves gaps.
const STEPS_BACK: [i64; 4] = [1, 16, 256, 4_096];

/// Maximum messages per fetch.
const BATCH_MAX: usize = 64;

/// Interval between checks of the timeout.
const POLL: Duration = Duration::from_millis(100);

/// A message of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampledMessage {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its value; `None` for a tombstone.
    pub payload: Option<Vec<u8>>,
}

impl Admin {
    /// Calls `visit` with the first and the last message of every partition that has any. Joins no
    /// group and commits nothing.
    pub fn sample_messages(
        &self,
        topic: &str,
        watermarks: &[PartitionWatermarks],
        mut visit: impl FnMut(&SampledMessage),
    ) -> Result<(), KafkaError> {
        let mut reader = Sampler::new(topic, &self.config, self.timeout)?;
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

struct Sampler {
    /// Outside any group, so that no permission on a group is needed.
    consumer: NativeConsumer,
    topic: String,
    action: String,
    timeout: Duration,
}

impl Sampler {
    fn new(topic: &str, config: &KafkaConfig, timeout: Duration) -> Result<Self, KafkaError> {
        let mut config = config.clone();
        for (name, value) in [
            ("auto.offset.reset", "earliest"),
            ("fetch.wait.max.ms", "10"),
            // Messages of aborted transactions also have an owner.
            ("isolation.level", "read_uncommitted"),
        ] {
            config.set(name, value);
        }
        let action = format!("read messages of topic '{topic}'");
        let consumer = NativeConsumer::new(&config, BATCH_MAX, Until::Stopped, Membership::Alone)?;
        Ok(Self { consumer, topic: topic.to_owned(), action, timeout })
    }

    /// The first message at or after `from`.
    fn first_from(
        &mut self,
        partition: i32,
        from: i64,
        high: i64,
    ) -> Result<Option<SampledMessage>, KafkaError> {
        self.read(partition, from, high, |_| true)
    }

    /// The last message from `first`, which is known to exist, up to `high`.
    fn last_before(
        &mut self,
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

    /// Reads from an offset and returns the first message whose offset satisfies `is_wanted`, or
    /// else the last one before the end of the partition.
    fn read(
        &mut self,
        partition: i32,
        from: i64,
        high: i64,
        is_wanted: impl Fn(i64) -> bool,
    ) -> Result<Option<SampledMessage>, KafkaError> {
        if from >= high {
            return Ok(None);
        }
        self.consumer.assign(&self.topic, &[(partition, from)])?;
        let deadline = Instant::now() + self.timeout;
        let mut latest = None;
        let mut last_error = RDKafkaErrorCode::OperationTimedOut;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            self.consumer.fetch(left.min(POLL));
            let mut is_over = false;
            self.consumer.pass_on(|fetched| match fetched {
                // Anything fetched after the wanted message does not matter.
                _ if is_over => {}
                Fetched::Message(record) if record.partition() == partition => {
                    let offset = record.offset();
                    let payload = record.value().map(<[u8]>::to_vec);
                    latest = Some(SampledMessage { partition, offset, payload });
                    is_over = is_wanted(offset);
                }
                Fetched::End { partition: ended, .. } => is_over = ended == partition,
                Fetched::Message(_) => {}
                // An error of one broker among several is transient; a lasting one ends in the
                // timeout.
                Fetched::Error(code) => last_error = code,
            });
            if is_over {
                return Ok(latest);
            }
            if left.is_zero() || last_error == RDKafkaErrorCode::TopicAuthorizationFailed {
                let action = self.action.as_str();
                return Err(KafkaError::answer(action, last_error, self.consumer.subject(), None)
                    .because_of(self.consumer.reports().health.last_error()));
            }
        }
    }
}
