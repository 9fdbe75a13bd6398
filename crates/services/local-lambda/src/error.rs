//! What can go wrong with an event source mapping as a whole, apart from failed batches.

use std::io;
use std::path::{Path, PathBuf};

use bench_service_lambda::ConfigError;

/// Why a mapping cannot start or continue.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// Its configuration is not valid.
    #[error("failed to start the event source mapping: {0}")]
    Config(#[from] ConfigError),
    /// Its state cannot be read or written.
    #[error(
        "failed to {action} {}: {source}; check that the folder is writable, or remove the file to \
         start over",
        path.display()
    )]
    State {
        /// What was attempted.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The runtime did not start.
    #[error("failed to start the event source mapping's runtime")]
    Runtime(#[source] io::Error),
}

impl MappingError {
    pub(super) fn state(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::State { action, path: path.to_owned(), source }
    }
}
