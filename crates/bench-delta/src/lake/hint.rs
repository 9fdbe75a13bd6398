//! `_last_checkpoint`, shown to delta-rs only while the checkpoint that it names exists.
//!
//! delta-rs trusts the file and fails if it names a checkpoint that was removed or has another
//! form. Without the file it lists the log and finds the same checkpoint, or a better one.

use std::sync::Arc;

use async_trait::async_trait;
use deltalake::logstore::object_store::path::Path;
use deltalake::logstore::object_store::{Error, ObjectStore, ObjectStoreExt as _, Result};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::hooked::Hooks;
use crate::log::{checkpoint_path, hint_path};

/// Hides a stale or damaged hint in this store of a table.
#[derive(Debug, Clone)]
pub(super) struct HintCheck(pub(super) Arc<dyn ObjectStore>);

/// The checkpoint that the hint describes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Hint {
    version: u64,
    size_in_bytes: Option<u64>,
    parts: Option<IgnoredAny>,
    v2_checkpoint: Option<IgnoredAny>,
}

impl HintCheck {
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
}

#[async_trait]
impl Hooks for HintCheck {
    async fn before_read(&self, location: &Path) -> Result<()> {
        if *location != hint_path() || self.is_good().await? {
            return Ok(());
        }
        tracing::debug!("{location} names no existing checkpoint; listing the log instead");
        let source = "it names no existing checkpoint".into();
        Err(Error::NotFound { path: location.to_string(), source })
    }
}
