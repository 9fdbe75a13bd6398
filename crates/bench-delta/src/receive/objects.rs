//! The objects of a table, asked for until the answer comes.

use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bench_core::counts::Count;
use bytes::Bytes;
use deltalake::logstore::object_store::ObjectStoreExt as _;
use deltalake::{ObjectMeta, ObjectStore, ObjectStoreError, Path};
use futures_util::TryStreamExt as _;

use super::FollowError;
use crate::error::store_reason;

/// How long a read may go on failing before the follower gives up. The storage's client has tried
/// several times itself whenever it says that one failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// The same for reads that are not allowed, which pass when credentials have just been renewed.
const PATIENCE_DENIED: Duration = Duration::from_secs(5);

/// The first wait after a failed read, and the longest.
const WAIT_MIN: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(2);

/// The log's folder.
const LOG: &str = "_delta_log";

/// The path of a version's entry in the log, from the table on.
pub(crate) fn entry_path(version: u64) -> Path {
    Path::from(format!("{LOG}/{version:020}.json"))
}

/// A table's objects. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Objects {
    store: Arc<dyn ObjectStore>,
    uri: Arc<str>,
    retried: Count,
}

/// A version that is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Listed {
    pub(super) version: u64,
    /// When its entry was written, by the clock of the storage, ms since 1970.
    pub(super) modified_ms: i64,
}

impl Objects {
    /// Those in `store`, which is rooted at the table with this name. Reads that are made again are
    /// counted.
    pub(super) fn new(store: Arc<dyn ObjectStore>, uri: &str, retried: Count) -> Self {
        Self { store, uri: uri.into(), retried }
    }

    /// The table's name, for messages.
    pub(super) fn uri(&self) -> &str {
        &self.uri
    }

    /// The entry of a version, if it is in the log.
    pub(super) async fn entry(&self, version: u64) -> Result<Option<Bytes>, FollowError> {
        let path = entry_path(version);
        let attempt = || async { self.store.get(&path).await?.bytes().await };
        self.insist(|| format!("read log entry {version}"), attempt).await
    }

    /// The version of the last checkpoint, if the log names one.
    pub(super) async fn checkpoint(&self) -> Result<Option<u64>, FollowError> {
        #[derive(serde::Deserialize)]
        struct Hint {
            version: u64,
        }
        let path = Path::from(format!("{LOG}/_last_checkpoint"));
        let attempt = || async { self.store.get(&path).await?.bytes().await };
        let hint = self.insist(|| "read _delta_log/_last_checkpoint".to_owned(), attempt).await?;
        // It is a hint: without it there is only less to be known.
        let hint = hint.and_then(|json| serde_json::from_slice::<Hint>(&json).ok());
        Ok(hint.map(|hint| hint.version))
    }

    /// The versions that are in the log, oldest first.
    pub(super) async fn versions(&self) -> Result<Vec<Listed>, FollowError> {
        let log = Path::from(LOG);
        let attempt = || async { self.store.list(Some(&log)).try_collect::<Vec<_>>().await };
        let listed = self.insist(|| "list the log".to_owned(), attempt).await?;
        let mut versions: Vec<_> = listed.iter().flatten().filter_map(Listed::of).collect();
        versions.sort_unstable();
        Ok(versions)
    }

    /// Whether a data file is there.
    pub(super) async fn has(&self, path: &Path) -> Result<bool, FollowError> {
        let attempt = || self.store.head(path);
        Ok(self.insist(|| format!("find data file {path}"), attempt).await?.is_some())
    }

    /// A whole data file, if it is there.
    pub(super) async fn whole(&self, path: &Path) -> Result<Option<Bytes>, FollowError> {
        let attempt = || async { self.store.get(path).await?.bytes().await };
        self.insist(|| format!("read data file {path}"), attempt).await
    }

    /// Parts of a data file, if it is there.
    pub(super) async fn parts(
        &self,
        path: &Path,
        ranges: &[Range<u64>],
    ) -> Result<Option<Vec<Bytes>>, FollowError> {
        let attempt = || self.store.get_ranges(path, ranges);
        self.insist(|| format!("read parts of data file {path}"), attempt).await
    }

    /// Attempts it until it succeeds; nothing if the object is not there.
    async fn insist<T, F>(
        &self,
        attempted: impl Fn() -> String,
        attempt: impl Fn() -> F,
    ) -> Result<Option<T>, FollowError>
    where
        F: Future<Output = Result<T, ObjectStoreError>>,
    {
        let mut failing_since = None;
        let mut wait = WAIT_MIN;
        loop {
            let error = match attempt().await {
                Ok(answer) => return Ok(Some(answer)),
                Err(ObjectStoreError::NotFound { .. }) => return Ok(None),
                Err(error) => error,
            };
            let since = *failing_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= patience(&error) {
                return Err(self.failed(attempted(), &error));
            }
            self.retried.add(1);
            tracing::debug!("failed to {}: {}; trying again", attempted(), store_reason(&error));
            tokio::time::sleep(spread(wait)).await;
            wait = (wait * 2).min(WAIT_MAX);
        }
    }

    fn failed(&self, attempted: String, error: &ObjectStoreError) -> FollowError {
        let (uri, problem) = (self.uri.to_string(), store_reason(error));
        if is_denied(error) {
            FollowError::Denied { attempted, uri, problem }
        } else {
            FollowError::Read { attempted, uri, problem }
        }
    }
}

impl Listed {
    fn of(object: &ObjectMeta) -> Option<Self> {
        let name = object.location.filename()?.strip_suffix(".json")?;
        let is_entry = name.len() == 20 && object.location.parts().count() == 2;
        let version = name.parse().ok().filter(|_| is_entry)?;
        Some(Self { version, modified_ms: object.last_modified.timestamp_millis() })
    }
}

fn is_denied(error: &ObjectStoreError) -> bool {
    matches!(
        error,
        ObjectStoreError::PermissionDenied { .. } | ObjectStoreError::Unauthenticated { .. }
    )
}

/// For how long such failures are put up with.
fn patience(error: &ObjectStoreError) -> Duration {
    match error {
        ObjectStoreError::InvalidPath { .. }
        | ObjectStoreError::NotSupported { .. }
        | ObjectStoreError::NotImplemented { .. } => Duration::ZERO,
        error if is_denied(error) => PATIENCE_DENIED,
        _ => PATIENCE,
    }
}

/// From half of `wait` to all of it, so that followers that were refused at once do not come back
/// at once.
fn spread(wait: Duration) -> Duration {
    let random = RandomState::new().hash_one(0_u8) % 1_000;
    wait / 2 + wait.mul_f64(random as f64 / 2_000.0)
}
