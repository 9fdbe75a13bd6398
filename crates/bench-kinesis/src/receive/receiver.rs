//! The engine's transport: one consumer that reads its share of a stream's shards.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::Record;
use bench_aws::SdkConfig;
use bench_core::clock::{Clock as _, InstantNs, SystemClock};
use bench_core::counts::Counts;
use bench_core::transport::{Incoming, Receive, Timestamps, TransportError};
use tokio::runtime::Runtime;
use tokio::task::{JoinError, JoinSet};

use super::assignment::{ShardAssignment, ShardProgress};
use super::fan_out::FanOutReader;
use super::lineage::{ReadyShard, ShardTree, StreamStart, shard_number};
use super::listing::list_shards;
use super::reader::{Polling, ShardBatch, ShardReader};
use super::retry::{ReadCounters, Retries};
use super::{ReceiveError, current_thread_runtime, reading_client};
use crate::KinesisError;
use crate::aggregation::deaggregate;

/// How records are read from shards.
#[derive(Debug, Clone)]
pub enum Subscription {
    /// By polling with `GetRecords`.
    Polling(Polling),
    /// By enhanced fan-out, to the registered consumer with this ARN.
    FanOut {
        /// The ARN of the [`FanOutConsumer`](super::FanOutConsumer).
        consumer_arn: String,
    },
}

/// A consumer of one stream. It owns a connection and a runtime, which runs only within
/// [`receive`](Receive::receive): several shards are read concurrently, and nothing crosses
/// threads.
///
/// Aggregates of the Kinesis Producer Library are unpacked.
#[derive(Debug)]
pub struct KinesisReceiver {
    runtime: Runtime,
    clock: SystemClock,
    client: Client,
    stream: String,
    subscription: Subscription,
    /// Index among the consumers that share the stream.
    index: usize,
    assignment: Arc<ShardAssignment>,
    counters: Arc<ReadCounters>,
    /// One task per shard being read; it ends with the next batch.
    reading: JoinSet<ShardRead>,
}

/// A shard being read.
struct ActiveShard {
    reader: Reader,
    number: u32,
    id: String,
    progress: ShardProgress,
}

type ShardRead = (ActiveShard, Result<ShardBatch, KinesisError>);

enum Reader {
    Polling(ShardReader),
    FanOut(FanOutReader),
}

impl Reader {
    async fn open(&mut self) -> Result<(), KinesisError> {
        match self {
            Self::Polling(reader) => reader.open().await,
            Self::FanOut(reader) => reader.open().await,
        }
    }

    async fn next(&mut self) -> Result<ShardBatch, KinesisError> {
        match self {
            Self::Polling(reader) => reader.next().await,
            Self::FanOut(reader) => reader.next().await,
        }
    }
}

impl KinesisReceiver {
    /// Connects `consumers`, at least one, that share the shards of `stream`. Everything put into
    /// the stream after this is received, wherever reading starts. For `counts` see
    /// [`ReadCounters`].
    pub fn connect(
        config: &SdkConfig,
        stream: &str,
        start: &StreamStart,
        subscription: &Subscription,
        consumers: usize,
        clock: SystemClock,
        counts: &Counts,
    ) -> Result<Vec<Self>, ReceiveError> {
        let counters = Arc::new(ReadCounters::new(counts));
        let shards = current_thread_runtime()?.block_on(async {
            // Connections belong to a runtime, so this one needs its own client.
            let mut retries = Retries::new(Arc::clone(&counters));
            list_shards(&reading_client(config), stream, &mut retries).await
        })?;
        let assignment = Arc::new(ShardAssignment::new(ShardTree::new(&shards, start)?, consumers));
        let connect = |index| {
            let mut receiver = Self {
                runtime: current_thread_runtime()?,
                clock,
                client: reading_client(config),
                stream: stream.to_owned(),
                subscription: subscription.clone(),
                index,
                assignment: Arc::clone(&assignment),
                counters: Arc::clone(&counters),
                reading: JoinSet::new(),
            };
            receiver.open_first_shards()?;
            Ok(receiver)
        };
        (0..consumers).map(connect).collect()
    }

    /// Fixes the start positions, so that no later record is missed.
    fn open_first_shards(&mut self) -> Result<(), ReceiveError> {
        for ready in self.assignment.take(self.index) {
            let mut slot = self.slot(ready);
            self.runtime.block_on(slot.reader.open())?;
            self.read_on(slot);
        }
        Ok(())
    }

    fn start_new_shards(&mut self) {
        for ready in self.assignment.take(self.index) {
            let slot = self.slot(ready);
            self.read_on(slot);
        }
    }

    fn slot(&self, ready: ReadyShard) -> ActiveShard {
        let ReadyShard { id, start } = ready;
        let progress = ShardProgress::at(&start);
        let (client, stream) = (self.client.clone(), self.stream.as_str());
        let counters = Arc::clone(&self.counters);
        let reader = match &self.subscription {
            Subscription::Polling(polling) => {
                let reader = ShardReader::new(client, stream, &id, start, *polling, counters);
                Reader::Polling(reader)
            }
            Subscription::FanOut { consumer_arn } => {
                let reader = FanOutReader::new(client, consumer_arn, stream, &id, start, counters);
                Reader::FanOut(reader)
            }
        };
        ActiveShard { reader, number: shard_number(&id), id, progress }
    }

    fn read_on(&mut self, mut slot: ActiveShard) {
        let read = async move {
            let batch = slot.reader.next().await;
            (slot, batch)
        };
        self.reading.spawn_on(read, self.runtime.handle());
    }

    /// Waits until the instant for the first batch.
    fn await_batch(&mut self, until_ns: InstantNs) -> Option<Result<ShardRead, JoinError>> {
        let wait = Duration::from_nanos(until_ns.saturating_sub(self.clock.now_ns()));
        let reading = &mut self.reading;
        self.runtime.block_on(async {
            let next = async {
                match reading.join_next().await {
                    Some(read) => read,
                    // No shard yet: one may become ready later.
                    None => std::future::pending().await,
                }
            };
            tokio::time::timeout(wait, next).await.ok()
        })
    }

    fn pass_on(
        &mut self,
        read: Result<ShardRead, JoinError>,
        sink: &mut impl FnMut(Incoming<'_>),
    ) -> Result<usize, TransportError> {
        let failed = |error: &dyn std::error::Error| TransportError::new(error.to_string());
        let (mut slot, batch) = read.map_err(|error| failed(&error))?;
        let batch = batch.map_err(|error| failed(&error))?;
        let previous = std::mem::replace(&mut slot.progress, progress(&batch));
        let received_ns = self.clock.now_ns();
        let messages = self.pass_on_records(&batch.records, slot.number, received_ns, sink);
        if let Some(children) = &batch.children {
            self.assignment.finish(self.index, &slot.id, children, previous);
            self.start_new_shards();
            return Ok(messages);
        }
        self.assignment.note(previous, slot.progress);
        self.read_on(slot);
        Ok(messages)
    }

    fn pass_on_records(
        &self,
        records: &[Record],
        partition: u32,
        received_ns: InstantNs,
        sink: &mut impl FnMut(Incoming<'_>),
    ) -> usize {
        let mut messages = 0;
        for record in records {
            let timestamps =
                Timestamps { arrived_ns: self.arrived_ns(record), ..Timestamps::default() };
            for user in deaggregate(record.data.as_ref()).records() {
                let key = user.partition_key.or(record.partition_key.as_deref());
                let key = key.map(str::as_bytes);
                messages += 1;
                sink(Incoming { key, value: user.data, partition, received_ns, timestamps });
            }
        }
        messages
    }

    /// When the stream accepted a record, as an instant of this process's clock. Instants before
    /// the boot wrap around, as all instants do.
    fn arrived_ns(&self, record: &Record) -> Option<InstantNs> {
        let wall_ns = record.approximate_arrival_timestamp.as_ref()?.as_nanos();
        let wall_ns = i64::try_from(wall_ns).ok()?;
        Some(wall_ns.wrapping_sub(self.clock.origin().wall_offset_ns).cast_unsigned())
    }
}

/// The progress of a shard after a batch.
fn progress(batch: &ShardBatch) -> ShardProgress {
    if batch.is_caught_up() {
        ShardProgress::AtEnd
    } else if batch.behind_ms > 0 {
        ShardProgress::Behind
    } else {
        ShardProgress::Near
    }
}

impl Receive for KinesisReceiver {
    fn receive(
        &mut self,
        until_ns: InstantNs,
        mut sink: impl FnMut(Incoming<'_>),
    ) -> Result<usize, TransportError> {
        self.start_new_shards();
        let mut messages = 0;
        let mut next = self.await_batch(until_ns);
        while let Some(read) = next {
            messages += self.pass_on(read, &mut sink)?;
            next = self.reading.try_join_next();
        }
        Ok(messages)
    }

    fn at_end(&self) -> bool {
        self.assignment.is_at_end()
    }

    fn is_behind(&self) -> bool {
        self.assignment.is_behind()
    }

    fn waits_for(&self) -> Option<String> {
        None
    }

    fn hold_back(&mut self) {}

    fn settle(&mut self, _: usize) {}
}
