//! A table's objects, read with retries.

use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bench_core::counts::Count;
use bytes::Bytes;
use deltalake::logstore::object_store::ObjectStoreExt as _;
use deltalake::{ObjectMeta, ObjectStore, ObjectStoreError, Path};
use futures_util::TryStreamExt as _;

use super::FollowError;
use crate::log::{self, Log, Source, entry_path};
use crate::reason::{is_denied, store_reason};

/// How long a failing read is retried before the follower gives up. The storage's client has
/// already retried before it reports an error.
const PATIENCE: Duration = Duration::from_secs(30);

/// The same for denied reads, which may succeed once credentials have been renewed.
const PATIENCE_DENIED: Duration = Duration::from_secs(5);

/// The first delay after a failed read.
const WAIT_MIN: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(2);

/// A table's objects. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Objects {
    store: Arc<dyn ObjectStore>,
    uri: Arc<str>,
    retried: Count,
}

impl Objects {
    /// The objects of `store`, which is rooted at the table with this URI. Counts retried reads.
    pub(super) fn new(store: Arc<dyn ObjectStore>, uri: &str, retried: Count) -> Self {
        Self { store, uri: uri.into(), retried }
    }

    /// The log from this version on.
    pub(super) async fn log_from(&self, version: u64) -> Result<Log, FollowError> {
        let (folder, offset) = (log::folder(), log::before(version));
        let attempt = || async {
            let listed = self.store.list_with_offset(Some(&folder), &offset);
            listed.try_collect::<Vec<_>>().await
        };
        let listed = self.retry(|| "list the log".to_owned(), attempt).await?;
        Ok(Log::of(&self.uri, &listed.unwrap_or_default()))
    }

    /// Whether a data file exists.
    pub(super) async fn has(&self, path: &Path) -> Result<bool, FollowError> {
        let attempt = || self.store.head(path);
        Ok(self.retry(|| format!("find data file {path}"), attempt).await?.is_some())
    }

    /// A whole data file, if it exists.
    pub(super) async fn whole(&self, path: &Path) -> Result<Option<Bytes>, FollowError> {
        let attempt = || async { self.store.get(path).await?.bytes().await };
        self.retry(|| format!("read data file {path}"), attempt).await
    }

    /// Parts of a data file, if it exists; its size if it is too small to have them.
    pub(super) async fn parts(
        &self,
        path: &Path,
        ranges: &[Range<u64>],
    ) -> Result<Option<Result<Vec<Bytes>, u64>>, FollowError> {
        let end = ranges.iter().map(|range| range.end).max().unwrap_or_default();
        let attempt = || async {
            let error = match self.store.get_ranges(path, ranges).await {
                Ok(parts) => return Ok(Ok(parts)),
                Err(error) => error,
            };
            // Stores report a range beyond the end in different ways.
            match self.store.head(path).await {
                Ok(found) if found.size < end => Ok(Err(found.size)),
                _ => Err(error),
            }
        };
        self.retry(|| format!("read parts of data file {path}"), attempt).await
    }

    /// Retries until it succeeds; `None` if the object does not exist.
    async fn retry<T, F>(
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
            tracing::debug!("failed to {}: {}; retrying", attempted(), store_reason(&error));
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

/// The log, read with a follower's retries.
#[async_trait]
impl Source for Objects {
    type Error = FollowError;

    fn uri(&self) -> &str {
        &self.uri
    }

    async fn list(&self) -> Result<Vec<ObjectMeta>, FollowError> {
        let folder = log::folder();
        let attempt = || async { self.store.list(Some(&folder)).try_collect::<Vec<_>>().await };
        let listed = self.retry(|| "list the log".to_owned(), attempt).await?;
        Ok(listed.unwrap_or_default())
    }

    async fn entry(&self, version: u64) -> Result<Option<Bytes>, FollowError> {
        let path = entry_path(version);
        let attempt = || async { self.store.get(&path).await?.bytes().await };
        self.retry(|| format!("read log entry {version}"), attempt).await
    }
}

/// How long errors of this kind are retried.
fn patience(error: &ObjectStoreError) -> Duration {
    match error {
        ObjectStoreError::InvalidPath { .. }
        | ObjectStoreError::NotSupported { .. }
        | ObjectStoreError::NotImplemented { .. } => Duration::ZERO,
        error if is_denied(error) => PATIENCE_DENIED,
        _ => PATIENCE,
    }
}

/// A random delay between half of `wait` and `wait`, so that followers refused together do not
/// return together.
fn spread(wait: Duration) -> Duration {
    let random = RandomState::new().hash_one(0_u8) % 1_000;
    wait / 2 + wait.mul_f64(random as f64 / 2_000.0)
}
