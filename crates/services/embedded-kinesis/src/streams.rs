//! All streams, and the order in which they are read and written.

use ferrokinesis::error::KinesisErrorResponse;
use ferrokinesis::store::Store;
use serde_json::Value;
use tokio::sync::RwLock;

use super::reads::ReadLimits;

/// The answer to an operation: a JSON value, or nothing.
pub(super) type Answer = Result<Option<Value>, KinesisErrorResponse>;

/// All streams, with the lock and limits for their use.
pub(super) struct Service {
    pub(super) store: Store,
    /// Taken for writing or reading records.
    pub(super) order: RwLock<()>,
    pub(super) reads: Option<ReadLimits>,
}
