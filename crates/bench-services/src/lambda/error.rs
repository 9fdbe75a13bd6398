//! What can go wrong with an event source mapping as a whole; a batch that fails is none of it.

use std::io;
use std::path::{Path, PathBuf};

use super::config::ConfigError;

/// Why a mapping cannot begin, or not go on.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// Its configuration cannot be.
    #[error("failed to start the event source mapping: {0}")]
    Config(#[from] ConfigError),
    /// Its state cannot be kept.
    #[error(
        "failed to {action} {}: {source}; see whether the folder can be written, or remove the \
         file to begin anew",
        path.display()
    )]
    State {
        /// What was attempted.
        action: &'static str,
        /// On which file or folder.
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
