//! The contents of a file of records: its form, its size, its encoding.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::record_error::RecordError;

/// The most that a file may hold, bytes.
pub(super) const SIZE_BYTES_MAX: usize = 1 << 30;

/// How a file is divided into records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordFormat {
    /// Each line, without its end (`\n` or `\r\n`), is a record. Skips empty lines.
    Lines,
    /// Like [`Lines`](Self::Lines), but each record must be one JSON value. Skips blank lines.
    JsonLines,
    /// One JSON array, whose elements are the records, exactly as written there. A file that does
    /// not begin with a bracket is read as
    /// [`JsonLines`](Self::JsonLines).
    Json,
    /// CSV as RFC 4180 defines it. The first row names the columns. Every other row becomes a JSON
    /// object with a string per column, in column order.
    Csv,
}

impl RecordFormat {
    /// The format implied by the extension of `path`, ignoring case: `.jsonl` and `.ndjson` are
    /// JSON lines, `.json` is JSON, `.csv` is CSV, and everything else is lines.
    #[must_use]
    pub fn from_path(path: &Path) -> Self {
        let is = |extension| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(extension));
        if is("jsonl") || is("ndjson") {
            Self::JsonLines
        } else if is("json") {
            Self::Json
        } else if is("csv") {
            Self::Csv
        } else {
            Self::Lines
        }
    }
}

/// Reads a whole file, but at most one byte beyond the limit: a pipe does not state its size.
pub(super) fn read_within(path: &Path, limit_bytes: usize) -> Result<Vec<u8>, RecordError> {
    let failed = |source| RecordError::Read { path: path.to_owned(), source };
    let too_large = || RecordError::TooLarge { path: path.to_owned(), limit_bytes };
    let file = File::open(path).map_err(failed)?;
    let stated_bytes = file.metadata().map_err(failed)?.len();
    let limit = limit_bytes as u64;
    if stated_bytes > limit {
        return Err(too_large());
    }
    let mut contents = Vec::with_capacity(usize::try_from(stated_bytes).unwrap_or(0));
    file.take(limit + 1).read_to_end(&mut contents).map_err(failed)?;
    if contents.len() > limit_bytes {
        return Err(too_large());
    }
    Ok(contents)
}

/// The mark with which spreadsheets and some editors begin a UTF-8 file; not part of any record.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Strips a byte order mark. Refuses UTF-16 text, which cannot be cut into lines of bytes.
pub(super) fn without_mark(
    mut contents: Vec<u8>,
    path: &Path,
    format: RecordFormat,
) -> Result<Vec<u8>, RecordError> {
    let has_mark = contents.starts_with(b"\xFF\xFE") || contents.starts_with(b"\xFE\xFF");
    let begins_with_zero = matches!(contents[..], [0, 1..=u8::MAX, ..] | [1..=u8::MAX, 0, ..]);
    let is_utf16 = match format {
        RecordFormat::Lines => has_mark && contents.contains(&0),
        RecordFormat::JsonLines | RecordFormat::Json | RecordFormat::Csv => {
            has_mark || begins_with_zero
        }
    };
    if is_utf16 {
        return Err(RecordError::Utf16 { path: path.to_owned() });
    }
    if contents.starts_with(BYTE_ORDER_MARK) {
        contents.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(contents)
}
