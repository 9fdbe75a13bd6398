//! Messages from a file: its lines or its rows, in order.

use std::collections::HashSet;
use std::path::Path;

use csv::StringRecord;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::csv_file::CsvFile;
use super::json_fault::{check_json, json_reason, line_at, place_of};
use super::record_error::RecordError;
use super::source::{RecordFormat, SIZE_BYTES_MAX, read_within, without_mark};

/// The records of a file, in memory and in the order of the file. At least one; none is empty.
#[derive(Debug)]
pub struct RecordFile {
    contents: Vec<u8>,
    spans: Vec<Span>,
    max_bytes: usize,
}

/// Where a record lies in the contents.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
}

impl RecordFile {
    /// The most that a file, and the records made of it, may hold: 1 GiB. All of it is kept in
    /// memory.
    pub const SIZE_BYTES_MAX: usize = SIZE_BYTES_MAX;

    /// Reads all records of the file at `path`, of at most [`SIZE_BYTES_MAX`](Self::SIZE_BYTES_MAX).
    pub fn load(path: &Path, format: RecordFormat) -> Result<Self, RecordError> {
        Self::load_within(path, format, Self::SIZE_BYTES_MAX)
    }

    fn load_within(
        path: &Path,
        format: RecordFormat,
        limit_bytes: usize,
    ) -> Result<Self, RecordError> {
        let contents = without_mark(read_within(path, limit_bytes)?, path, format)?;
        let mut records = Self { contents: Vec::new(), spans: Vec::new(), max_bytes: 0 };
        let is_array = || contents.trim_ascii_start().starts_with(b"[");
        match format {
            RecordFormat::Lines => records.take_lines(contents, |_, _| Ok(true))?,
            RecordFormat::Json if is_array() => records.take_elements(contents, path)?,
            RecordFormat::JsonLines | RecordFormat::Json => {
                records.take_lines(contents, |line, record| {
                    if record.trim_ascii().is_empty() {
                        return Ok(false);
                    }
                    let failed = |reason| RecordError::Json { path: path.to_owned(), line, reason };
                    check_json(record).map(|()| true).map_err(failed)
                })?;
            }
            RecordFormat::Csv => {
                records.convert_rows(&CsvFile::new(path, contents)?, limit_bytes)?;
            }
        }
        if records.spans.is_empty() {
            return Err(RecordError::Empty { path: path.to_owned() });
        }
        Ok(records)
    }

    /// How many records there are, at least 1.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Always false: a file without records is not loaded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The record `index`, from 0.
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len).
    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> &[u8] {
        let Span { start, end } = self.spans[index];
        &self.contents[start as usize..end as usize]
    }

    /// The record at `position` in the endless repetition of the file.
    #[must_use]
    #[inline]
    pub fn cycle(&self, position: u64) -> &[u8] {
        #[expect(clippy::cast_possible_truncation, reason = "below the number of records")]
        self.get((position % self.len() as u64) as usize)
    }

    /// The size of the largest record, in bytes.
    #[must_use]
    pub fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Makes the lines of `contents` that are not empty the records. `check` sees each with its
    /// number, and says whether it is one.
    fn take_lines(
        &mut self,
        contents: Vec<u8>,
        check: impl Fn(usize, &[u8]) -> Result<bool, RecordError>,
    ) -> Result<(), RecordError> {
        let mut start = 0;
        for (index, line) in contents.split(|byte| *byte == b'\n').enumerate() {
            let record = line.strip_suffix(b"\r").unwrap_or(line);
            if !record.is_empty() && check(index + 1, record)? {
                self.add(start, start + record.len());
            }
            start += line.len() + 1;
        }
        self.contents = contents;
        Ok(())
    }

    /// Makes the elements of the array in `contents` the records.
    fn take_elements(&mut self, contents: Vec<u8>, path: &Path) -> Result<(), RecordError> {
        let blank = |at: usize| contents[at..].len() - contents[at..].trim_ascii_start().len();
        let mut at = blank(0) + 1;
        at += blank(at);
        if contents.get(at) == Some(&b']') {
            return Ok(());
        }
        loop {
            let record = self.spans.len() + 1;
            let malformed_at = |end: usize, reason: String| {
                let (path, line) = (path.to_owned(), line_at(&contents, end));
                RecordError::JsonArray { path, record, line, reason }
            };
            let begins = at;
            let malformed = |reason: String| malformed_at(begins, reason);
            let rest = serde_json::Deserializer::from_slice(&contents[at..]);
            let mut values = rest.into_iter::<IgnoredAny>();
            match values.next() {
                Some(Ok(IgnoredAny)) => {}
                Some(Err(error)) => {
                    let place = at + place_of(&contents[at..], &error);
                    return Err(malformed_at(place, json_reason(&contents, place, &error)));
                }
                None => return Err(malformed("the array does not end".to_owned())),
            }
            let end = at + values.byte_offset();
            str::from_utf8(&contents[at..end]).map_err(|error| malformed(error.to_string()))?;
            self.add(at, end);
            at = end + blank(end);
            match contents.get(at) {
                Some(b',') => at += 1 + blank(at + 1),
                Some(b']') => break,
                _ => return Err(malformed("no comma and no bracket follows".to_owned())),
            }
        }
        let end = at + 1;
        if !contents[end..].trim_ascii().is_empty() {
            let reason = "something follows the array".to_owned();
            let (record, line) = (self.spans.len(), line_at(&contents, end));
            return Err(RecordError::JsonArray { path: path.to_owned(), record, line, reason });
        }
        self.contents = contents;
        Ok(())
    }

    /// Makes the rows of `csv` the records, as JSON objects.
    fn convert_rows(&mut self, csv: &CsvFile, limit_bytes: usize) -> Result<(), RecordError> {
        let path = || csv.path().to_owned();
        let names = json_names(csv.columns())
            .map_err(|column| RecordError::DuplicateColumn { path: path(), column })?;
        csv.for_each_row(|row| {
            let start = self.contents.len();
            for (index, (name, field)) in names.iter().zip(row).enumerate() {
                self.contents.push(if index == 0 { b'{' } else { b',' });
                self.contents.extend_from_slice(name.as_bytes());
                self.contents.push(b':');
                self.contents.extend_from_slice(Value::from(field).to_string().as_bytes());
            }
            self.contents.push(b'}');
            if self.contents.len() > limit_bytes {
                return Err(RecordError::TooLarge { path: path(), limit_bytes });
            }
            self.add(start, self.contents.len());
            Ok(())
        })
    }

    #[expect(clippy::cast_possible_truncation, reason = "the contents are at most 1 GiB")]
    fn add(&mut self, start: usize, end: usize) {
        self.spans.push(Span { start: start as u32, end: end as u32 });
        self.max_bytes = self.max_bytes.max(end - start);
    }
}

/// The names of the columns as JSON strings, or a name that comes twice.
fn json_names(header: &StringRecord) -> Result<Vec<String>, String> {
    let mut seen = HashSet::new();
    let mut names = Vec::with_capacity(header.len());
    for column in header {
        if !seen.insert(column) {
            return Err(column.to_owned());
        }
        names.push(Value::from(column).to_string());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tempfile::NamedTempFile;

    use super::*;

    fn file(contents: &[u8]) -> NamedTempFile {
        let mut file = NamedTempFile::new().expect("creates a file");
        file.write_all(contents).expect("writes");
        file
    }

    fn load(contents: &[u8], format: RecordFormat) -> Result<RecordFile, RecordError> {
        RecordFile::load(file(contents).path(), format)
    }

    fn records(contents: &[u8], format: RecordFormat) -> Vec<String> {
        let file = load(contents, format).expect("loads");
        let text = |index| String::from_utf8(file.get(index).to_vec()).expect("UTF-8");
        (0..file.len()).map(text).collect()
    }

    #[test]
    fn the_format_follows_from_the_extension() {
        for (path, format) in [
            ("a/books.jsonl", RecordFormat::JsonLines),
            ("books.NDJSON", RecordFormat::JsonLines),
            ("books.json", RecordFormat::Json),
            ("books.Csv", RecordFormat::Csv),
            ("books.csv.txt", RecordFormat::Lines),
            ("csv", RecordFormat::Lines),
        ] {
            assert_eq!(RecordFormat::from_path(Path::new(path)), format, "{path}");
        }
    }

    #[test]
    fn lines_are_records_without_their_ends() {
        let lines = b"one\r\n\n two \n\r\nth\rree\nlast";
        assert_eq!(records(lines, RecordFormat::Lines), ["one", " two ", "th\rree", "last"]);
        let file = load(lines, RecordFormat::Lines).expect("loads");
        assert_eq!(file.max_bytes(), 6);
    }

    #[test]
    fn records_repeat_after_the_last() {
        let file = load(b"a\nb\nc\n", RecordFormat::Lines).expect("loads");
        let text = (1..6).flat_map(|position| file.cycle(position)).copied().collect::<Vec<_>>();
        assert_eq!(text, b"bcabc");
        assert_eq!(file.cycle(u64::MAX), b"a", "u64::MAX is divisible by 3");
    }

    #[test]
    fn lines_may_hold_any_bytes() {
        let file = load(b"\xFF\x00\xFE\n", RecordFormat::Lines).expect("loads");
        assert_eq!((file.len(), file.get(0)), (1, &b"\xFF\x00\xFE"[..]));
    }

    #[test]
    fn json_lines_are_kept_as_they_are() {
        let lines = b"{\"b\": 1.50, \"a\": [2]}\n\n\"text\"\r\n";
        assert_eq!(
            records(lines, RecordFormat::JsonLines),
            ["{\"b\": 1.50, \"a\": [2]}", "\"text\""]
        );
    }

    #[test]
    fn marks_and_blank_lines_belong_to_no_record() {
        let marked = b"\xEF\xBB\xBF{\"a\":1}\n  \n\t\r\n{}\n";
        for format in [RecordFormat::JsonLines, RecordFormat::Json] {
            assert_eq!(records(marked, format), ["{\"a\":1}", "{}"], "{format:?}");
        }
        assert_eq!(records(b"\xEF\xBB\xBF[1,\n2]", RecordFormat::Json), ["1", "2"]);
        assert_eq!(records(b"\xEF\xBB\xBFa\n", RecordFormat::Lines), ["a"]);
        assert_eq!(records(b"\xEF\xBB\xBFa,b\n1,2\n", RecordFormat::Csv), [r#"{"a":"1","b":"2"}"#]);
    }

    #[test]
    fn utf_16_is_named_with_what_to_do() {
        let utf16 = |mark: &[u8], zero_first: bool| -> Vec<u8> {
            let text = "{\"a\":1}\n".bytes();
            let units = text.flat_map(|byte| if zero_first { [0, byte] } else { [byte, 0] });
            mark.iter().copied().chain(units).collect()
        };
        let all = [RecordFormat::JsonLines, RecordFormat::Json, RecordFormat::Csv];
        for (mark, zero_first) in
            [(&b"\xFF\xFE"[..], false), (b"\xFE\xFF", true), (b"", false), (b"", true)]
        {
            let contents = utf16(mark, zero_first);
            for format in all {
                let error = load(&contents, format).expect_err("refused");
                assert!(matches!(error, RecordError::Utf16 { .. }), "{format:?}: {error}");
                assert!(error.to_string().contains("iconv"), "{error}");
            }
        }
        let lines = load(&utf16(b"\xFF\xFE", false), RecordFormat::Lines).expect_err("refused");
        assert!(matches!(lines, RecordError::Utf16 { .. }), "{lines}");
    }

    #[test]
    fn numbers_that_json_lacks_are_named() {
        for (text, word) in [
            ("{\"a\": NaN}", "NaN"),
            ("{\"a\":-Infinity}", "Infinity"),
            ("{\"a\": [1, Infinity]}", "Infinity"),
            ("nan", "nan"),
            ("{\"a\":inf}", "inf"),
        ] {
            let error = load(text.as_bytes(), RecordFormat::JsonLines).expect_err(text).to_string();
            let said = format!("JSON has no number {word}, write null");
            assert!(error.starts_with("line 1 of ") && error.contains(&said), "{text}: {error}");
            let array = format!("[\n{{}},\n{text}\n]");
            let error = load(array.as_bytes(), RecordFormat::Json).expect_err(text).to_string();
            assert!(error.starts_with("record 2 of ") && error.contains("on line 3"), "{error}");
            assert!(error.contains(&said), "{text}: {error}");
        }
        let error = load(b"{\"a\": nano}", RecordFormat::JsonLines).expect_err("refused");
        assert!(!error.to_string().contains("no number"), "{error}");
    }

    #[test]
    fn values_over_several_lines_are_named_with_what_to_do() {
        for text in ["[\n{},\n{}\n]\n", "{\n  \"a\": 1\n}\n"] {
            let error = load(text.as_bytes(), RecordFormat::JsonLines).expect_err(text).to_string();
            assert!(error.starts_with("line 1 of ") && error.contains("jq -c"), "{error}");
            assert!(error.contains("--input-format json"), "{error}");
        }
        assert_eq!(records(b"[\n{},\n{}\n]\n", RecordFormat::Json), ["{}", "{}"]);
    }

    #[test]
    fn a_line_that_is_not_json_is_named() {
        let broken: [(&[u8], &str); 3] = [
            (b"{}\n\n{\"a\": tru}\n", "expected ident at column 10"),
            (b"{}\n\n{} {}\n", "trailing characters at column 4"),
            (b"{}\n\n\"\xFF\"\n", "invalid utf-8 sequence of 1 bytes from index 1"),
        ];
        for (contents, expected) in broken {
            match load(contents, RecordFormat::JsonLines) {
                Err(RecordError::Json { line: 3, reason, .. }) => assert_eq!(reason, expected),
                other => panic!("not refused as JSON: {other:?}"),
            }
        }
    }

    #[test]
    fn csv_rows_become_json_objects_of_strings() {
        let rows = b"Title,\"Pri\"\"ce\"\nDune,9.5\r\n\"Say \"\"hi\"\",\nthen go\",\n";
        assert_eq!(
            records(rows, RecordFormat::Csv),
            [
                r#"{"Title":"Dune","Pri\"ce":"9.5"}"#,
                r#"{"Title":"Say \"hi\",\nthen go","Pri\"ce":""}"#
            ]
        );
    }

    #[test]
    fn a_row_that_does_not_fit_is_named() {
        let broken: [(&[u8], &str); 4] = [
            (b"a,b\n1,2\n3,4\n5\n", "the number of its fields is 1, that of the columns 2"),
            (b"a,b\r\n1,2\r\n3,4\r\n5", "the number of its fields is 1, that of the columns 2"),
            (
                b"\xEF\xBB\xBFa,b\n1,\"\n\"\n3,4,5",
                "the number of its fields is 3, that of the columns 2",
            ),
            (b"a,b\n1,2\n3,4\n5,\xFF\n", "field 2 is not UTF-8"),
        ];
        for (contents, expected) in broken {
            match load(contents, RecordFormat::Csv) {
                Err(RecordError::Csv { line: 4, reason, .. }) => assert_eq!(reason, expected),
                other => panic!("not refused as CSV: {other:?}"),
            }
        }
    }

    #[test]
    fn columns_of_the_same_name_are_refused() {
        match load(b"a,b,a\n1,2,3\n", RecordFormat::Csv) {
            Err(RecordError::DuplicateColumn { column, .. }) => assert_eq!(column, "a"),
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn the_elements_of_an_array_are_records_as_they_are_written() {
        let array = b" [ {\"a\": [1, 2]} ,\n{\"b\":\"],\\\"\"},[ ],\n \"text\"\n]\n";
        let expected = [r#"{"a": [1, 2]}"#, r#"{"b":"],\""}"#, "[ ]", r#""text""#];
        assert_eq!(records(array, RecordFormat::Json), expected);
        assert_eq!(records(b"{\"a\":1}\n{}\n", RecordFormat::Json), [r#"{"a":1}"#, "{}"]);
    }

    #[test]
    fn an_array_that_is_not_well_formed_is_refused_at_its_record() {
        for (contents, at, expected) in [
            (&b"[{}, {\"a\" 1}]"[..], 2, "expected `:`"),
            (b"[{} {}]", 1, "no comma and no bracket follows"),
            (b"[{}", 1, "no comma and no bracket follows"),
            (b"[{},", 2, "the array does not end"),
            (b"[{},]", 2, "expected value"),
            (b"[{}, \"\xFF\"]", 2, "invalid"),
            (b"[{}] {}", 1, "something follows the array"),
            (b"[", 1, "the array does not end"),
        ] {
            match load(contents, RecordFormat::Json) {
                Err(RecordError::JsonArray { record, reason, .. }) => {
                    assert_eq!(record, at, "{reason}");
                    assert!(reason.contains(expected), "{reason}");
                }
                other => panic!("not refused: {other:?}"),
            }
        }
        let empty = load(b" [ ] ", RecordFormat::Json).expect_err("refused");
        assert!(matches!(empty, RecordError::Empty { .. }), "{empty}");
    }

    #[test]
    fn a_file_without_records_is_refused() {
        let all =
            [RecordFormat::Lines, RecordFormat::JsonLines, RecordFormat::Json, RecordFormat::Csv];
        for format in all {
            for contents in [&b""[..], b"\n\r\n"] {
                let error = load(contents, format).expect_err("refused");
                assert!(matches!(error, RecordError::Empty { .. }), "{format:?}: {error}");
            }
        }
        let header_only = load(b"a,b\n", RecordFormat::Csv).expect_err("refused");
        assert!(matches!(header_only, RecordError::Empty { .. }), "{header_only}");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().expect("creates a folder");
        let missing = folder.path().join("missing.txt");
        for path in [&*missing, folder.path()] {
            let error = RecordFile::load(path, RecordFormat::Lines).expect_err("refused");
            assert!(matches!(error, RecordError::Read { .. }), "{error}");
            assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        }
    }

    #[test]
    fn files_above_the_limit_are_refused_before_they_are_read() {
        let sparse = file(b"");
        sparse.as_file().set_len(RecordFile::SIZE_BYTES_MAX as u64 + 1).expect("grows");
        let error = RecordFile::load(sparse.path(), RecordFormat::Lines).expect_err("refused");
        let RecordError::TooLarge { limit_bytes, .. } = error else {
            panic!("not refused for its size: {error}");
        };
        assert_eq!(limit_bytes, RecordFile::SIZE_BYTES_MAX);
    }

    #[test]
    fn the_limit_holds_for_what_rows_become() {
        let rows = file(b"a_long_name\n1\n2\n3\n");
        let load =
            |limit_bytes| RecordFile::load_within(rows.path(), RecordFormat::Csv, limit_bytes);
        assert_eq!(load(3 * br#"{"a_long_name":"1"}"#.len()).expect("fits").len(), 3);
        assert!(matches!(load(56), Err(RecordError::TooLarge { limit_bytes: 56, .. })));
    }
}
