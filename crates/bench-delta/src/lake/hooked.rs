//! A store that passes every operation on to another one, with hooks around it.

use std::fmt;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use deltalake::logstore::object_store::path::Path;
use deltalake::logstore::object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

use super::requests::{RequestKind, Requests};

/// Hooks of a [`HookedStore`]. By default they do nothing.
#[async_trait]
pub(super) trait Hooks: fmt::Debug + Clone + Send + Sync + 'static {
    /// Runs before an object is read; an error replaces the read.
    async fn before_read(&self, _location: &Path) -> Result<()> {
        Ok(())
    }

    /// Runs before each operation, with the request that it would be on S3.
    fn requested(&self, _kind: RequestKind) {}

    /// Runs before an object or a part of one is written.
    fn wrote(&self, _bytes: u64) {}

    /// Runs after an object or parts of one were read.
    fn read(&self, _bytes: u64) {}
}

/// Counts the operations in folders, which have no requests of their own.
impl Hooks for Requests {
    fn requested(&self, kind: RequestKind) {
        self.count(kind);
    }

    fn wrote(&self, bytes: u64) {
        self.bytes_written.add(bytes);
    }

    fn read(&self, bytes: u64) {
        self.bytes_read.add(bytes);
    }
}

/// A store with hooks.
#[derive(Debug)]
pub(super) struct HookedStore<S, H> {
    inner: S,
    hooks: H,
}

impl<S, H> HookedStore<S, H> {
    pub(super) fn new(inner: S, hooks: H) -> Self {
        Self { inner, hooks }
    }
}

impl<S: fmt::Display, H> fmt::Display for HookedStore<S, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl<S: ObjectStore, H: Hooks> ObjectStore for HookedStore<S, H> {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.hooks.requested(RequestKind::Put);
        self.hooks.wrote(payload.content_length() as u64);
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.hooks.requested(RequestKind::Put);
        let inner = self.inner.put_multipart_opts(location, options).await?;
        Ok(Box::new(HookedUpload { inner, hooks: self.hooks.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.hooks.before_read(location).await?;
        let is_head = options.head;
        self.hooks.requested(if is_head { RequestKind::Head } else { RequestKind::Get });
        let found = self.inner.get_opts(location, options).await?;
        if !is_head {
            self.hooks.read(found.range.end - found.range.start);
        }
        Ok(found)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.hooks.before_read(location).await?;
        self.hooks.requested(RequestKind::Get);
        let found = self.inner.get_ranges(location, ranges).await?;
        self.hooks.read(found.iter().map(|bytes| bytes.len() as u64).sum());
        Ok(found)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let hooks = self.hooks.clone();
        let locations = locations.inspect(move |_| hooks.requested(RequestKind::Delete));
        self.inner.delete_stream(locations.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.hooks.requested(RequestKind::List);
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.hooks.requested(RequestKind::List);
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.hooks.requested(RequestKind::List);
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.hooks.requested(RequestKind::Put);
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.hooks.requested(RequestKind::Put);
        self.inner.rename_opts(from, to, options).await
    }
}

/// A multipart upload of one object.
#[derive(Debug)]
struct HookedUpload<H> {
    inner: Box<dyn MultipartUpload>,
    hooks: H,
}

#[async_trait]
impl<H: Hooks> MultipartUpload for HookedUpload<H> {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.hooks.requested(RequestKind::Put);
        self.hooks.wrote(data.content_length() as u64);
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.hooks.requested(RequestKind::Put);
        self.inner.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.hooks.requested(RequestKind::Delete);
        self.inner.abort().await
    }
}
