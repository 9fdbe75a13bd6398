//! A store in memory with faults set by tests.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use deltalake::logstore::object_store::memory::InMemory;
use deltalake::logstore::object_store::path::Path;
use deltalake::logstore::object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use futures_util::stream::BoxStream;

/// The fault to inject into a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Not executed, and answered with an error.
    Error,
    /// Executed, and answered with an error.
    LostAnswer,
    /// Executed much later.
    Late(Duration),
    /// Not allowed.
    Forbidden,
    /// Answered as a conflict with another request.
    Conflict,
}

/// Decides on the fault of a request, by method and path.
type Script = Box<dyn FnMut(&str, &str) -> Option<Fault> + Send>;

/// The store. Clones share everything.
#[derive(Clone)]
pub(super) struct Faulty {
    inner: Arc<InMemory>,
    script: Arc<Mutex<Script>>,
}

impl Faulty {
    pub(super) fn new() -> Self {
        let script: Script = Box::new(|_, _| None);
        Self { inner: Arc::new(InMemory::new()), script: Arc::new(Mutex::new(script)) }
    }

    /// Sets the script from now on.
    pub(super) fn script(&self, script: impl FnMut(&str, &str) -> Option<Fault> + Send + 'static) {
        *self.script.lock().expect("no test has panicked") = Box::new(script);
    }

    fn fault(&self, method: &str, path: &Path) -> Option<Fault> {
        let mut script = self.script.lock().expect("no test has panicked");
        (*script)(method, path.as_ref())
    }
}

fn error(path: &Path, fault: Fault) -> Error {
    let path = path.to_string();
    let source = format!("{fault:?}").into();
    match fault {
        Fault::Forbidden => Error::PermissionDenied { path, source },
        Fault::Conflict => Error::AlreadyExists { path, source },
        Fault::Error | Fault::LostAnswer | Fault::Late(_) => {
            Error::Generic { store: "faulty", source }
        }
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a faulty store")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        match self.fault("PUT", location) {
            None => self.inner.put_opts(location, payload, options).await,
            Some(Fault::Late(by)) => {
                let (inner, location) = (Arc::clone(&self.inner), location.clone());
                // It continues when nobody waits for it any more.
                let put = tokio::spawn(async move {
                    tokio::time::sleep(by).await;
                    inner.put_opts(&location, payload, options).await
                });
                put.await.expect("no panic")
            }
            Some(fault) => {
                if fault == Fault::LostAnswer {
                    self.inner.put_opts(location, payload, options).await?;
                }
                Err(error(location, fault))
            }
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        match self.fault("GET", location) {
            None => self.inner.get_opts(location, options).await,
            Some(fault) => Err(error(location, fault)),
        }
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
