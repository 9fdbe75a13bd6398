//! Results on standard output.

use std::io::{self, Write};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use serde::Serialize;

/// The form in which a tool prints its result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Text for people.
    #[default]
    Human,
    /// The result document as JSON.
    Json,
    /// One header line and one line a result.
    Csv,
}

/// The option `--output`; flatten it into a tool's options.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct OutputArgs {
    /// Form of the result on standard output
    #[arg(
        help_heading = "Output",
        long,
        value_enum,
        value_name = "FORM",
        default_value_t,
        global = true
    )]
    pub output: OutputFormat,
}

/// Prints `text` as it is on standard output.
///
/// A reader that has gone away (`tool | head`) is no error: it has what it wanted.
pub fn print(text: &str) -> io::Result<()> {
    print_to(&mut io::stdout().lock(), text)
}

/// A result as one JSON document, its fields behind the version of their schema.
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

/// A field of a CSV line, in quotes where RFC 4180 wants them.
#[must_use]
pub fn csv_field(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
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
    fn a_reader_that_has_gone_away_is_no_error_but_a_full_disk_is() {
        assert!(print_to(&mut Broken(io::ErrorKind::BrokenPipe), "x").is_ok());
        let error = print_to(&mut Broken(io::ErrorKind::StorageFull), "x").expect_err("fails");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn text_is_printed_as_it_is() {
        let mut out = Vec::new();
        print_to(&mut out, "a,b\n").expect("a vector takes everything");
        assert_eq!(out, b"a,b\n");
    }
}
