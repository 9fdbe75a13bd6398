//! What an entry of the log says that matters to a follower.

use std::fmt;

use deltalake::Path;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::requirements::{Metadata, Protocol};
use crate::log::actions;

/// What one version changed.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    /// The files whose rows are new, in the order in which they are named.
    pub(crate) added: Vec<Added>,
    /// The files that left the table, for whatever reason.
    pub(crate) removed: Vec<Path>,
    /// Whether rows left the table, as they do when rows are deleted, updated or overwritten.
    pub(crate) removes_rows: bool,
    /// What readers and writers must know from here on.
    pub(crate) protocol: Option<Protocol>,
    /// The columns and settings from here on.
    pub(crate) metadata: Option<Metadata>,
    /// When it was committed by the clock of its writer, ms since 1970.
    pub(crate) committed_ms: Option<i64>,
}

/// A file with new rows.
#[derive(Debug)]
pub(crate) struct Added {
    /// From the table on.
    pub(crate) path: Path,
    /// Its size.
    pub(crate) size_bytes: u64,
    /// Its rows, if its writer has counted them.
    pub(crate) rows: Option<u64>,
    /// Whether some of its rows are not there, because they were deleted.
    pub(crate) has_deletions: bool,
}

/// Why an entry cannot be followed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// It is not what the protocol says.
    Damaged(String),
    /// It has something that a follower cannot do.
    Unsupported(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Damaged(text) | Self::Unsupported(text)) = self;
        f.write_str(text)
    }
}

/// One line: one of these, or something that does not matter here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    add: Option<AddLine>,
    remove: Option<RemoveLine>,
    meta_data: Option<Metadata>,
    protocol: Option<Protocol>,
    commit_info: Option<CommitLine>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AddLine {
    path: String,
    size: u64,
    data_change: bool,
    stats: Option<Value>,
    deletion_vector: Option<IgnoredAny>,
}

/// What of a file's statistics is of interest here; they are JSON within the JSON.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Stats {
    num_records: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RemoveLine {
    path: String,
    data_change: bool,
}

/// Provenance, which each writer fills in as it likes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CommitLine {
    timestamp: Option<Value>,
    in_commit_timestamp: Option<Value>,
}

impl Entry {
    /// Reads the entry; what is wrong with it otherwise.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, Problem> {
        let mut entry = Self::default();
        for line in actions(json).map_err(Problem::Damaged)? {
            entry.take_in(line)?;
        }
        Ok(entry)
    }

    fn take_in(&mut self, line: Line) -> Result<(), Problem> {
        if let Some(AddLine { path, size, data_change: true, stats, deletion_vector }) = line.add {
            let path = data_path(&path)?;
            let has_deletions = deletion_vector.is_some();
            let rows = stats.as_ref().and_then(Value::as_str).and_then(rows_of);
            self.added.push(Added { path, size_bytes: size, rows, has_deletions });
        }
        if let Some(RemoveLine { path, data_change }) = line.remove {
            self.removed.push(data_path(&path)?);
            self.removes_rows |= data_change;
        }
        if let Some(CommitLine { timestamp, in_commit_timestamp }) = line.commit_info {
            let number = |value: Option<Value>| value.as_ref().and_then(Value::as_i64);
            self.committed_ms = number(in_commit_timestamp).or(number(timestamp));
        }
        self.protocol = line.protocol.or(self.protocol.take());
        self.metadata = line.meta_data.or(self.metadata.take());
        Ok(())
    }
}

/// The rows of a file by its statistics.
fn rows_of(stats: &str) -> Option<u64> {
    serde_json::from_str(stats).ok().and_then(|Stats { num_records }| num_records)
}

/// A data file's path, which the log has as a URI that is relative to the table.
fn data_path(uri: &str) -> Result<Path, Problem> {
    if uri.starts_with('/') || has_scheme(uri) {
        return Err(Problem::Unsupported(format!(
            "data file {uri} lies outside of the table, as those of a shallow clone do; follow the \
             table that it was cloned from"
        )));
    }
    Path::from_url_path(uri).map_err(|error| Problem::Damaged(error.to_string()))
}

/// Whether a URI is an absolute one, as in `s3://bucket/x` and `file:/x`.
fn has_scheme(uri: &str) -> bool {
    let is_of_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    uri.split_once(":/").is_some_and(|(scheme, _)| scheme.chars().all(is_of_scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = r#"{"commitInfo":{"timestamp":1700000000123,"operation":"WRITE","x":{}}}
{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}
{"metaData":{"id":"i","format":{"provider":"parquet"},"schemaString":"{}","partitionColumns":["p"]}}
{"txn":{"appId":"a","version":3}}

{"add":{"path":"p=a%2520b/1%20.parquet","size":7,"dataChange":true,"modificationTime":1,"partitionValues":{"p":"a b"},"deletionVector":null}}
{"add":{"path":"2.parquet","size":8,"dataChange":false,"modificationTime":1,"partitionValues":{}}}
{"remove":{"path":"3.parquet","dataChange":false}}
{"add":{"path":"4.parquet","size":9,"dataChange":true,"deletionVector":{"storageType":"u"}}}
"#;

    #[test]
    fn new_rows_are_told_from_moved_ones() {
        let entry = Entry::parse(ENTRY.as_bytes()).expect("an entry");
        let added: Vec<_> =
            entry.added.iter().map(|a| (a.path.as_ref(), a.size_bytes, a.has_deletions)).collect();
        assert_eq!(added, [("p=a%20b/1 .parquet", 7, false), ("4.parquet", 9, true)]);
        assert_eq!(entry.removed, [Path::from("3.parquet")]);
        assert!(!entry.removes_rows);
        assert_eq!(entry.committed_ms, Some(1_700_000_000_123));
        assert!(entry.protocol.is_some() && entry.metadata.is_some());
        let deletes = Entry::parse(br#"{"remove":{"path":"3.parquet","dataChange":true}}"#);
        assert!(deletes.expect("an entry").removes_rows);
    }

    #[test]
    fn the_time_within_the_commit_comes_first_and_other_provenance_does_not_matter() {
        let time = |info: &str| {
            let line = format!("{{\"commitInfo\":{info}}}");
            Entry::parse(line.as_bytes()).expect("an entry").committed_ms
        };
        assert_eq!(time(r#"{"timestamp":1,"inCommitTimestamp":2}"#), Some(2));
        assert_eq!(time(r#"{"timestamp":"yesterday"}"#), None);
        assert_eq!(time("{}"), None);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let problem = |json: &str| Entry::parse(json.as_bytes()).expect_err("wrong").to_string();
        assert!(problem("{}\n{\"add\":{\"path\":\"x\"").starts_with("line 2: EOF"));
        let outside = problem(r#"{"add":{"path":"s3://b/x.parquet","size":1,"dataChange":true}}"#);
        assert!(outside.contains("lies outside of the table"), "{outside}");
        let clone = problem(r#"{"add":{"path":"file:/b/x.parquet","size":1,"dataChange":true}}"#);
        assert!(clone.contains("lies outside of the table"), "{clone}");
        let up = problem(r#"{"add":{"path":"../x.parquet","size":1,"dataChange":true}}"#);
        assert!(up.contains(".."), "{up}");
        assert_eq!(problem(""), "it is empty");
        assert_eq!(problem("{}\n"), "it has no action");
    }

    #[test]
    fn paths_are_decoded_once_and_rows_counted_by_their_writer() {
        let added = |path: &str, stats: &str| {
            let line = serde_json::json!({"add": {
                "path": path, "size": 1, "dataChange": true,
                "stats": serde_json::from_str::<Value>(stats).expect("JSON"),
            }});
            let entry = Entry::parse(line.to_string().as_bytes()).expect("an entry");
            let Added { path, rows, .. } = entry.added.into_iter().next().expect("a file");
            (path.to_string(), rows)
        };
        for (uri, path) in [
            ("a%20b%2520c.parquet", "a b%20c.parquet"),
            ("t=10%3A00/50%.parquet", "t=10:00/50%.parquet"),
            ("t=10:/a+b.parquet", "t=10:/a+b.parquet"),
            ("z%C3%B6%23%3F.parquet", "zö#?.parquet"),
        ] {
            assert_eq!(added(uri, "null"), (path.to_owned(), None), "{uri}");
        }
        for (stats, rows) in [
            (r#""{\"numRecords\":7,\"minValues\":{}}""#, Some(7)),
            (r#""{\"minValues\":{}}""#, None),
            (r#""nonsense""#, None),
            (r#"{"numRecords":7}"#, None),
        ] {
            assert_eq!(added("a.parquet", stats).1, rows, "{stats}");
        }
    }
}
