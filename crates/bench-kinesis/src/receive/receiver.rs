//! The engine's transport: one consumer, which reads its share of a stream's shards.

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

use super::fan_out::FanOutReader;
use super::lineage::{ReadyShard, ShardTree, StreamStart, shard_number};
use super::listing::list_shards;
use super::reader::{Polling, ShardBatch, ShardReader};
use super::retry::{ReadCounters, Retries};
use super::sharing::{Sharing, Standing};
use super::{ReceiveError, current_thread_runtime, reading_client};
use crate::KinesisError;
use crate::aggregation::deaggregate;

/// How records come out of the shards.
#[derive(Debug, Clone)]
pub enum Subscription {
    /// By polling with `GetRecords`.
    Polling(Polling),
    /// By enhanced fan-out, to the registered consumer with this ARN.
    FanOut {
        /// Of the [`FanOutConsumer`](super::FanOutConsumer).
        consumer_arn: String,
    },
}

/// A consumer of one stream. It owns a connection and a runtime, which is driven within
/// [`receive`](Receive::receive) only: several shards are asked at once, and nothing is handed from
/// one thread to another.
///
/// Aggregated records of the Kinesis Producer Library are taken apart.
#[derive(Debug)]
pub struct KinesisReceiver {
    runtime: Runtime,
    clock: SystemClock,
    client: Client,
    stream: String,
    subscription: Subscription,
    /// Which of the consumers that share the stream this is.
    index: usize,
    sharing: Arc<Sharing>,
    counters: Arc<ReadCounters>,
    /// One task for each shard that is being read; it ends with the next batch.
    reading: JoinSet<Turn>,
}

/// A shard that is being read.
struct Slot {
    reader: Reader,
    number: u32,
    id: String,
    standing: Standing,
}

type Turn = (Slot, Result<ShardBatch, KinesisError>);

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
    /// Connects so many consumers, at least one, that share the shards of `stream`. Whatever is put
    /// into the stream after this is received, wherever reading begins. What they count beside the
    /// messages goes into `counts`, see [`ReadCounters`].
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
            // Connections belong to a runtime, hence a client for this one.
            let mut retries = Retries::new(Arc::clone(&counters));
            list_shards(&reading_client(config), stream, &mut retries).await
        })?;
        let sharing = Arc::new(Sharing::new(ShardTree::new(&shards, start)?, consumers));
        let connect = |index| {
            let mut receiver = Self {
                runtime: current_thread_runtime()?,
                clock,
                client: reading_client(config),
                stream: stream.to_owned(),
                subscription: subscription.clone(),
                index,
                sharing: Arc::clone(&sharing),
                counters: Arc::clone(&counters),
                reading: JoinSet::new(),
            };
            receiver.open_first_shards()?;
            Ok(receiver)
        };
        (0..consumers).map(connect).collect()
    }

    /// Settles where reading begins, so that nothing that comes later is missed.
    fn open_first_shards(&mut self) -> Result<(), ReceiveError> {
        for ready in self.sharing.take(self.index) {
            let mut slot = self.slot(ready);
            self.runtime.block_on(slot.reader.open())?;
            self.read_on(slot);
        }
        Ok(())
    }

    fn take_up_new_shards(&mut self) {
        for ready in self.sharing.take(self.index) {
            let slot = self.slot(ready);
            self.read_on(slot);
        }
    }

    fn slot(&self, ready: ReadyShard) -> Slot {
        let ReadyShard { id, start } = ready;
        let standing = Standing::at(&start);
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
        Slot { reader, number: shard_number(&id), id, standing }
    }

    fn read_on(&mut self, mut slot: Slot) {
        let turn = async move {
            let batch = slot.reader.next().await;
            (slot, batch)
        };
        self.reading.spawn_on(turn, self.runtime.handle());
    }

    /// The first batch that comes until then.
    fn await_batch(&mut self, until_ns: InstantNs) -> Option<Result<Turn, JoinError>> {
        let wait = Duration::from_nanos(until_ns.saturating_sub(self.clock.now_ns()));
        let reading = &mut self.reading;
        self.runtime.block_on(async {
            let next = async {
                match reading.join_next().await {
                    Some(turn) => turn,
                    // No shard: another consumer may hand one over later.
                    None => std::future::pending().await,
                }
            };
            tokio::time::timeout(wait, next).await.ok()
        })
    }

    fn pass_on(
        &mut self,
        turn: Result<Turn, JoinError>,
        sink: &mut impl FnMut(Incoming<'_>),
    ) -> Result<usize, TransportError> {
        let failed = |error: &dyn std::error::Error| TransportError::new(error.to_string());
        let (mut slot, batch) = turn.map_err(|error| failed(&error))?;
        let batch = batch.map_err(|error| failed(&error))?;
        let stood = std::mem::replace(&mut slot.standing, standing(&batch));
        let received_ns = self.clock.now_ns();
        let messages = self.pass_on_records(&batch.records, slot.number, received_ns, sink);
        if let Some(children) = &batch.children {
            self.sharing.finish(self.index, &slot.id, children, stood);
            self.take_up_new_shards();
            return Ok(messages);
        }
        self.sharing.note(stood, slot.standing);
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

    /// When the stream took a record in, as an instant of this process's clock. Before the boot it
    /// wraps around, as all instants do.
    fn arrived_ns(&self, record: &Record) -> Option<InstantNs> {
        let wall_ns = record.approximate_arrival_timestamp.as_ref()?.as_nanos();
        let wall_ns = i64::try_from(wall_ns).ok()?;
        Some(wall_ns.wrapping_sub(self.clock.origin().wall_offset_ns).cast_unsigned())
    }
}

/// Where a shard stands after a batch.
fn standing(batch: &ShardBatch) -> Standing {
    if batch.is_caught_up() {
        Standing::AtEnd
    } else if batch.behind_ms > 0 {
        Standing::Behind
    } else {
        Standing::Near
    }
}

impl Receive for KinesisReceiver {
    fn receive(
        &mut self,
        until_ns: InstantNs,
        mut sink: impl FnMut(Incoming<'_>),
    ) -> Result<usize, TransportError> {
        self.take_up_new_shards();
        let mut messages = 0;
        let mut next = self.await_batch(until_ns);
        while let Some(turn) = next {
            messages += self.pass_on(turn, &mut sink)?;
            next = self.reading.try_join_next();
        }
        Ok(messages)
    }

    fn at_end(&self) -> bool {
        self.sharing.is_at_end()
    }

    fn is_behind(&self) -> bool {
        self.sharing.is_behind()
    }

    fn waits_for(&self) -> Option<String> {
        None
    }

    fn hold_back(&mut self) {}

    fn settle(&mut self, _: usize) {}
}
