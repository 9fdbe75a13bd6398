//! One lane of a shard: forms batches of its records, one after another, and delivers each until it
//! is settled.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::batch::{Answer, Batch, Delivery, event_bytes, read_answer, settle};
use super::checkpoints::Checkpoint;
use super::event::EVENT_BYTES_MAX;
use super::function::Function;
use super::progress::Progress;
use super::report::GivenUp;
use super::state::{Shared, Stop};
use super::worker::wall_ms;
use bench_service_lambda::MappingSettings;

/// The first wait before the retry of a failed batch, and the longest. AWS does not publish its
/// own.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// What the lanes of a shard share.
#[derive(Debug)]
pub(super) struct ShardWork {
    /// The shard's id.
    pub(super) id: String,
    pub(super) function: Arc<Function>,
    pub(super) shared: Arc<Shared>,
    progress: Mutex<Progress>,
    /// Notified when the checkpoint moves.
    moved: Notify,
}

impl ShardWork {
    pub(super) fn new(
        id: String,
        function: Arc<Function>,
        shared: Arc<Shared>,
        checkpoint: Option<String>,
    ) -> Self {
        let progress = Mutex::new(Progress::after(checkpoint));
        Self { id, function, shared, progress, moved: Notify::new() }
    }

    pub(super) fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until records are settled.
    pub(super) async fn wait_for_progress(&self) {
        self.moved.notified().await;
    }

    /// Marks these records as settled.
    pub(super) fn settle(&self, records: &[Delivery]) {
        let mut progress = self.progress();
        let mut moved = false;
        for record in records {
            moved |= progress.settle(record.position);
        }
        if moved && let Some(checkpoint) = progress.checkpoint() {
            let checkpoint = Checkpoint::After(checkpoint.to_owned());
            self.shared.checkpoint(&self.id, checkpoint);
            self.moved.notify_one();
        }
    }

    /// Gives records up.
    pub(super) fn give_up(&self, why: GivenUp, records: &[Delivery]) {
        self.shared.give_up(&self.id, why, records);
        self.settle(records);
    }

    fn settings(&self) -> &MappingSettings {
        &self.shared.config.settings
    }
}

/// One lane.
#[derive(Debug)]
pub(super) struct Lane {
    work: Arc<ShardWork>,
    records: mpsc::UnboundedReceiver<Delivery>,
    /// The record that did not fit into the last batch.
    left_over: Option<Delivery>,
    stop: Stop,
}

impl Lane {
    pub(super) fn new(
        work: Arc<ShardWork>,
        records: mpsc::UnboundedReceiver<Delivery>,
        stop: Stop,
    ) -> Self {
        Self { work, records, left_over: None, stop }
    }

    /// Delivers until the shard has no more records or the mapping stops.
    pub(super) async fn run(mut self) {
        while let Some(batch) = self.next_batch().await {
            if self.stop.is_set() {
                return;
            }
            self.deliver(batch).await;
        }
    }

    /// Waits for a record, then for as many more as fit while the batching window is open.
    async fn next_batch(&mut self) -> Option<Batch> {
        let first = if let Some(record) = self.left_over.take() {
            record
        } else {
            tokio::select! {
                record = self.records.recv() => record?,
                () = self.stop.wait() => return None,
            }
        };
        let settings = self.work.settings();
        let records_max = settings.batch_size as usize;
        let closes_at = Instant::now() + Duration::from_millis(settings.batching_window_ms);
        let mut bytes = event_bytes(first.text.len());
        let mut records = vec![first];
        while records.len() < records_max {
            let next = match self.records.try_recv() {
                Ok(record) => Some(record),
                Err(mpsc::error::TryRecvError::Disconnected) => None,
                Err(mpsc::error::TryRecvError::Empty) => tokio::select! {
                    biased;
                    () = self.stop.wait() => None,
                    record = tokio::time::timeout_at(closes_at, self.records.recv()) => {
                        record.ok().flatten()
                    }
                },
            };
            let Some(record) = next else { break };
            // Including the comma between two records.
            bytes += 1 + record.text.len();
            if bytes > EVENT_BYTES_MAX {
                self.left_over = Some(record);
                break;
            }
            records.push(record);
        }
        Some(Batch::new(records))
    }

    async fn deliver(&mut self, batch: Batch) {
        let work = Arc::clone(&self.work);
        let mut todo = VecDeque::from([batch]);
        while let Some(mut batch) = todo.pop_front() {
            if !self.wait_before_retry(batch.failures).await {
                return;
            }
            let expired = batch.take_expired(oldest_ms(work.settings()));
            work.give_up(GivenUp::RecordAgeExceeded, &expired);
            if batch.records.is_empty() {
                continue;
            }
            let Some(answer) = self.invoke(&batch).await else { return };
            let settled = settle(batch, answer, work.settings());
            work.shared.count(|counts| {
                counts.records_done += settled.done.len() as u64;
                counts.bisections += u64::from(settled.bisected);
                counts.retries += u64::from(!settled.again.is_empty());
                counts.partial_failures += u64::from(
                    !settled.done.is_empty()
                        && (!settled.again.is_empty() || !settled.given_up.is_empty()),
                );
            });
            work.settle(&settled.done);
            work.give_up(GivenUp::RetryAttemptsExhausted, &settled.given_up);
            for batch in settled.again.into_iter().rev() {
                todo.push_front(batch);
            }
        }
    }

    /// Waits before the next attempt; `false` if there will be none.
    async fn wait_before_retry(&mut self, failures: u32) -> bool {
        if failures > 0 {
            let wait = BACKOFF_MIN.saturating_mul(1 << (failures - 1).min(16)).min(BACKOFF_MAX);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.stop.wait() => {}
            }
        }
        !self.stop.is_set()
    }

    /// Invokes the function; `None` if the mapping stops before it has answered.
    async fn invoke(&mut self, batch: &Batch) -> Option<Answer> {
        let work = &self.work;
        if let Some(last) = batch.records.last() {
            let age_ms = wall_ms().saturating_sub(u64::try_from(last.arrived_ms).unwrap_or(0));
            work.shared.count(|counts| {
                counts.iterator_age_ms = age_ms;
                counts.iterator_age_max_ms = counts.iterator_age_max_ms.max(age_ms);
            });
        }
        let answer = tokio::select! {
            answer = work.function.invoke(batch.event()) => answer,
            () = self.stop.wait_for_grace() => return None,
        };
        Some(match answer {
            Ok(answer) if work.settings().report_batch_item_failures => {
                read_answer(&batch.records, &answer)
            }
            Ok(_) => Answer::Done,
            Err(failure) => {
                let records = batch.records.len();
                tracing::warn!(shard = work.id, records, ?failure, "a batch failed");
                Answer::Failed
            }
        })
    }
}

/// Records that arrived before this are too old, ms since 1970.
fn oldest_ms(settings: &MappingSettings) -> i64 {
    match settings.maximum_record_age_s {
        -1 => i64::MIN,
        age_s => {
            let now_ms = i64::try_from(wall_ms()).unwrap_or(i64::MAX);
            now_ms.saturating_sub(age_s.saturating_mul(1_000))
        }
    }
}
