//! What can go wrong with the files at either end.

use std::path::PathBuf;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be opened, read or written.
    #[error("failed to {attempt} {}", path.display())]
    Io {
        /// What was attempted: `append to`, `follow`, ...
        attempt: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is a folder, a pipe or a device.
    #[error("{} is no regular file; name one that lines can be appended to", path.display())]
    NotAFile {
        /// What it was taken for.
        path: PathBuf,
    },
    /// The file to append to ends within a line, which the first message would become part of.
    #[error("{} ends within a line; end it with a line break first", path.display())]
    Unended {
        /// The file.
        path: PathBuf,
    },
}

/// An error of this `attempt` on this file.
pub(crate) fn io_error(
    attempt: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(std::io::Error) -> FileError {
    let path = path.into();
    move |source| FileError::Io { attempt, path, source }
}
