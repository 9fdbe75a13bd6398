//! Why a file is unusable as a source of records.

use std::io;
use std::path::PathBuf;

/// Why a file is unusable as a source of records. Lines are counted from 1.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file could not be opened or read.
    #[error("cannot read the records in {}: check the path and its permissions", path.display())]
    Read {
        /// The file of records.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The file, or the records made from its rows, exceed the limit.
    #[error(
        "the records in {} exceed the {limit_bytes} bytes that are kept in memory: \
         use a part of the file",
        path.display()
    )]
    TooLarge {
        /// The file of records.
        path: PathBuf,
        /// The limit, [`RecordFile::SIZE_BYTES_MAX`](super::RecordFile::SIZE_BYTES_MAX).
        limit_bytes: usize,
    },
    /// A line that is not JSON in a file of JSON lines.
    #[error(
        "line {line} of {} is not a JSON value: {reason}; correct it, or read the file as lines",
        path.display()
    )]
    Json {
        /// The file of records.
        path: PathBuf,
        /// The malformed line.
        line: usize,
        /// What is wrong with it, and at which column.
        reason: String,
    },
    /// A malformed JSON array.
    #[error(
        "record {record} of {}, on line {line}, is not an element of a JSON array: {reason}; correct \
         it, or read the file as lines",
        path.display()
    )]
    JsonArray {
        /// The file of records.
        path: PathBuf,
        /// The malformed element, from 1.
        record: usize,
        /// Its line.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A row that violates RFC 4180, is not UTF-8, or has a different number of fields than there
    /// are columns.
    #[error("line {line} of {} is not valid CSV: {reason}; correct the file", path.display())]
    Csv {
        /// The file of records.
        path: PathBuf,
        /// Where the row starts, or the malformed line.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Two columns of the same name, which a JSON object cannot hold.
    #[error("two columns of {} are named {column:?}: rename one of them", path.display())]
    DuplicateColumn {
        /// The file of records.
        path: PathBuf,
        /// The name.
        column: String,
    },
    /// Text in UTF-16 rather than UTF-8.
    #[error(
        "line 1 of {} is UTF-16 text rather than UTF-8: convert the file, for example with iconv \
         -f UTF-16 -t UTF-8",
        path.display()
    )]
    Utf16 {
        /// The file of records.
        path: PathBuf,
    },
    /// A file without records.
    #[error("no records in {}: use a file with at least one", path.display())]
    Empty {
        /// The file of records.
        path: PathBuf,
    },
}
