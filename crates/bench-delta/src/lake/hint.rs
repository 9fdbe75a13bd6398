//! `_last_checkpoint`, shown to delta-rs only while the checkpoint that it names exists.
//!
//! delta-rs trusts the file and fails if it names a checkpoint that was removed or has another
//! form. Without the file it lists the log and finds the same checkpoint, or a better one.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use deltalake::logstore::object_store::path::Path;
use deltalake::logstore::object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    RenameOptions, Result,
};
use futures_util::stream::BoxStream;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::log::{checkpoint_path, hint_path};

/// A table's store that hides a stale or damaged hint.
#[derive(Debug, Clone)]
pub(super) struct CheckedHintStore(pub(super) Arc<dyn ObjectStore>);

/// The checkpoint that the hint describes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Hint {
    version: u64,
    size_in_bytes: Option<u64>,
    parts: Option<IgnoredAny>,
    v2_checkpoint: Option<IgnoredAny>,
}

impl CheckedHintStore {
    /// Whether the hint names a single file that exists and has the size given in the hint.
    /// Checkpoints of several files are left to the listing.
    async fn is_good(&self) -> Result<bool> {
        let hint = self.0.get(&hint_path()).await?.bytes().await?;
        let Ok(Hint { version, size_in_bytes, parts: None, v2_checkpoint: None }) =
            serde_json::from_slice(&hint)
        else {
            return Ok(false);
        };
        let Ok(found) = self.0.head(&checkpoint_path(version)).await else { return Ok(false) };
        Ok(found.size > 0 && size_in_bytes.is_none_or(|size| size == found.size))
    }

    async fn check(&self, location: &Path) -> Result<()> {
        if *location != hint_path() || self.is_good().await? {
            return Ok(());
        }
        tracing::debug!("{location} names no existing checkpoint; listing the log instead");
        let source = "it names no existing checkpoint".into();
        Err(Error::NotFound { path: location.to_string(), source })
    }
}

impl fmt::Display for CheckedHintStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for CheckedHintStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.0.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.check(location).await?;
        self.0.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.check(location).await?;
        self.0.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.0.rename_opts(from, to, options).await
    }
}
