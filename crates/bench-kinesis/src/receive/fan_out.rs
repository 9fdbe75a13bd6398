//! Enhanced fan-out: shards push their records to a registered consumer.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_kinesis::operation::describe_stream_consumer::DescribeStreamConsumerError;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::primitives::event_stream::EventReceiver;
use aws_sdk_kinesis::types::error::SubscribeToShardEventStreamError;
use aws_sdk_kinesis::types::{
    ConsumerStatus, ShardIteratorType, StartingPosition, SubscribeToShardEvent,
    SubscribeToShardEventStream,
};
use bench_aws::{AwsError, SdkConfig, is_throttled};
use tokio::runtime::Runtime;

use super::lineage::ShardStart;
use super::listing::list_children;
use super::reader::ShardBatch;
use super::retry::{ReadCounters, Retries};
use super::{ReceiveError, current_thread_runtime};
use crate::{KinesisError, admin};

/// Maximum time for a new consumer to become active.
const ACTIVE_TIMEOUT: Duration = Duration::from_mins(1);

/// Interval between polls of its status.
const ACTIVE_POLL: Duration = Duration::from_millis(250);

/// A consumer registered with a stream.
///
/// A registered consumer costs money by the hour; if this value registered it, dropping it
/// deregisters the consumer.
#[derive(Debug)]
pub struct FanOutConsumer {
    runtime: Runtime,
    client: Client,
    name: String,
    arn: String,
    is_ours: bool,
}

impl FanOutConsumer {
    /// Registers a consumer with this name and waits until it is active. An existing consumer is
    /// used and stays registered.
    pub fn register(config: &SdkConfig, stream: &str, name: &str) -> Result<Self, ReceiveError> {
        let runtime = current_thread_runtime()?;
        let client = Client::new(config);
        let (arn, is_ours) = runtime.block_on(register(&client, stream, name))?;
        let consumer = Self { runtime, client, name: name.to_owned(), arn, is_ours };
        // From here on, errors deregister it.
        consumer.runtime.block_on(await_active(&consumer.client, name, &consumer.arn))?;
        Ok(consumer)
    }

    /// Its ARN.
    #[must_use]
    pub fn arn(&self) -> &str {
        &self.arn
    }
}

impl Drop for FanOutConsumer {
    fn drop(&mut self) {
        if !self.is_ours {
            return;
        }
        let request = self.client.deregister_stream_consumer().consumer_arn(&self.arn);
        if let Err(error) = self.runtime.block_on(request.send()) {
            let error = AwsError::new(format!("deregister consumer '{}'", self.name), &error);
            tracing::warn!(
                "{error}; it costs money until you run: aws kinesis deregister-stream-consumer \
                 --consumer-arn {}",
                self.arn
            );
        }
    }
}

/// Returns the consumer's ARN, and whether it is new.
async fn register(
    client: &Client,
    stream: &str,
    name: &str,
) -> Result<(String, bool), ReceiveError> {
    let stream_arn = admin::describe(client, stream).await?.arn;
    let request = client.register_stream_consumer().stream_arn(&stream_arn);
    match request.consumer_name(name).send().await {
        Ok(answer) => {
            let arn = answer.consumer.map(|consumer| consumer.consumer_arn);
            Ok((arn.unwrap_or_default(), true))
        }
        Err(error) if error.code() == Some("ResourceInUseException") => {
            let request = client.describe_stream_consumer().stream_arn(stream_arn);
            let answer = request.consumer_name(name).send().await;
            let answer = answer.map_err(|error| description_failed(name, &error))?;
            let arn = answer.consumer_description.map(|consumer| consumer.consumer_arn);
            Ok((arn.unwrap_or_default(), false))
        }
        Err(error) => {
            let attempted = format!("register consumer '{name}' with stream '{stream}'");
            Err(KinesisError::from(AwsError::new(attempted, &error)).into())
        }
    }
}

fn description_failed(name: &str, error: &SdkError<DescribeStreamConsumerError>) -> KinesisError {
    AwsError::new(format!("describe consumer '{name}'"), error).into()
}

async fn await_active(client: &Client, name: &str, arn: &str) -> Result<(), ReceiveError> {
    let is_active = async {
        loop {
            let answer = client.describe_stream_consumer().consumer_arn(arn).send().await;
            let answer = answer.map_err(|error| description_failed(name, &error))?;
            let status = answer.consumer_description.map(|consumer| consumer.consumer_status);
            if status == Some(ConsumerStatus::Active) {
                return Ok(());
            }
            tokio::time::sleep(ACTIVE_POLL).await;
        }
    };
    tokio::time::timeout(ACTIVE_TIMEOUT, is_active).await.unwrap_or_else(|_| {
        Err(ReceiveError::ConsumerNotActive { name: name.to_owned(), timeout: ACTIVE_TIMEOUT })
    })
}

type Events = EventReceiver<SubscribeToShardEventStream, SubscribeToShardEventStreamError>;

/// Reads one shard by subscriptions, in order, each record once. Subscriptions are renewed when
/// they break or end (after five minutes on AWS).
pub(super) struct FanOutReader {
    client: Client,
    consumer_arn: String,
    stream: String,
    shard: String,
    retries: Retries,
    events: Option<Events>,
    /// Where a new subscription starts: at the record passed on last, or later.
    position: ShardStart,
    /// The sequence number of the record passed on last.
    last: Option<String>,
}

impl FanOutReader {
    pub(super) fn new(
        client: Client,
        consumer_arn: &str,
        stream: &str,
        shard: &str,
        start: ShardStart,
        counters: Arc<ReadCounters>,
    ) -> Self {
        Self {
            client,
            consumer_arn: consumer_arn.to_owned(),
            stream: stream.to_owned(),
            shard: shard.to_owned(),
            retries: Retries::new(counters),
            events: None,
            position: start,
            last: None,
        }
    }

    /// Subscribes, which otherwise happens in the first [`next`](Self::next).
    pub(super) async fn open(&mut self) -> Result<(), KinesisError> {
        while self.events.is_none() {
            self.subscribe().await?;
        }
        Ok(())
    }

    /// Returns the next records, possibly none.
    pub(super) async fn next(&mut self) -> Result<ShardBatch, KinesisError> {
        loop {
            self.open().await?;
            let Some(events) = &mut self.events else { continue };
            match events.recv().await {
                Ok(Some(SubscribeToShardEventStream::SubscribeToShardEvent(event))) => {
                    self.retries.succeeded();
                    return self.accept(event).await;
                }
                // An unknown kind of event.
                Ok(Some(_)) => {}
                Ok(None) => {
                    self.events = None;
                    self.retries.counters().add_resumed();
                }
                Err(error) => {
                    self.events = None;
                    let attempted = format!(
                        "follow shard '{}' of stream '{}' by subscription",
                        self.shard, self.stream
                    );
                    let throttled = error.code().is_some_and(is_throttled);
                    self.retries.wait(throttled, AwsError::new(attempted, &error)).await?;
                }
            }
        }
    }

    async fn accept(&mut self, event: SubscribeToShardEvent) -> Result<ShardBatch, KinesisError> {
        // The last event of a shard has no number to continue from.
        let is_last = event.continuation_sequence_number.is_empty();
        if !is_last {
            self.position = ShardStart::AtSequence(event.continuation_sequence_number);
        }
        let mut records = event.records;
        if let Some(last) = &self.last {
            records.retain(|record| is_later(&record.sequence_number, last));
        }
        if let Some(record) = records.last() {
            self.last = Some(record.sequence_number.clone());
        }
        let named = event.child_shards.filter(|children| !children.is_empty());
        // A service may list the children before the last records.
        let is_end = is_last || (named.is_some() && records.is_empty());
        let children = if is_end {
            let (client, retries) = (&self.client, &mut self.retries);
            Some(list_children(client, &self.stream, &self.shard, named, retries).await?)
        } else {
            None
        };
        Ok(ShardBatch { records, behind_ms: event.millis_behind_latest, children })
    }

    async fn subscribe(&mut self) -> Result<(), KinesisError> {
        self.retries.counters().add_call();
        let request = self.client.subscribe_to_shard().consumer_arn(&self.consumer_arn);
        let request = request.shard_id(&self.shard).set_starting_position(self.starting_position());
        let error = match request.send().await {
            Ok(answer) => {
                self.events = Some(answer.event_stream);
                if self.position == ShardStart::Latest {
                    // Another `Latest` subscription would skip records that arrive until it starts.
                    self.position = ShardStart::AtTimestamp(DateTime::from(SystemTime::now()));
                }
                return Ok(());
            }
            Err(error) => error,
        };
        let attempted = format!("subscribe to shard '{}' of stream '{}'", self.shard, self.stream);
        if error.code() == Some("ResourceInUseException") {
            // The service remembers the previous subscription for five seconds.
            self.retries.wait(false, AwsError::new(attempted, &error)).await
        } else {
            self.retries.wait_after(attempted, &error).await
        }
    }

    fn starting_position(&self) -> Option<StartingPosition> {
        use ShardIteratorType as Type;
        let position = StartingPosition::builder();
        let position = match self.position.clone() {
            ShardStart::TrimHorizon => position.r#type(Type::TrimHorizon),
            ShardStart::Latest => position.r#type(Type::Latest),
            ShardStart::AtTimestamp(at) => position.r#type(Type::AtTimestamp).timestamp(at),
            ShardStart::AtSequence(number) => {
                position.r#type(Type::AtSequenceNumber).sequence_number(number)
            }
            ShardStart::AfterSequence(number) => {
                position.r#type(Type::AfterSequenceNumber).sequence_number(number)
            }
        };
        // The type, the only required field, is set.
        position.build().ok()
    }
}

/// Whether one sequence number, a decimal number of any length, is above another.
fn is_later(number: &str, other: &str) -> bool {
    (number.len(), number) > (other.len(), other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_compare_as_numbers() {
        assert!(is_later("100", "99") && is_later("101", "100"));
        assert!(!is_later("100", "100") && !is_later("99", "100"));
    }
}
