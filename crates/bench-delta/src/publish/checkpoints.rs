//! Checkpoints and clean-up of the log, in the background.

mod append;

use std::collections::BTreeMap;
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel,
};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use deltalake::checkpoints::{cleanup_expired_logs_for, create_checkpoint};
use deltalake::{DeltaTable, DeltaTableError};
use tokio::runtime::Runtime;

use append::{CheckpointResult, append};

use super::config::{LOG_RETENTION_MIN, PublishConfig};
use super::counts::PublishCounts;
use super::data_file::millis_since_1970;
use crate::table::Table;
use crate::{DeltaError, Lake, log};

/// The `nice` value of checkpoint threads, which puts messages first.
const NICE: i32 = 10;

/// How long a publisher waits at its end for a checkpoint in progress.
const LAST_WAIT: Duration = Duration::from_secs(10);

/// The version to write a checkpoint of, and log entries that need not be read for it.
struct CheckpointRequest {
    version: u64,
    own: BTreeMap<u64, Bytes>,
}

/// Requests checkpoints, which a thread of its own writes one at a time.
pub(super) struct Checkpoints {
    every: u64,
    /// This writer's newest log entries, at most as many as a checkpoint may need.
    own: BTreeMap<u64, Bytes>,
    requests: Option<SyncSender<CheckpointRequest>>,
    /// Closed when the thread has ended.
    ended: Receiver<()>,
}

impl Checkpoints {
    /// Starts the thread. `every` is above 0.
    pub(super) fn start(
        lake: &Lake,
        table: &Table,
        every: u64,
        config: &PublishConfig,
        counts: PublishCounts,
    ) -> Result<Self, DeltaError> {
        let writer = Writer {
            lake: lake.clone(),
            is_plain: table.is_plain(),
            created_ms: table.created_ms(),
            retention: config.log_retention.max(LOG_RETENTION_MIN),
            runtime: runtime().map_err(DeltaError::Runtime)?,
            counts,
        };
        // One request may wait while a checkpoint is being written; further ones are dropped, since
        // a later version makes them superfluous.
        let (requests, to_do) = sync_channel(1);
        let (end, ended) = channel();
        let thread = std::thread::Builder::new().name("checkpoints".to_owned());
        let run = move || {
            let _end: std::sync::mpsc::Sender<()> = end;
            lower_priority();
            for request in to_do {
                writer.write(&request);
            }
        };
        thread.spawn(run).map_err(DeltaError::Runtime)?;
        Ok(Self { every: every.max(1), own: BTreeMap::new(), requests: Some(requests), ended })
    }

    /// Records a version committed by this writer and requests a checkpoint if it is due. Each
    /// version has one writer, so each checkpoint is requested once.
    pub(super) fn committed(&mut self, version: u64, entry: Bytes) {
        self.own.insert(version, entry);
        if !version.is_multiple_of(self.every) {
            if self.own.len() as u64 > self.every {
                self.own.pop_first();
            }
            return;
        }
        let request = CheckpointRequest { version, own: std::mem::take(&mut self.own) };
        let asked = self.requests.as_ref().map(|requests| requests.try_send(request));
        if let Some(Err(TrySendError::Full(_))) = asked {
            tracing::debug!("checkpoint {version} skipped: the last one is still being written");
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.requests = None;
        if self.ended.recv_timeout(LAST_WAIT) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("a checkpoint is still being written and was abandoned");
        }
    }
}

/// Writes checkpoints.
struct Writer {
    lake: Lake,
    /// Whether the table has no features or properties that a checkpoint may depend on.
    is_plain: bool,
    /// When the table was created, milliseconds since 1970, if known.
    created_ms: Option<i64>,
    retention: Duration,
    runtime: Runtime,
    counts: PublishCounts,
}

impl Writer {
    fn write(&self, request: &CheckpointRequest) {
        let version = request.version;
        match self.runtime.block_on(self.write_and_clean_up(request)) {
            Ok(None) => tracing::debug!("checkpoint {version}, or a later one, already exists"),
            Ok(Some(deleted)) => {
                self.counts.checkpoints.add(1);
                tracing::debug!("wrote checkpoint {version} and cleaned up {deleted} log entries");
            }
            Err(error) => {
                self.counts.checkpoints_failed.add(1);
                tracing::warn!("failed to write checkpoint {version}: {error}");
            }
        }
    }

    /// Returns the number of log entries cleaned up; `None` if no checkpoint was needed.
    async fn write_and_clean_up(
        &self,
        request: &CheckpointRequest,
    ) -> Result<Option<usize>, DeltaError> {
        let CheckpointRequest { version, own } = request;
        let appended = if self.is_plain {
            append(&self.lake, *version, own).await?
        } else {
            CheckpointResult::NotPlain("the table has features or properties".to_owned())
        };
        match appended {
            CheckpointResult::Written => {}
            CheckpointResult::NotNeeded => return Ok(None),
            CheckpointResult::NotPlain(reason) => {
                tracing::debug!("delta-rs writes checkpoint {version}: {reason}");
                // delta-rs would ignore damage, and a checkpoint would hide it for good.
                log::checked(&self.lake).await?;
                self.delta_rs("write", *version, self.load_and_write(*version)).await?;
            }
        }
        let deleted = self.delta_rs("clean up before", *version, self.clean_up(*version)).await?;
        Ok(Some(deleted))
    }

    async fn load_and_write(&self, version: u64) -> Result<(), DeltaTableError> {
        let mut table = DeltaTable::new(self.lake.log_store());
        table.load_version(version).await?;
        create_checkpoint(&table, None).await
    }

    async fn delta_rs<T>(
        &self,
        attempted: &str,
        version: u64,
        attempt: impl Future<Output = Result<T, DeltaTableError>>,
    ) -> Result<T, DeltaError> {
        let attempted = || format!("{attempted} checkpoint {version} of {}", self.lake.uri());
        attempt.await.map_err(|error| DeltaError::table(attempted(), &error))
    }

    async fn clean_up(&self, version: u64) -> Result<usize, DeltaTableError> {
        let now_ms = millis_since_1970(SystemTime::now());
        let retention_ms = i64::try_from(self.retention.as_millis()).unwrap_or(i64::MAX);
        let before_ms = now_ms.saturating_sub(retention_ms);
        // No entry is older than the table, so there is no need to list the log.
        if self.created_ms.is_some_and(|created_ms| created_ms > before_ms) {
            return Ok(0);
        }
        let log_store = self.lake.log_store();
        cleanup_expired_logs_for(version, log_store.as_ref(), before_ms, None).await
    }
}

/// delta-rs runs on the runtime's threads and blocks them waiting for others.
fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("checkpoints")
        .on_thread_start(lower_priority)
        .enable_all()
        .build()
}

/// Lowers the priority of this thread, so that message threads go first.
fn lower_priority() {
    // On Linux this sets the calling thread's priority; elsewhere it would set the process's.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!("failed to lower the priority of checkpoint threads: {error}");
    }
}
