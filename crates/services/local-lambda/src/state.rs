//! What all parts of a running mapping share: counts, checkpoints, given-up records, the stop
//! signal.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bench_kinesis::receive::ShardStart;
use serde::Serialize;
use tokio::sync::watch;

use super::batch::Delivery;
use super::checkpoints::{Checkpoint, Checkpoints, write_json};
use super::error::MappingError;
use super::function::FunctionReport;
use super::report::{GivenUp, MappingCounts, MappingReport, MappingState, REPORT_VERSION};
use super::worker::wall_ms;
use bench_service_lambda::{MappingConfig, REPORT_FILE};

/// Interval between checks of the stop flag.
const STOP_POLL: Duration = Duration::from_millis(20);

/// Time for an invocation in progress when the mapping stops.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// Files in the state folder besides the report.
const GIVEN_UP_FILE: &str = "given-up.jsonl";
const LOG_FILE: &str = "function.log";

/// The stop signal for all parts of a mapping.
#[derive(Debug, Clone)]
pub(super) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Follows a flag that a signal handler sets.
    pub(super) fn follow(flag: Arc<AtomicBool>) -> Self {
        let (sender, receiver) = watch::channel(flag.load(Ordering::Relaxed));
        tokio::spawn(async move {
            while !flag.load(Ordering::Relaxed) && !sender.is_closed() {
                tokio::time::sleep(STOP_POLL).await;
            }
            sender.send_replace(true);
        });
        Self(receiver)
    }

    /// A signal that is set by hand.
    pub(super) fn by_hand() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    pub(super) fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the mapping is stopped.
    pub(super) async fn wait(&mut self) {
        // Without a sender, the mapping is over too.
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    /// Waits until invocations in progress have had their time.
    pub(super) async fn wait_for_grace(&mut self) {
        self.wait().await;
        tokio::time::sleep(STOP_GRACE).await;
    }
}

/// The counts and files of a mapping.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: MappingConfig,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    counts: MappingCounts,
    state: MappingState,
    checkpoints: Option<Checkpoints>,
    written: Option<MappingReport>,
}

impl Shared {
    /// Creates the state folder.
    pub(super) fn new(config: MappingConfig) -> Result<Self, MappingError> {
        let dir = &config.state_dir;
        let created = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
        created.map_err(|error| MappingError::state("create", dir, error))?;
        let inner = Inner {
            counts: MappingCounts::default(),
            state: MappingState::Waiting,
            checkpoints: None,
            written: None,
        };
        Ok(Self { config, inner: Mutex::new(inner) })
    }

    pub(super) fn function_log(&self) -> PathBuf {
        self.config.state_dir.join(LOG_FILE)
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut MappingCounts)) {
        change(&mut self.lock().counts);
    }

    pub(super) fn set_state(&self, state: MappingState) {
        self.lock().state = state;
    }

    /// Changes a checkpoint, if the mapping has a stream.
    pub(super) fn checkpoint(&self, shard: &str, checkpoint: Checkpoint) {
        if let Some(checkpoints) = &mut self.lock().checkpoints {
            checkpoints.set(shard, checkpoint);
        }
    }

    /// The position at which a shard begins; `fresh` without checkpoints.
    pub(super) fn begin_shard(&self, shard: &str, fresh: ShardStart) -> ShardStart {
        let position = self.config.settings.starting_position;
        match &mut self.lock().checkpoints {
            Some(checkpoints) => checkpoints.begin(shard, fresh, position),
            None => fresh,
        }
    }

    pub(super) fn set_checkpoints(&self, checkpoints: Checkpoints) {
        self.lock().checkpoints = Some(checkpoints);
    }

    /// Records given-up records in the log, and in a file that lists them.
    pub(super) fn give_up(&self, shard: &str, why: GivenUp, records: &[Delivery]) {
        let Some((first, last)) = records.first().zip(records.last()) else { return };
        tracing::warn!(
            shard,
            condition = ?why,
            records = records.len(),
            first = first.sequence_number,
            last = last.sequence_number,
            "records given up"
        );
        self.count(|counts| counts.give_up(why, records.len()));
        let line = GivenUpLine {
            timestamp_ms: wall_ms(),
            condition: why,
            shard_id: shard,
            batch_size: records.len(),
            start_sequence_number: &first.sequence_number,
            end_sequence_number: &last.sequence_number,
            sequence_numbers: records.iter().map(|record| &*record.sequence_number).collect(),
        };
        let path = self.config.state_dir.join(GIVEN_UP_FILE);
        let append = || {
            let mut text = serde_json::to_vec(&line)?;
            text.push(b'\n');
            OpenOptions::new().create(true).append(true).open(&path)?.write_all(&text)
        };
        if let Err(error) = append() {
            // They are in the log.
            tracing::error!("{}", MappingError::state("write", &path, error));
        }
    }

    /// The current report.
    pub(super) fn report(&self, invoked: FunctionReport) -> MappingReport {
        let inner = self.lock();
        MappingReport {
            schema_version: REPORT_VERSION,
            stream: self.config.stream.clone(),
            function: self.config.function.name.clone(),
            memory_mb: self.config.function.memory_mb,
            settings: self.config.settings.clone(),
            state: inner.state,
            counts: inner.counts,
            invoked,
        }
    }

    /// Writes the checkpoints, if they changed, and the report.
    pub(super) fn save(&self, invoked: FunctionReport) -> Result<(), MappingError> {
        let report = self.report(invoked);
        let mut inner = self.lock();
        if let Some(checkpoints) = &mut inner.checkpoints {
            checkpoints.save()?;
        }
        if inner.written.as_ref() != Some(&report) {
            write_json(&self.config.state_dir.join(REPORT_FILE), &report)?;
            inner.written = Some(report);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GivenUpLine<'a> {
    timestamp_ms: u64,
    condition: GivenUp,
    shard_id: &'a str,
    batch_size: usize,
    start_sequence_number: &'a str,
    end_sequence_number: &'a str,
    sequence_numbers: Vec<&'a str>,
}
