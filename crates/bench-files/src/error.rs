//! Errors of the files at either end.

use std::path::PathBuf;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be opened, read or written.
    #[error("failed to {attempt} {}", path.display())]
    Io {
        /// The operation: `append to`, `follow`, ...
        attempt: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The path is a folder, a pipe or a device.
    #[error("{} is not a regular file; use one that lines can be appended to", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The file to append to ends in the middle of a line, which the first message would extend.
    #[error("{} ends in the middle of a line; add a line break", path.display())]
    Unended {
        /// The file.
        path: PathBuf,
    },
}

/// The error of an operation on a file.
pub(crate) fn io_error(
    attempt: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(std::io::Error) -> FileError {
    let path = path.into();
    move |source| FileError::Io { attempt, path, source }
}
