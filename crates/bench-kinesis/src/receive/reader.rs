//! Polls one shard with `GetRecords`.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::ProvideErrorMetadata as _;
use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{Record, ShardIteratorType};

use super::lineage::{Shard, ShardStart};
use super::listing::list_children;
use super::pace::ShardPace;
use super::retry::{ReadCounters, Retries};
use crate::KinesisError;

/// Maximum records per call (the service's limit).
pub const RECORDS_MAX: i32 = 10_000;

/// Settings for polling a shard.
#[derive(Debug, Clone, Copy)]
pub struct Polling {
    /// Maximum records per call, 1 to [`RECORDS_MAX`].
    pub records_max: i32,
    /// Interval between calls while a shard has no more records.
    pub interval: Duration,
    /// Whether to respect the limits of AWS shards: 5 calls and 2 MiB per second. Otherwise a
    /// backlog is read as fast as calls are answered.
    pub within_limits: bool,
}

impl Default for Polling {
    /// Settings suitable for AWS.
    fn default() -> Self {
        let interval = Duration::from_millis(200);
        Self { records_max: RECORDS_MAX, interval, within_limits: true }
    }
}

/// A batch of records of a shard.
#[derive(Debug, Default)]
pub struct ShardBatch {
    /// The Kinesis records, oldest first; an aggregate is one record.
    pub records: Vec<Record>,
    /// How far the reader lags behind the newest record of the shard, ms; 0 when it has caught up.
    pub behind_ms: i64,
    /// At the end of the shard: its child shards with all their ancestors, to be passed to
    /// [`ShardTree::add`](super::ShardTree::add).
    pub children: Option<Vec<Shard>>,
}

impl ShardBatch {
    /// Whether this batch reaches the current end of the shard.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.children.is_some() || (self.records.is_empty() && self.behind_ms == 0)
    }
}

/// Reads one shard from a position, in order, each record once.
///
/// Retries throttled calls and transient errors, and replaces expired iterators. For its client see
/// [`reading_client`](super::reading_client).
#[derive(Debug)]
pub struct ShardReader {
    client: Client,
    stream: String,
    shard: String,
    polling: Polling,
    pace: ShardPace,
    retries: Retries,
    iterator: Option<String>,
    /// Where a new iterator starts.
    position: ShardStart,
}

impl ShardReader {
    /// Creates a reader of `shard`, without sending requests.
    #[must_use]
    pub fn new(
        client: Client,
        stream: &str,
        shard: &str,
        start: ShardStart,
        polling: Polling,
        counters: Arc<ReadCounters>,
    ) -> Self {
        Self {
            client,
            stream: stream.to_owned(),
            shard: shard.to_owned(),
            polling,
            pace: ShardPace::new(polling.interval, polling.within_limits),
            retries: Retries::new(counters),
            iterator: None,
            position: start,
        }
    }

    /// The shard's id.
    #[must_use]
    pub fn shard(&self) -> &str {
        &self.shard
    }

    /// Fixes the start position, which otherwise happens in the first [`next`](Self::next): with
    /// [`ShardStart::Latest`], all records put after this call are read.
    pub async fn open(&mut self) -> Result<(), KinesisError> {
        while self.iterator.is_none() {
            self.renew_iterator().await?;
        }
        Ok(())
    }

    /// Returns the next records, possibly none. Waits until the pace allows a call. Do not call
    /// again after the batch with the children.
    pub async fn next(&mut self) -> Result<ShardBatch, KinesisError> {
        loop {
            if let Some(at) = self.pace.next_call() {
                tokio::time::sleep_until(at.into()).await;
            }
            self.open().await?;
            if let Some(answer) = self.get_records().await? {
                return self.accept(answer).await;
            }
        }
    }

    /// Makes one call; `None` if it must be retried.
    async fn get_records(&mut self) -> Result<Option<GetRecordsOutput>, KinesisError> {
        self.pace.called(Instant::now());
        self.retries.counters().add_call();
        let request = self.client.get_records().set_shard_iterator(self.iterator.clone());
        let error = match request.limit(self.polling.records_max).send().await {
            Ok(answer) => {
                self.retries.succeeded();
                return Ok(Some(answer));
            }
            Err(error) => error,
        };
        if error.code() == Some("ExpiredIteratorException") {
            self.iterator = None;
            self.pace.answered(0, true);
            self.retries.counters().add_resumed();
        } else {
            let attempted = format!("read shard '{}' of stream '{}'", self.shard, self.stream);
            self.retries.wait_after(attempted, &error).await?;
        }
        Ok(None)
    }

    async fn accept(&mut self, answer: GetRecordsOutput) -> Result<ShardBatch, KinesisError> {
        if let Some(last) = answer.records.last() {
            self.position = ShardStart::AfterSequence(last.sequence_number.clone());
        }
        let behind_ms = answer.millis_behind_latest.unwrap_or(0);
        let is_full =
            answer.records.len() >= usize::try_from(self.polling.records_max).unwrap_or(0);
        let bytes = answer.records.iter().map(|record| record.data.as_ref().len()).sum();
        self.pace.answered(bytes, is_full || behind_ms > 0);
        self.iterator = answer.next_shard_iterator;
        let children = if self.iterator.is_none() {
            let (client, retries, named) = (&self.client, &mut self.retries, answer.child_shards);
            Some(list_children(client, &self.stream, &self.shard, named, retries).await?)
        } else {
            None
        };
        Ok(ShardBatch { records: answer.records, behind_ms, children })
    }

    async fn renew_iterator(&mut self) -> Result<(), KinesisError> {
        use ShardIteratorType as Type;
        let request = self.client.get_shard_iterator();
        let request = request.stream_name(&self.stream).shard_id(&self.shard);
        let request = match self.position.clone() {
            ShardStart::TrimHorizon => request.shard_iterator_type(Type::TrimHorizon),
            ShardStart::Latest => request.shard_iterator_type(Type::Latest),
            ShardStart::AtTimestamp(at) => {
                request.shard_iterator_type(Type::AtTimestamp).timestamp(at)
            }
            ShardStart::AtSequence(number) => {
                request.shard_iterator_type(Type::AtSequenceNumber).starting_sequence_number(number)
            }
            ShardStart::AfterSequence(number) => request
                .shard_iterator_type(Type::AfterSequenceNumber)
                .starting_sequence_number(number),
        };
        match request.send().await {
            Ok(answer) => {
                self.retries.succeeded();
                self.iterator = answer.shard_iterator;
                if self.position == ShardStart::Latest {
                    // Another `Latest` iterator would skip records that arrive until it is created.
                    self.position = ShardStart::AtTimestamp(DateTime::from(SystemTime::now()));
                }
                Ok(())
            }
            Err(error) => {
                let (shard, stream) = (&self.shard, &self.stream);
                let attempted = format!("start to read shard '{shard}' of stream '{stream}'");
                self.retries.wait_after(attempted, &error).await
            }
        }
    }
}
