//! Reads the offsets of topics, and waits for open transactions.

use std::time::Duration;

use rdkafka::producer::{BaseProducer, Producer as _};

use super::connect::ConnectionErrors;
use super::{Admin, no_such, to_native};
use crate::answers::Subject;
use crate::error::KafkaError;
use crate::reading::OpenTransaction;

/// Interval between polls for the end of a transaction.
const TRANSACTION_POLL: Duration = Duration::from_millis(200);

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

impl Admin {
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
        let reader: BaseProducer<ConnectionErrors> =
            native.create_with_context(ConnectionErrors::default()).map_err(|error| {
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

    pub(super) fn partition_watermarks(
        &self,
        name: &str,
        partition: i32,
    ) -> Result<PartitionWatermarks, KafkaError> {
        self.watermarks_as(&self.client, name, partition)
    }

    /// The watermarks as this client's `isolation.level` shows them.
    fn watermarks_as(
        &self,
        client: &BaseProducer<ConnectionErrors>,
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
}
