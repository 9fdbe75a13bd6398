//! Merges CSV files with different headings into one file of JSON objects.

use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use bench_cli::{Exit, UsageError, output};
use bench_core::message::{CsvFile, RecordError};
use bench_record::files::replace_file;
use csv::StringRecord;
use serde_json::{Map, Number, Value};

use crate::options::MergeArgs;

/// The fields of books, and their headings in the study's files.
const COLUMNS_DEFAULT: [&str; 4] = [
    "Title=Title,title",
    "Author=Author(s),Author,author",
    "Price=Price,price",
    "Description=Description,description",
];

/// The fields whose values become numbers.
const NUMBERS_DEFAULT: [&str; 1] = ["Price"];

/// A field of the merged records.
#[derive(Debug, PartialEq, Eq)]
struct Column {
    name: String,
    /// Possible headings; the first one in a file counts.
    headings: Vec<String>,
    is_number: bool,
}

/// Format of the merged file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MergedFormat {
    Array,
    Lines,
}

pub(super) fn run(args: &MergeArgs) -> Result<Exit> {
    let columns = columns(&args.column, &args.number)?;
    let format = format_of(&args.output)?;
    let mut sources = Vec::new();
    for path in &args.files {
        sources.push(CsvSource::open(path, &columns)?);
    }
    let written =
        replace_file(&args.output, |file| write(BufWriter::new(file), format, &columns, &sources));
    let records =
        written.with_context(|| format!("failed to merge into {}", args.output.display()))?;
    let text = format!("{records} records in {}\n", args.output.display());
    output::print_text(&text).context("failed to print the summary")?;
    Ok(Exit::Good)
}

fn columns(given: &[String], numbers: &[String]) -> Result<Vec<Column>, UsageError> {
    let malformed = |text: &str| {
        let remedy = "write --column NAME=HEADING,HEADING, such as --column Price=Price,price";
        UsageError::new("--column", format!("`{text}` is not a field with headings"), remedy)
    };
    let default = COLUMNS_DEFAULT.map(str::to_owned);
    let given = if given.is_empty() { &default[..] } else { given };
    let mut columns: Vec<Column> = Vec::new();
    for text in given {
        let (name, headings) = text.split_once('=').ok_or_else(|| malformed(text))?;
        let headings: Vec<String> = headings.split(',').map(|h| h.trim().to_owned()).collect();
        let name = name.trim().to_owned();
        if name.is_empty() || headings.iter().any(String::is_empty) {
            return Err(malformed(text));
        }
        if columns.iter().any(|column| column.name == name) {
            let remedy = "put all headings of a field in one option";
            return Err(UsageError::new("--column", format!("{name} is given twice"), remedy));
        }
        let is_number = if numbers.is_empty() {
            NUMBERS_DEFAULT.contains(&name.as_str())
        } else {
            numbers.contains(&name)
        };
        columns.push(Column { name, headings, is_number });
    }
    if let Some(unknown) = numbers.iter().find(|name| !columns.iter().any(|c| c.name == **name)) {
        let problem = format!("no field {unknown}");
        return Err(UsageError::new("--number", problem, "use a field of --column"));
    }
    Ok(columns)
}

fn format_of(path: &Path) -> Result<MergedFormat, UsageError> {
    let extension = path.extension().map(std::ffi::OsStr::to_ascii_lowercase);
    match extension.as_deref().and_then(|extension| extension.to_str()) {
        Some("json") => Ok(MergedFormat::Array),
        Some("jsonl" | "ndjson") => Ok(MergedFormat::Lines),
        _ => Err(UsageError::new(
            "--output",
            format!("{} has no known ending", path.display()),
            "use a file that ends in .json (one array), .jsonl or .ndjson (one object per line)",
        )),
    }
}

/// A CSV file, and the positions of the fields in it.
struct CsvSource {
    file: CsvFile,
    /// The position of each column, if the file has it.
    positions: Vec<Option<usize>>,
}

impl CsvSource {
    fn open(path: &Path, columns: &[Column]) -> Result<Self, UsageError> {
        let file = CsvFile::load(path).map_err(unusable)?;
        let headings: Vec<&str> = file.columns().iter().map(str::trim).collect();
        let position = |column: &Column| {
            let is_here = |wanted: &String| headings.iter().position(|found| found == wanted);
            column.headings.iter().find_map(is_here)
        };
        let positions: Vec<Option<usize>> = columns.iter().map(position).collect();
        if positions.iter().all(Option::is_none) {
            return Err(UsageError::new(
                "--column",
                format!(
                    "{} has none of the headings; it has {}",
                    path.display(),
                    headings.join(", ")
                ),
                "add them, such as --column Title=Title,'Book Title'",
            ));
        }
        for (index, &heading) in headings.iter().enumerate() {
            let is_taken = positions.contains(&Some(index));
            if is_taken && headings[index + 1..].contains(&heading) {
                let (path, column) = (path.to_owned(), heading.to_owned());
                return Err(unusable(RecordError::DuplicateColumn { path, column }));
            }
            if !is_taken {
                tracing::warn!("{}: column {heading} belongs to no field", path.display());
            }
        }
        for (column, _) in columns.iter().zip(&positions).filter(|(_, position)| position.is_none())
        {
            tracing::warn!("{}: no column for the field {}", path.display(), column.name);
        }
        Ok(Self { file, positions })
    }
}

/// The error for a file that cannot be merged.
fn unusable(error: RecordError) -> UsageError {
    UsageError::from_library(format!("{:#}", anyhow::Error::from(error).context("CSV")))
}

fn write(
    mut out: impl Write,
    format: MergedFormat,
    columns: &[Column],
    sources: &[CsvSource],
) -> Result<u64> {
    let (before, between, after) = match format {
        MergedFormat::Array => ("[\n", ",\n", "\n]\n"),
        MergedFormat::Lines => ("", "\n", "\n"),
    };
    let mut records = 0;
    out.write_all(before.as_bytes())?;
    for source in sources {
        source.file.for_each_row(|row| -> Result<()> {
            if records > 0 {
                out.write_all(between.as_bytes())?;
            }
            serde_json::to_writer(&mut out, &merged(columns, &source.positions, row))?;
            records += 1;
            Ok(())
        })?;
    }
    out.write_all(after.as_bytes())?;
    out.flush()?;
    Ok(records)
}

/// Converts a row to an object with all fields. Missing and empty values are null.
fn merged(
    columns: &[Column],
    positions: &[Option<usize>],
    row: &StringRecord,
) -> Map<String, Value> {
    let value = |column: &Column, position: &Option<usize>| {
        let text =
            position.and_then(|position| row.get(position)).map(str::trim).unwrap_or_default();
        if text.is_empty() {
            return Value::Null;
        }
        let number = column.is_number.then(|| number(text)).flatten();
        number.map_or_else(|| Value::from(text), Value::Number)
    };
    let fields = columns.iter().zip(positions);
    fields.map(|(column, position)| (column.name.clone(), value(column, position))).collect()
}

/// Parses a number. Text stays text if a JSON number cannot hold it: NaN, infinity, and more digits
/// than JSON readers keep.
fn number(text: &str) -> Option<Number> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(whole.into());
    }
    let digits = text.split(['e', 'E']).next()?.chars().filter(char::is_ascii_digit);
    let digits = digits.skip_while(|digit| *digit == '0').count();
    if digits > f64::DIGITS as usize {
        return None;
    }
    text.parse().ok().and_then(Number::from_f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merge(
        folder: &Path,
        output: &str,
        columns: &[&str],
        files: &[(&str, &str)],
    ) -> Result<Exit> {
        for (name, text) in files {
            std::fs::write(folder.join(name), text).expect("written");
        }
        run(&MergeArgs {
            output: folder.join(output),
            column: columns.iter().map(|&column| column.to_owned()).collect(),
            number: Vec::new(),
            files: files.iter().map(|(name, _)| folder.join(name)).collect(),
        })
    }

    const A: &str = "Title,Author(s),Price,Description\n\
                     \"One, two\",\"A, B\",9.50,\"says \"\"hi\"\"\"\n\
                     Zwölf,C,,\n";
    const B: &str = "\u{feff}price,title,author,description,extra\nNaN,1984,D,old,x\n12,T,E,,y\n";

    fn expected() -> Value {
        serde_json::json!([
            {"Title": "One, two", "Author": "A, B", "Price": 9.5, "Description": "says \"hi\""},
            {"Title": "Zwölf", "Author": "C", "Price": null, "Description": null},
            {"Title": "1984", "Author": "D", "Price": "NaN", "Description": "old"},
            {"Title": "T", "Author": "E", "Price": 12, "Description": null},
        ])
    }

    #[test]
    fn files_merge_into_one_array_or_lines() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = [("a.csv", A), ("b.csv", B)];
        for output in ["books.json", "books.jsonl"] {
            merge(folder.path(), output, &[], &files).expect("merged");
        }
        let array = std::fs::read_to_string(folder.path().join("books.json")).expect("written");
        assert_eq!(serde_json::from_str::<Value>(&array).expect("JSON"), expected());
        let lines = std::fs::read_to_string(folder.path().join("books.jsonl")).expect("written");
        let lines = lines.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        assert_eq!(Value::Array(lines.collect()), expected());
        let mut left: Vec<_> = std::fs::read_dir(folder.path())
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["a.csv", "b.csv", "books.json", "books.jsonl"]);
    }

    #[test]
    fn columns_are_mapped_by_option() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = [("a.csv", "Book Title,Cost\nX,3\n")];
        merge(folder.path(), "o.jsonl", &["Title=Title,Book Title", "Price=Cost"], &files)
            .expect("merged");
        let text = std::fs::read_to_string(folder.path().join("o.jsonl")).expect("written");
        assert_eq!(text, "{\"Price\":3,\"Title\":\"X\"}\n");
    }

    #[test]
    fn numbers_that_json_would_round_stay_text() {
        for (text, expected) in [
            ("9007199254740993", Some("9007199254740993")),
            ("12345678901234567890", None),
            ("9007199254740993.5", None),
            ("0.000123456789012345", Some("0.000123456789012345")),
            ("-0.10", Some("-0.1")),
            ("1e400", None),
            ("NaN", None),
        ] {
            let found = number(text).map(|number| number.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn invalid_merges_are_refused_and_leave_nothing() {
        for (output, columns, text, needle) in [
            ("o.txt", &[][..], A, "--output: "),
            ("o.json", &["Title"], A, "write --column NAME=HEADING"),
            ("o.json", &["Title="], A, "write --column NAME=HEADING"),
            ("o.json", &["T=a", "T=b"], A, "T is given twice"),
            ("o.json", &["T=a"], A, "has none of the headings; it has Title, Author(s)"),
            ("o.json", &[], "Title,Price\nonly one\n", "line 2 of"),
            ("o.json", &[], "Title,Price\n1,\"x\n2,y\n3,z\n", "line 2 of"),
            ("o.json", &[], "Title,Price\n1,x\"y\"\n", "not valid CSV"),
            ("o.json", &[], "Title,Price,Price\n1,2,3\n", "two columns of"),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            let error = merge(folder.path(), output, columns, &[("a.csv", text)]);
            let error = error.expect_err(needle);
            assert!(error.is::<UsageError>(), "{needle}: {error:?}");
            let error = format!("{error:#}");
            assert!(error.contains(needle), "{needle}: {error}");
            assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "{needle}");
        }
    }
}
