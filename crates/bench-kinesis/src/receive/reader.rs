//! Polling one shard with `GetRecords`.

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

/// Most records that a call returns (the service's limit).
pub const RECORDS_MAX: i32 = 10_000;

/// How a shard is polled.
#[derive(Debug, Clone, Copy)]
pub struct Polling {
    /// Records that a call asks for, 1 to [`RECORDS_MAX`].
    pub records_max: i32,
    /// Time between two calls while a shard has nothing more for the moment.
    pub interval: Duration,
    /// Whether to keep to what a shard of AWS gives: 5 calls and 2 MiB a second. Otherwise a
    /// backlog is read as fast as calls are answered.
    pub within_limits: bool,
}

impl Default for Polling {
    /// As suits AWS.
    fn default() -> Self {
        let interval = Duration::from_millis(200);
        Self { records_max: RECORDS_MAX, interval, within_limits: true }
    }
}

/// What came of a shard at once.
#[derive(Debug, Default)]
pub struct ShardBatch {
    /// The records, oldest first, as they are in the stream: aggregated ones are one record.
    pub records: Vec<Record>,
    /// How far the reader is behind the newest record of the shard, ms; 0 when it has caught up.
    pub behind_ms: i64,
    /// When the shard has been read to its end: the shards that it was split or merged into, and all
    /// that these descend from. They go to [`ShardTree::add`](super::ShardTree::add) as they are.
    pub children: Option<Vec<Shard>>,
}

impl ShardBatch {
    /// Whether everything that was in the shard has been handed out, up to this batch.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.children.is_some() || (self.records.is_empty() && self.behind_ms == 0)
    }
}

/// Reads one shard from a place on, in order, each record once.
///
/// Throttled calls, and ones that failed for the moment, are made again; iterators that have
/// expired are replaced. For its client see [`reading_client`](super::reading_client).
#[derive(Debug)]
pub struct ShardReader {
    client: Client,
    stream: String,
    shard: String,
    polling: Polling,
    pace: ShardPace,
    retries: Retries,
    iterator: Option<String>,
    /// Where a new iterator begins.
    position: ShardStart,
}

impl ShardReader {
    /// A reader of `shard`. Nothing is asked for yet.
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

    /// Settles where the reading begins, as the first [`next`](Self::next) does otherwise: of a
    /// shard that is read from its latest record on, whatever is put after this is read.
    pub async fn open(&mut self) -> Result<(), KinesisError> {
        while self.iterator.is_none() {
            self.renew_iterator().await?;
        }
        Ok(())
    }

    /// The next records, or the news that there are none for the moment. Waits until the pace
    /// allows a call. Not to be called again after the batch with the children.
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

    /// One call; nothing when it is to be made again.
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
                    // Another iterator of that kind would leave out what comes until then.
                    self.position = ShardStart::AtTimestamp(DateTime::from(SystemTime::now()));
                }
                Ok(())
            }
            Err(error) => {
                let (shard, stream) = (&self.shard, &self.stream);
                let attempted = format!("begin to read shard '{shard}' of stream '{stream}'");
                self.retries.wait_after(attempted, &error).await
            }
        }
    }
}
