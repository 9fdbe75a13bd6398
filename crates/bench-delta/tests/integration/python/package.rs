//! The Python package, used through the script `lake.py`.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::Message;

/// A row read by Python.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) producer: u16,
    pub(crate) sequence: u32,
    pub(crate) message: Message,
}

/// Whether the package is installed; prints `test` as skipped otherwise.
pub(crate) fn is_there(test: &str) -> bool {
    let import = ["-c", "import deltalake, arro3.io"];
    let status = Command::new("python3").args(import).stderr(Stdio::null()).status();
    let is_there = status.is_ok_and(|status| status.success());
    if !is_there {
        // Straight to the stream, since the test harness captures macros.
        let line = format!(
            "skipped: {test} needs python3 and its packages deltalake and arro3-io (pip install \
             deltalake arro3-io)\n"
        );
        std::io::stderr().write_all(line.as_bytes()).expect("standard error");
    }
    is_there
}

/// All rows of a table, by producer and sequence.
pub(crate) fn rows(table: &Path) -> Vec<Row> {
    let answer = run(&["rows"], table);
    let (head, rows) = answer.split_once('\n').expect("a line");
    let rows: Vec<Row> = rows.lines().map(row).collect();
    let (_version, counted) = head.split_once(' ').expect("two numbers");
    assert_eq!(counted, rows.len().to_string(), "the log and the files say the same");
    rows
}

/// All rows of a table in commit order.
pub(crate) fn commits(table: &Path) -> Vec<Row> {
    run(&["commits"], table).lines().skip(1).map(row).collect()
}

/// Creates a table with columns of an Arrow type; returns its rows in order.
pub(crate) fn write(table: &Path, kind: &str) -> Vec<Message> {
    run(&["write", kind], table).lines().map(message).collect()
}

/// Appends some rows; returns them.
pub(crate) fn append(table: &Path, kind: &str) -> Vec<Message> {
    run(&["append", kind], table).lines().map(message).collect()
}

/// Sets a property of a table, which adds a version.
pub(crate) fn set(table: &Path, property: &str, value: &str) {
    run(&["set", property, value], table);
}

/// Writes a checkpoint and removes the log entries before it.
pub(crate) fn checkpoint(table: &Path) {
    run(&["checkpoint"], table);
}

/// The script's output.
fn run(action: &[&str], table: &Path) -> String {
    let output = Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/python/lake.py"))
        .arg(action[0])
        .arg(table)
        .args(&action[1..])
        .output()
        .expect("python3 starts");
    assert!(output.status.success(), "{action:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn row(line: &str) -> Row {
    let mut parts = line.splitn(3, ' ');
    let mut part = || parts.next().expect("three parts");
    Row {
        producer: part().parse().expect("a producer"),
        sequence: part().parse().expect("a sequence number"),
        message: message(part()),
    }
}

fn message(line: &str) -> Message {
    let (key, value) = line.split_once(' ').expect("key and value");
    ((key != "-").then(|| unhex(key)), unhex(value))
}

fn unhex(text: &str) -> Vec<u8> {
    if text == "empty" {
        return Vec::new();
    }
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal digits");
    (0..text.len()).step_by(2).map(byte).collect()
}
