//! CSV files as RFC 4180 defines them.
//!
//! The `csv` crate repairs what it cannot read: a quote that is never closed takes in all rows that
//! follow, a backslash is text. Messages would be lost or merged without a word, so the quoting is
//! checked before anything is read.

use std::path::{Path, PathBuf};

use csv::{Position, StringRecord};

use super::record_error::RecordError;
use super::source::{BYTE_ORDER_MARK, RecordFormat, SIZE_BYTES_MAX, read_within, without_mark};

/// A CSV file in memory, whose first row names its columns.
#[derive(Debug)]
pub struct CsvFile {
    path: PathBuf,
    contents: Vec<u8>,
    columns: StringRecord,
}

impl CsvFile {
    /// Reads the file at `path`, of at most 1 GiB, and checks all of it: the quoting, the number of
    /// fields in each row, and the encoding (UTF-8).
    pub fn load(path: &Path) -> Result<Self, RecordError> {
        let contents = read_within(path, SIZE_BYTES_MAX)?;
        let file = Self::new(path, without_mark(contents, path, RecordFormat::Csv)?)?;
        file.for_each_row(|_| Ok::<_, RecordError>(()))?;
        Ok(file)
    }

    /// Checks the quoting and the first row; the other rows are checked as they are read.
    pub(super) fn new(path: &Path, contents: Vec<u8>) -> Result<Self, RecordError> {
        let checked = check_delimiter(&contents).and_then(|()| check_quoting(&contents));
        checked.map_err(|fault| RecordError::Csv {
            path: path.to_owned(),
            line: fault.line,
            reason: fault.reason,
        })?;
        let mut file = Self { path: path.to_owned(), contents, columns: StringRecord::new() };
        let first = csv::Reader::from_reader(&*file.contents).headers().cloned();
        file.columns = first.map_err(|error| file.malformed(&error))?;
        Ok(file)
    }

    /// The path that it was read from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of the columns. None are given twice in a file of records, but may be here.
    #[must_use]
    pub fn columns(&self) -> &StringRecord {
        &self.columns
    }

    /// Passes each row after the first to `take`, in order, until it fails.
    pub fn for_each_row<E: From<RecordError>>(
        &self,
        mut take: impl FnMut(&StringRecord) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rows = csv::Reader::from_reader(&*self.contents);
        let mut row = StringRecord::new();
        while rows.read_record(&mut row).map_err(|error| self.malformed(&error))? {
            take(&row)?;
        }
        Ok(())
    }

    fn malformed(&self, error: &csv::Error) -> RecordError {
        let reason = match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!("the number of its fields is {len}, that of the columns {expected_len}")
            }
            csv::ErrorKind::Utf8 { err, .. } => format!("field {} is not UTF-8", err.field() + 1),
            _ => error.to_string(),
        };
        RecordError::Csv { path: self.path.clone(), line: self.line_of(error), reason }
    }

    /// The line at which the row at fault starts. The reader's own count is that of the end of the
    /// row before.
    fn line_of(&self, error: &csv::Error) -> usize {
        let after_row = error.position().map_or(0, Position::byte);
        let mut start = usize::try_from(after_row).unwrap_or(0).min(self.contents.len());
        start += self.contents[start..].iter().take_while(|byte| is_line_end(**byte)).count();
        self.contents[..start].split(|byte| *byte == b'\n').count()
    }
}

/// What is wrong with a line, from 1.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    line: usize,
    reason: String,
}

/// What spreadsheets write between fields instead of commas, and what that is called.
const OTHER_DELIMITERS: [(u8, &str); 3] = [(b';', "semicolons"), (b'\t', "tabs"), (b'|', "bars")];

/// Refuses a file whose columns are divided by something else than commas: each row would be one
/// field.
fn check_delimiter(contents: &[u8]) -> Result<(), Fault> {
    let header = contents.split(|byte| is_line_end(*byte)).next().unwrap_or_default();
    let mut is_quoted = false;
    let outside: Vec<u8> = header
        .iter()
        .copied()
        .filter(|byte| {
            is_quoted ^= *byte == b'"';
            !is_quoted
        })
        .collect();
    if outside.contains(&b',') {
        return Ok(());
    }
    let other = OTHER_DELIMITERS.iter().find(|(delimiter, _)| outside.contains(delimiter));
    other.map_or(Ok(()), |(_, name)| {
        let reason = format!("its fields are divided by {name}; save it with commas between them");
        Err(Fault { line: 1, reason })
    })
}

/// What precedes a byte.
#[derive(Debug, Clone, Copy)]
enum Before {
    /// The end of a row, or nothing.
    Row,
    /// A comma.
    Comma,
    /// A field without quotes.
    Plain,
    /// A field with quotes, which is open since this line.
    Quoted(usize),
    /// A quote that closes such a field, unless another one follows.
    Quote(usize),
    /// A carriage return, which belongs to the line feed that follows.
    CarriageReturn,
}

/// Finds the first place where a file is not what RFC 4180 allows, except that the last lines may be
/// empty and that fields may hold characters beyond ASCII.
fn check_quoting(contents: &[u8]) -> Result<(), Fault> {
    let contents = contents.strip_prefix(BYTE_ORDER_MARK).unwrap_or(contents);
    let fault = |line, reason: &str| Err(Fault { line, reason: reason.to_owned() });
    let (mut line, mut empty_line) = (1, None);
    let mut before = Before::Row;
    for &byte in contents {
        if matches!(before, Before::Row) {
            match empty_line {
                Some(line) if !is_line_end(byte) => return fault(line, EMPTY),
                None if is_line_end(byte) => empty_line = Some(line),
                _ => {}
            }
        }
        before = match (before, byte) {
            (Before::Quoted(since), b'"') => Before::Quote(since),
            (Before::Quoted(since), _) | (Before::Quote(since), b'"') => Before::Quoted(since),
            (Before::CarriageReturn, b'\n') => Before::Row,
            (Before::CarriageReturn, _) => return fault(line, CARRIAGE_RETURN),
            (_, b',') => Before::Comma,
            (_, b'\n') => Before::Row,
            (_, b'\r') => Before::CarriageReturn,
            (Before::Quote(since), _) => return Err(text_after(since, line)),
            (Before::Row | Before::Comma, b'"') => Before::Quoted(line),
            (Before::Plain, b'"') => return fault(line, QUOTE_IN_PLAIN),
            (_, 0) => return fault(line, ZERO_BYTE),
            (Before::Row | Before::Comma | Before::Plain, _) => Before::Plain,
        };
        line += usize::from(byte == b'\n');
    }
    match before {
        Before::Quoted(since) => fault(since, "a quote that opens here is never closed"),
        Before::CarriageReturn => fault(line, CARRIAGE_RETURN),
        Before::Row | Before::Comma | Before::Plain | Before::Quote(_) => Ok(()),
    }
}

const EMPTY: &str =
    "it is empty; remove the line, or write \"\" for an empty field that is alone in its row";
const CARRIAGE_RETURN: &str =
    "a carriage return stands alone, without the line feed that ends a row";
const QUOTE_IN_PLAIN: &str = "a quote stands within a field that does not begin with one; the whole \
                              field belongs in quotes, and each quote within is written twice";
const ZERO_BYTE: &str = "it holds a zero byte, so the file is not UTF-8 text";

fn text_after(since: usize, line: usize) -> Fault {
    let field =
        if since == line { String::new() } else { format!(", which opens on line {since}") };
    let reason = format!(
        "text follows the closing quote of a field{field}; a quote within a field is written twice, \
         not with a backslash"
    );
    Fault { line, reason }
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use csv::{QuoteStyle, Terminator, WriterBuilder};
    use proptest::prelude::*;

    use super::*;

    fn rows(contents: &[u8]) -> Result<Vec<Vec<String>>, (usize, String)> {
        let file = CsvFile::new(Path::new("q.csv"), contents.to_vec());
        let rows = file.and_then(|file| {
            let mut rows = vec![file.columns().iter().map(str::to_owned).collect()];
            file.for_each_row(|row| {
                rows.push(row.iter().map(str::to_owned).collect());
                Ok::<_, RecordError>(())
            })?;
            Ok(rows)
        });
        rows.map_err(|error| match error {
            RecordError::Csv { line, reason, .. } => (line, reason),
            other => panic!("not refused as CSV: {other}"),
        })
    }

    #[test]
    fn malformed_quoting_is_refused_with_its_line() {
        for (contents, line, expected) in [
            ("a,b\n1,\"x\n2,y\n", 2, "a quote that opens here is never closed"),
            ("a,b\n1,\"x\n2,\"y\"\n", 3, "which opens on line 2"),
            ("a,b\n1,2\n3,\"", 3, "never closed"),
            ("\"a,b\n1,2\n", 1, "never closed"),
            ("a,b\n1,x\"y\"\n", 2, "does not begin with one"),
            ("a,b\n1, \"y\"\n", 2, "does not begin with one"),
            ("a,b\n1,2\n3,5\" disk\n", 3, "does not begin with one"),
            ("a,b\n\"1\"x,2\n", 2, "text follows the closing quote of a field;"),
            ("a,b\n\"1\" ,2\n", 2, "text follows"),
            ("a,b\n\"say \\\"hi\\\"\",2\n", 2, "not with a backslash"),
            ("a\n\"\\\"\"\n", 2, "never closed"),
            ("a,b\r1,2\r3,4\r", 1, "carriage return"),
            ("a,b\n1,x\ry\n", 2, "carriage return"),
            ("a,b\n1,2\r", 2, "carriage return"),
            ("a,b\r\r\n1,2\r\n", 1, "carriage return"),
            ("a\n1\n\n2\n", 3, "it is empty"),
            ("a,b\r\n\r\n1,2\r\n", 2, "it is empty"),
            ("\na,b\n1,2\n", 1, "it is empty"),
            ("a\0,\0b\0\n\0", 1, "zero byte"),
            ("\u{feff}a,b\n1\n", 2, "the number of its fields is 1, that of the columns 2"),
            ("a,b\n\"1\n\",2\n3,4,5\n", 4, "the number of its fields is 3"),
        ] {
            let (at, reason) = rows(contents.as_bytes()).expect_err(contents);
            assert_eq!(at, line, "{contents:?}: {reason}");
            assert!(reason.contains(expected), "{contents:?}: {reason}");
        }
    }

    #[test]
    fn other_delimiters_are_named() {
        for (contents, name) in [
            ("a;b\n1;2\n", "semicolons"),
            ("a\tb\n1\t2\n", "tabs"),
            ("a|b\n1|2\n", "bars"),
            ("\"a\";\"b\"\r\n\"1\";\"2\"\r\n", "semicolons"),
            ("\"a,x\";b\n1,5;2\n", "semicolons"),
        ] {
            let (at, reason) = rows(contents.as_bytes()).expect_err(contents);
            assert_eq!(at, 1, "{contents:?}");
            assert!(reason.contains(name) && reason.contains("with commas"), "{reason}");
        }
        for contents in ["a,b;c\n1,2\n", "\"a;b\"\n1\n", "a\n1;2\n"] {
            rows(contents.as_bytes()).expect(contents);
        }
    }

    #[test]
    fn well_formed_files_keep_every_field() {
        for (contents, expected) in [
            ("a,b\n1,2", vec![["a", "b"], ["1", "2"]]),
            ("a,b\r\n1,2\r\n\r\n\n", vec![["a", "b"], ["1", "2"]]),
            ("\u{feff}\"a\",b\n,\n", vec![["a", "b"], ["", ""]]),
            ("a,b\n\"\",\" x, \"\"y\"\"\r\n\rz\"\n", vec![["a", "b"], ["", " x, \"y\"\r\n\rz"]]),
            ("a,b\n\\,'\n", vec![["a", "b"], ["\\", "'"]]),
        ] {
            assert_eq!(rows(contents.as_bytes()).expect(contents), expected, "{contents:?}");
        }
        let alone = rows(b"a\n\"\"\nx\n").expect("well-formed");
        assert_eq!(alone, [["a"], [""], ["x"]], "an empty field alone in its row");
    }

    #[test]
    fn load_checks_the_last_row_too() {
        let file = tempfile::NamedTempFile::new().expect("creates a file");
        std::fs::write(file.path(), "a,b\n1,2\n3\n").expect("writes");
        let error = CsvFile::load(file.path()).expect_err("refused").to_string();
        assert!(error.starts_with("line 3 of ") && error.contains("valid CSV"), "{error}");
    }

    /// Rows by the parity of the quotes before each line feed.
    fn rows_by_parity(text: &str) -> usize {
        let (mut quotes, mut rows) = (0, 0);
        for character in text.trim_end_matches(['\r', '\n']).chars() {
            quotes += usize::from(character == '"');
            rows += usize::from(character == '\n' && quotes % 2 == 0);
        }
        rows + usize::from(!text.is_empty())
    }

    proptest! {
        #[test]
        fn accepted_text_loses_no_row(text in "[ab\",\\\\\r\n]{0,24}") {
            if let Ok(rows) = rows(text.as_bytes())
                && !text.trim_matches(['\r', '\n']).is_empty()
            {
                prop_assert_eq!(rows.len(), rows_by_parity(&text), "{:?}", rows);
            }
        }

        #[test]
        fn written_rows_come_back(
            fields in proptest::collection::vec("[a \",\\\\'\r\né]{0,6}", 3..30),
            always in any::<bool>(),
            crlf in any::<bool>(),
        ) {
            let style = if always { QuoteStyle::Always } else { QuoteStyle::Necessary };
            let end = if crlf { Terminator::CRLF } else { Terminator::Any(b'\n') };
            let mut builder = WriterBuilder::new();
            let mut writer = builder.quote_style(style).terminator(end).from_writer(Vec::new());
            let written: Vec<Vec<String>> = fields.chunks_exact(3).map(<[_]>::to_vec).collect();
            for row in &written {
                writer.write_record(row).expect("writes");
            }
            let contents = writer.into_inner().expect("flushes");
            prop_assert_eq!(rows(&contents).expect("accepted"), written);
        }
    }
}
