//! One shard of a mapping: read in order and distributed to its lanes.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::Record;
use bench_kinesis::KinesisError;
use bench_kinesis::receive::{Polling, RECORDS_MAX, ReadCounters, Shard, ShardReader, ShardStart};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::batch::{Delivery, event_bytes};
use super::event::{EVENT_BYTES_MAX, EventSource, StreamRecord};
use super::lane::{Lane, ShardWork};
use super::report::GivenUp;
use super::state::Stop;

/// A shorter poll interval cannot keep to AWS's five calls per second, so it is not meant to.
const INTERVAL_WITHIN_LIMITS: Duration = Duration::from_millis(200);

/// Reads one shard and delivers its records.
#[derive(Debug)]
pub(super) struct ShardTask {
    pub(super) client: Client,
    pub(super) source: Arc<EventSource>,
    pub(super) work: Arc<ShardWork>,
    pub(super) start: ShardStart,
    pub(super) counters: Arc<ReadCounters>,
    /// Stops everything.
    pub(super) stop: Stop,
    /// Stops reading; what was read is delivered.
    pub(super) stop_reading: Stop,
}

impl ShardTask {
    /// Runs until the end of the shard, when all of it is settled, and returns its children; or
    /// until it is stopped.
    pub(super) async fn run(self) -> Result<Option<Vec<Shard>>, KinesisError> {
        let mut lanes = JoinSet::new();
        let mut senders = Vec::new();
        for _ in 0..self.work.shared.config.settings.parallelization_factor {
            let (sender, receiver) = unbounded_channel();
            lanes.spawn(Lane::new(Arc::clone(&self.work), receiver, self.stop.clone()).run());
            senders.push(sender);
        }
        let ended = self.read(&senders).await;
        drop(senders);
        while let Some(lane) = lanes.join_next().await {
            if let Err(error) = lane
                && let Ok(panic) = error.try_into_panic()
            {
                std::panic::resume_unwind(panic);
            }
        }
        let is_settled = self.work.progress().open().0 == 0;
        Ok(ended?.filter(|_| is_settled))
    }

    async fn read(
        &self,
        lanes: &[UnboundedSender<Delivery>],
    ) -> Result<Option<Vec<Shard>>, KinesisError> {
        let settings = &self.work.shared.config.settings;
        let interval = Duration::from_millis(settings.poll_interval_ms);
        let within_limits = interval >= INTERVAL_WITHIN_LIMITS;
        let polling = Polling { records_max: RECORDS_MAX, interval, within_limits };
        let mut reader = ShardReader::new(
            self.client.clone(),
            &self.work.shared.config.stream,
            &self.work.id,
            self.start.clone(),
            polling,
            Arc::clone(&self.counters),
        );
        let (mut stop, mut stop_reading) = (self.stop.clone(), self.stop_reading.clone());
        loop {
            let batch = tokio::select! {
                batch = async {
                    self.wait_for_room().await;
                    reader.next().await
                } => batch?,
                () = stop_reading.wait() => return Ok(None),
                () = stop.wait() => return Ok(None),
            };
            let records = batch.records.len() as u64;
            self.work.shared.count(|counts| counts.records_read += records);
            for record in &batch.records {
                self.deal_out(record, lanes);
            }
            if batch.children.is_some() {
                return Ok(batch.children);
            }
        }
    }

    /// Waits until the lanes will soon run out of records.
    async fn wait_for_room(&self) {
        let settings = &self.work.shared.config.settings;
        let lanes = settings.parallelization_factor as usize;
        let records_max = 2 * lanes * settings.batch_size as usize;
        let bytes_max = 2 * lanes * EVENT_BYTES_MAX;
        loop {
            let (records, bytes) = self.work.progress().open();
            if records < records_max && bytes < bytes_max {
                return;
            }
            self.work.wait_for_progress().await;
        }
    }

    fn deal_out(&self, record: &Record, lanes: &[UnboundedSender<Delivery>]) {
        let arrived = record.approximate_arrival_timestamp;
        let record = StreamRecord {
            sequence_number: &record.sequence_number,
            partition_key: record.partition_key.as_deref().unwrap_or_default(),
            data: record.data.as_ref(),
            arrived_ms: arrived.map_or(0, |time| time.to_millis().unwrap_or(0)),
        };
        let text = self.source.record(&self.work.id, &record);
        let delivery = Delivery {
            position: self.work.progress().read(record.sequence_number, text.len()),
            sequence_number: record.sequence_number.to_owned(),
            text,
            arrived_ms: record.arrived_ms,
        };
        if event_bytes(delivery.text.len()) > EVENT_BYTES_MAX {
            self.work.give_up(GivenUp::RecordTooLarge, &[delivery]);
            return;
        }
        let lane = lane_of(record.partition_key, lanes.len());
        if let Some(lane) = lanes.get(lane) {
            // A lane ends before its shard only when all stop; its records will be read again.
            let _ = lane.send(delivery);
        }
    }
}

/// The lane for all records of a partition key.
fn lane_of(partition_key: &str, lanes: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    partition_key.hash(&mut hasher);
    usize::try_from(hasher.finish() % lanes.max(1) as u64).unwrap_or(0)
}
