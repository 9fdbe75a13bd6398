//! Checkpoints and the clean-up of the log, beside the commits.

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

use append::{Appended, append};

use super::counts::PublishCounts;
use super::data_file::millis_since_1970;
use super::{LOG_RETENTION_MIN, PublishConfig};
use crate::table::Table;
use crate::{DeltaError, Lake, log};

/// How much less urgent than messages a checkpoint is, as `nice` counts.
const NICE: i32 = 10;

/// How long the end of a publisher waits for a checkpoint that is being written.
const LAST_WAIT: Duration = Duration::from_secs(10);

/// The version to write a checkpoint of, and log entries that need not be read for it.
struct Request {
    version: u64,
    own: BTreeMap<u64, Bytes>,
}

/// Asks for checkpoints, which a thread of its own writes one by one.
pub(super) struct Checkpoints {
    every: u64,
    /// The newest log entries of this writer's, as many as a checkpoint may need.
    own: BTreeMap<u64, Bytes>,
    requests: Option<SyncSender<Request>>,
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
        // What is asked for while one is written can wait for one version, and newer ones for the
        // next time.
        let (requests, to_do) = sync_channel(1);
        let (end, ended) = channel();
        let thread = std::thread::Builder::new().name("checkpoints".to_owned());
        let run = move || {
            let _end: std::sync::mpsc::Sender<()> = end;
            be_patient();
            for request in to_do {
                writer.write(&request);
            }
        };
        thread.spawn(run).map_err(DeltaError::Runtime)?;
        Ok(Self { every: every.max(1), own: BTreeMap::new(), requests: Some(requests), ended })
    }

    /// Tells of a version that this writer has made. One writer makes each version, so that of
    /// several one asks for each checkpoint.
    pub(super) fn committed(&mut self, version: u64, entry: Bytes) {
        self.own.insert(version, entry);
        if !version.is_multiple_of(self.every) {
            if self.own.len() as u64 > self.every {
                self.own.pop_first();
            }
            return;
        }
        let request = Request { version, own: std::mem::take(&mut self.own) };
        let asked = self.requests.as_ref().map(|requests| requests.try_send(request));
        if let Some(Err(TrySendError::Full(_))) = asked {
            tracing::debug!(
                "checkpoint {version} is left out: the last one is still being written"
            );
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.requests = None;
        if self.ended.recv_timeout(LAST_WAIT) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("a checkpoint is still being written and is left behind");
        }
    }
}

/// Writes checkpoints.
struct Writer {
    lake: Lake,
    /// Whether the table has neither features nor properties that a checkpoint may depend on.
    is_plain: bool,
    /// When the table was made, milliseconds since 1970, if it is known.
    created_ms: Option<i64>,
    retention: Duration,
    runtime: Runtime,
    counts: PublishCounts,
}

impl Writer {
    fn write(&self, request: &Request) {
        let version = request.version;
        match self.runtime.block_on(self.write_and_clean_up(request)) {
            Ok(None) => tracing::debug!("checkpoint {version}, or a later one, is there"),
            Ok(Some(deleted)) => {
                self.counts.checkpoints.add(1);
                tracing::debug!("checkpoint {version}, {deleted} log entries cleaned up");
            }
            Err(error) => {
                self.counts.checkpoints_failed.add(1);
                tracing::warn!("checkpoint {version} was not written: {error}");
            }
        }
    }

    /// Returns how many log entries were cleaned up; nothing if no checkpoint was needed.
    async fn write_and_clean_up(&self, request: &Request) -> Result<Option<usize>, DeltaError> {
        let Request { version, own } = request;
        let appended = if self.is_plain {
            append(&self.lake, *version, own).await?
        } else {
            Appended::NotPlain("the table has features or properties".to_owned())
        };
        match appended {
            Appended::Written => {}
            Appended::NotNeeded => return Ok(None),
            Appended::NotPlain(reason) => {
                tracing::debug!("checkpoint {version} is made by delta-rs: {reason}");
                // It would pass over damage, which a checkpoint hides for good.
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
        // Nothing is older than the table: listing the log would be of no use.
        if self.created_ms.is_some_and(|created_ms| created_ms > before_ms) {
            return Ok(0);
        }
        let log_store = self.lake.log_store();
        cleanup_expired_logs_for(version, log_store.as_ref(), before_ms, None).await
    }
}

/// delta-rs works on the runtime's threads, and waits on them for others.
fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("checkpoints")
        .on_thread_start(be_patient)
        .enable_all()
        .build()
}

/// Lets threads that have messages to deal with go first.
fn be_patient() {
    // On Linux this is the priority of the calling thread; elsewhere it would be the process's.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!("checkpoints are written with the priority of everything else: {error}");
    }
}
