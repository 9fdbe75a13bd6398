//! Errors of the files at either end.

use std::path::PathBuf;

/// Reason why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be opened, read or written.
    #[error("failed to {attempt} {}", path.display())]
    Io {
        /// The attempted action: `append to`, `follow`, ...
        attempt: &'static str,
        /// The file.
        path: PathBuf,
        /// The system error.
        source: std::io::Error,
    },
    /// It is a folder, a pipe or a device.
    #[error("{} is no regular file; name one that lines can be appended to", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The file to append to ends within a line, so the first message would be joined to it.
    #[error("{} ends within a line; end it with a line break first", path.display())]
    Unended {
        /// The file.
        path: PathBuf,
    },
}

/// Makes an error of this `attempt` on this file.
pub(crate) fn io_error(
    attempt: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(std::io::Error) -> FileError {
    let path = path.into();
    move |source| FileError::Io { attempt, path, source }
}
