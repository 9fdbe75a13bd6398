//! The publisher: the open batch, the batches in flight, and their results.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, SystemTime};

use bench_core::clock::{Clock as _, InstantNs, SystemClock};
use bench_core::counts::Counts;
use bench_core::durations::Durations;
use bench_core::transport::{
    self, Batch, Completion, Delivery, LINGERING_MAX_NS, Publish, Token, TransportError,
};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::batch::{Collector, CommitInstants};
use super::checkpoints::Checkpoints;
use super::committer::{BatchResult, Committer, Log, Uploading};
use super::config::{CommitPath, PublishConfig};
use super::counts::PublishCounts;
use super::direct::DirectLog;
use super::failure::Failures;
use super::rows::Pool;
use super::standard::StandardLog;
use super::uploader::Uploader;
use crate::table::Table;
use crate::{DeltaError, Lake};

/// A producer that appends to one table.
pub struct DeltaPublisher {
    lake: Lake,
    clock: SystemClock,
    config: PublishConfig,
    collector: Collector,
    uploader: Uploader,
    uploads: UnboundedSender<Uploading>,
    outcomes: Receiver<BatchResult>,
    /// When the last batch closed, by the wall clock.
    closed_at: SystemTime,
    /// Batches that have closed and have no result yet.
    under_way: usize,
    /// The batch whose messages are being completed.
    answered: Option<FinishedBatch>,
    pub(super) failures: Failures,
    stopped: Option<String>,
    // Last, so that the tasks are told to end before the runtime waits for them.
    runtime: Runtime,
}

impl DeltaPublisher {
    /// Connects a producer to an existing table. Counts, by name:
    /// - `commits`: versions written by this writer, of which `commits_recovered` were found in the
    ///   log after the response to the request had been lost;
    /// - `commit_conflicts`: how often another writer had taken the version;
    /// - `data_files` and `data_bytes` written, including files that were never committed;
    /// - `checkpoints` written, and `checkpoints_failed`.
    ///
    /// Durations: `upload_time` of a data file, without its encoding, and `commit_time` from a
    /// version's first request to the response that confirms it, both including retries.
    pub fn connect(
        lake: &Lake,
        config: PublishConfig,
        clock: SystemClock,
        counts: &Counts,
        durations: &Durations,
    ) -> Result<Self, DeltaError> {
        // A single worker, besides the threads that encode: it mostly waits for responses.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("delta-publish")
            .enable_all()
            .build()
            .map_err(DeltaError::Runtime)?;
        let counts = PublishCounts::new(counts, durations);
        let log = runtime.block_on(open_log(lake, &config, clock, &counts))?;
        let pool = Pool::default();
        let uploader = Uploader::new(lake, &config, pool.clone(), clock, counts.clone());
        let instants =
            CommitInstants { start_ns: clock.now_ns(), interval_ns: config.commit_interval_ns };
        let collector = Collector::new(instants, config.file_bytes_max, pool);
        let (uploads, queue) = unbounded_channel();
        let (told, outcomes) = channel();
        runtime.spawn(Committer { log, clock, counts, outcomes: told }.run(queue));
        Ok(Self {
            lake: lake.clone(),
            clock,
            config,
            collector,
            uploader,
            uploads,
            outcomes,
            closed_at: SystemTime::UNIX_EPOCH,
            under_way: 0,
            answered: None,
            failures: Failures::default(),
            stopped: None,
            runtime,
        })
    }

    fn may_close(&self) -> bool {
        self.under_way < self.config.uploads_max.max(1)
    }

    fn close_if_due(&mut self, now_ns: InstantNs) {
        let is_due = |due_ns| due_ns <= now_ns || self.stopped.is_some();
        if self.may_close() && self.collector.due_ns().is_some_and(is_due) {
            self.close(now_ns);
        }
    }

    /// Closes the open batch and starts its upload.
    fn close(&mut self, now_ns: InstantNs) {
        let batch = self.collector.close();
        let deadline_ns = now_ns.saturating_add(self.config.give_up_ns);
        // A reader that starts from a checkpoint can order files only by these times, which are
        // whole milliseconds.
        let after_last = self.closed_at + Duration::from_millis(1);
        self.closed_at = SystemTime::now().max(after_last);
        let uploader = self.uploader.clone();
        let upload = uploader.upload(batch.rows, batch.first_sequence, self.closed_at, deadline_ns);
        let upload = self.runtime.spawn(upload);
        self.under_way += 1;
        let uploading = Uploading { tokens: batch.tokens, upload, deadline_ns };
        if self.uploads.send(uploading).is_err() {
            self.stopped.get_or_insert_with(|| ENDED.to_owned());
        }
    }

    /// Takes the result of a batch.
    fn answer(&mut self, outcome: BatchResult) {
        let BatchResult { tokens, at_ns, result } = outcome;
        self.under_way -= 1;
        let delivery = match result {
            Ok(()) => Delivery::Acknowledged,
            Err(failure) => {
                if failure.is_final {
                    self.stopped.get_or_insert_with(|| failure.text.clone());
                }
                Delivery::Failed(self.failures.add(failure))
            }
        };
        self.answered = Some(FinishedBatch { tokens, completed: 0, at_ns, delivery });
    }

    /// Completes messages of the finished batch, but not so many at once that others are delayed.
    fn complete(&mut self, completions: &mut Vec<Completion>) {
        let Some(answered) = &mut self.answered else { return };
        let FinishedBatch { at_ns, delivery, .. } = *answered;
        let left = &answered.tokens[answered.completed..];
        let tokens = &left[..left.len().min(COMPLETIONS_MAX)];
        completions.extend(tokens.iter().map(|&token| Completion { token, at_ns, delivery }));
        answered.completed += tokens.len();
        if answered.completed == answered.tokens.len()
            && let Some(answered) = self.answered.take()
        {
            self.collector.reuse(answered.tokens);
        }
    }

    /// The error that stopped the writer, once every accepted message has its result.
    fn check(&self) -> Result<(), TransportError> {
        let has_more =
            self.under_way > 0 || self.answered.is_some() || self.collector.due_ns().is_some();
        match &self.stopped {
            Some(reason) if !has_more || reason == ENDED => {
                Err(TransportError::new(reason.clone()))
            }
            _ => Ok(()),
        }
    }
}

/// Messages completed at once: as many as take about 100 us.
const COMPLETIONS_MAX: usize = 4_096;

/// How often a producer wakes up for messages within a commit interval.
const LINGERINGS: u64 = 200;

/// A finished batch whose messages are being completed.
struct FinishedBatch {
    tokens: Vec<Token>,
    /// How many of them have been completed.
    completed: usize,
    at_ns: InstantNs,
    delivery: Delivery,
}

/// The error of a publisher whose own task has ended.
const ENDED: &str = "the committing task ended unexpectedly";

async fn open_log(
    lake: &Lake,
    config: &PublishConfig,
    clock: SystemClock,
    counts: &PublishCounts,
) -> Result<Log, DeltaError> {
    let opened_ns = clock.now_ns();
    let table = Table::open(lake).await?;
    let table = table.ok_or_else(|| DeltaError::NoTable { uri: lake.uri().to_owned() })?;
    table.check(&config.partition_by)?;
    match config.commit {
        CommitPath::Std => Ok(Log::Standard(StandardLog::open(lake, table, counts.clone()).await?)),
        CommitPath::Direct => {
            let checkpoints = config
                .checkpoint_every
                .map(|every| Checkpoints::start(lake, &table, every, config, counts.clone()));
            let log = DirectLog::new(lake, table, opened_ns, clock, counts.clone());
            Ok(Log::Direct(log, checkpoints.transpose()?))
        }
    }
}

impl Publish for DeltaPublisher {
    fn submit(&mut self, batch: &mut Batch) -> Result<(), TransportError> {
        self.check()?;
        if self.stopped.is_some() {
            return Ok(());
        }
        let now_ns = self.clock.now_ns();
        let mut accepted = 0;
        for message in batch.iter() {
            if self.collector.is_full_for(&message) {
                if !self.may_close() {
                    break;
                }
                self.close(now_ns);
            }
            self.collector.take(&message, now_ns)?;
            accepted += 1;
        }
        batch.remove_accepted(|position| position < accepted);
        Ok(())
    }

    fn poll(
        &mut self,
        until_ns: InstantNs,
        completions: &mut Vec<Completion>,
    ) -> Result<(), TransportError> {
        let before = completions.len();
        self.close_if_due(self.clock.now_ns());
        loop {
            if self.answered.is_none()
                && let Ok(outcome) = self.outcomes.try_recv()
            {
                self.answer(outcome);
            }
            self.complete(completions);
            if completions.len() > before {
                return Ok(());
            }
            self.check()?;
            let now_ns = self.clock.now_ns();
            if now_ns >= until_ns {
                return Ok(());
            }
            let due_ns = self.collector.due_ns().filter(|_| self.may_close());
            if due_ns.is_some_and(|due_ns| due_ns <= now_ns) {
                // Messages that are due by now join this batch.
                return Ok(());
            }
            let wake_ns = due_ns.map_or(until_ns, |due_ns| due_ns.min(until_ns));
            let wait = Duration::from_nanos(wake_ns.saturating_sub(now_ns));
            match self.outcomes.recv_timeout(wait) {
                Ok(outcome) => self.answer(outcome),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(TransportError::new(ENDED));
                }
            }
        }
    }

    fn lingering_ns(&self) -> u64 {
        (self.config.commit_interval_ns / LINGERINGS).min(LINGERING_MAX_NS)
    }

    fn finish(&mut self) -> Result<(), TransportError> {
        let now_ns = self.clock.now_ns();
        self.collector.finish(now_ns);
        self.close_if_due(now_ns);
        Ok(())
    }

    fn explain(&self, failure: transport::Failure) -> String {
        self.failures.explain(failure)
    }

    fn outage(&self) -> Option<String> {
        self.lake.outage()
    }
}
