//! A table's log and its objects, read without retries: the caller retries.

use async_trait::async_trait;
use bytes::Bytes;
use deltalake::ObjectStore;
use deltalake::logstore::object_store::path::Path;
use deltalake::logstore::object_store::{self, ObjectMeta, ObjectStoreExt as _};
use futures_util::TryStreamExt as _;

use super::Lake;
use crate::DeltaError;
use crate::log::{Source, entry_path, folder};

impl Lake {
    /// An object of the table, if it exists.
    pub(crate) async fn object(&self, path: &Path) -> Result<Option<Bytes>, DeltaError> {
        let read = async { self.store().get(path).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(DeltaError::store(format!("read {path} of {}", self.uri()), &error)),
        }
    }
}

#[async_trait]
impl Source for Lake {
    type Error = DeltaError;

    fn uri(&self) -> &str {
        Self::uri(self)
    }

    async fn list(&self) -> Result<Vec<ObjectMeta>, DeltaError> {
        let listed = self.store().list(Some(&folder())).try_collect().await;
        let attempted = || format!("list the log of {}", Self::uri(self));
        listed.map_err(|error| DeltaError::store(attempted(), &error))
    }

    async fn entry(&self, version: u64) -> Result<Option<Bytes>, DeltaError> {
        self.object(&entry_path(version)).await
    }
}
