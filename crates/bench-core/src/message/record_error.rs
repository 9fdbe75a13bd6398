//! Why a file cannot serve as a source of records.

use std::io;
use std::path::PathBuf;

/// Why a file cannot serve as a source of records. Lines count from 1.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file could not be opened or read.
    #[error("cannot read the records in {}: check the path and its permissions", path.display())]
    Read {
        /// The file of records.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file, or what its rows become, is larger than the limit.
    #[error(
        "the records in {} take more than the {limit_bytes} bytes that are kept in memory: \
         use a part of the file",
        path.display()
    )]
    TooLarge {
        /// The file of records.
        path: PathBuf,
        /// The limit, [`RecordFile::SIZE_BYTES_MAX`](super::RecordFile::SIZE_BYTES_MAX).
        limit_bytes: usize,
    },
    /// A line that is not JSON, in a file of JSON lines.
    #[error(
        "line {line} of {} is not a JSON value: {reason}; correct it, or read the file as lines",
        path.display()
    )]
    Json {
        /// The file of records.
        path: PathBuf,
        /// The line at fault.
        line: usize,
        /// What is wrong with it, and at which column.
        reason: String,
    },
    /// An array that is not well-formed JSON.
    #[error(
        "record {record} of {}, on line {line}, is not an element of a JSON array: {reason}; correct \
         it, or read the file as lines",
        path.display()
    )]
    JsonArray {
        /// The file of records.
        path: PathBuf,
        /// The element at fault, from 1.
        record: usize,
        /// The line at fault.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A row that is not as RFC 4180 defines them, is not UTF-8, or has another number of fields
    /// than there are columns.
    #[error("line {line} of {} is not valid CSV: {reason}; correct the file", path.display())]
    Csv {
        /// The file of records.
        path: PathBuf,
        /// Where the row starts, or the line at fault.
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
    /// Text of another encoding than UTF-8.
    #[error(
        "line 1 of {} is UTF-16 text, and UTF-8 is read: convert the file, as with iconv -f UTF-16 \
         -t UTF-8",
        path.display()
    )]
    Utf16 {
        /// The file of records.
        path: PathBuf,
    },
    /// Nothing to send.
    #[error("there are no records in {}: give a file with at least one", path.display())]
    Empty {
        /// The file of records.
        path: PathBuf,
    },
}
