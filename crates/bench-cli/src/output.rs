//! Results on standard output.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write};

use anyhow::{Context as _, Result};
use bench_core::system::plain;
use clap::ValueEnum;
use serde::Serialize;

use crate::printable_except;

/// The format in which a tool prints its result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Text for people.
    #[default]
    Human,
    /// The result document as JSON.
    Json,
    /// A header line and one line per result.
    Csv,
}

/// Prints `text` unchanged on standard output.
///
/// A reader that has gone away (`tool | head`) is not an error: it has what it wanted.
pub fn print(text: &str) -> io::Result<()> {
    print_to(&mut io::stdout().lock(), text)
}

/// Prints a result on standard output.
///
/// A result may contain names and responses of servers. Text for people is always escaped, since a
/// terminal shows it eventually. Formats for programs are exact, except on a terminal.
pub fn print_result(format: OutputFormat, text: &str) -> io::Result<()> {
    print(&shown(format, text, io::stdout().is_terminal()))
}

/// Prints text for people on standard output, with control characters escaped.
pub fn print_text(text: &str) -> io::Result<()> {
    print_result(OutputFormat::Human, text)
}

/// Shows on standard error what is about to be done, escaped in the same way.
pub fn show_plan(text: &str) -> Result<()> {
    let text = shown(OutputFormat::Human, text, true);
    io::stderr().write_all(text.as_bytes()).context("failed to show the plan")
}

fn shown(format: OutputFormat, text: &str, on_terminal: bool) -> Cow<'_, str> {
    match format {
        OutputFormat::Human => Cow::Owned(printable_except(&plain(text), &LAYOUT).into_owned()),
        OutputFormat::Json if on_terminal => escaped_json(text),
        OutputFormat::Csv if on_terminal => printable_except(text, &LAYOUT),
        OutputFormat::Json | OutputFormat::Csv => Cow::Borrowed(text),
    }
}

/// The layout characters of our own text.
pub(crate) const LAYOUT: [char; 2] = ['\n', '\t'];

/// Escapes characters that serde leaves unescaped but a terminal would interpret. The document
/// stays equivalent.
fn escaped_json(text: &str) -> Cow<'_, str> {
    if matches!(printable_except(text, &LAYOUT), Cow::Borrowed(_)) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 64);
    for c in text.chars() {
        let own = c.to_string();
        if matches!(printable_except(&own, &LAYOUT), Cow::Borrowed(_)) {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string never fails.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        }
    }
    Cow::Owned(escaped)
}

/// A result as one JSON document that begins with its schema version.
pub fn versioned_json(schema_version: u32, result: &impl Serialize) -> Result<String> {
    #[derive(Serialize)]
    struct Document<'a, R> {
        schema_version: u32,
        #[serde(flatten)]
        result: &'a R,
    }
    let text = serde_json::to_string_pretty(&Document { schema_version, result });
    Ok(text.context("failed to write JSON")? + "\n")
}

/// A result as CSV: a header line, and a line for each row.
///
/// # Panics
/// When a row has more or fewer cells than the header.
pub fn csv_table<C: AsRef<str>>(
    header: impl IntoIterator<Item = impl AsRef<str>>,
    rows: impl IntoIterator<Item = Vec<C>>,
) -> String {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let header: Vec<_> = header.into_iter().collect();
    let mut written = csv.write_record(header.iter().map(|cell| cell.as_ref().as_bytes()));
    for row in rows {
        written = written
            .and_then(|()| csv.write_record(row.iter().map(|cell| cell.as_ref().as_bytes())));
    }
    written.expect("every row is as long as the header");
    let text = csv.into_inner().expect("memory takes everything");
    String::from_utf8(text).expect("cells are text")
}

fn print_to(out: &mut impl Write, text: &str) -> io::Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn full_disks_are_errors_but_closed_pipes_not() {
        assert!(print_to(&mut Broken(io::ErrorKind::BrokenPipe), "x").is_ok());
        let error = print_to(&mut Broken(io::ErrorKind::StorageFull), "x").expect_err("fails");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn terminals_get_escaped_text_and_programs_exact_text() {
        let foreign = "a\u{1b}[31m\u{202e}\u{7f}b\n";
        for is_terminal in [false, true] {
            let human = shown(OutputFormat::Human, foreign, is_terminal);
            assert_eq!(human, "a\\x1b[31m\\u{202e}\\x7fb\n");
        }
        assert_eq!(shown(OutputFormat::Csv, foreign, false), foreign);
        assert_eq!(shown(OutputFormat::Csv, foreign, true), "a\\x1b[31m\\u{202e}\\x7fb\n");
        let json = serde_json::to_string(foreign).expect("JSON");
        assert_eq!(shown(OutputFormat::Json, &json, false), json);
        let on_terminal = shown(OutputFormat::Json, &json, true);
        assert!(on_terminal.is_ascii(), "{on_terminal}");
        assert_eq!(serde_json::from_str::<String>(&on_terminal).expect("JSON"), foreign);
    }

    #[test]
    fn csv_cells_are_quoted_where_they_must_be() {
        let rows = [vec!["a", "b,\"c\""], vec!["", "d\ne"]];
        let text = csv_table(["one", "two"], rows);
        assert_eq!(text, "one,two\na,\"b,\"\"c\"\"\"\n,\"d\ne\"\n");
    }

    #[test]
    fn text_is_printed_unchanged() {
        let mut out = Vec::new();
        print_to(&mut out, "a,b\n").expect("a vector accepts everything");
        assert_eq!(out, b"a,b\n");
    }
}
