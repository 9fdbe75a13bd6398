//! The parts of a log entry that matter to a follower.

use std::fmt;

use deltalake::Path;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::requirements::{Metadata, Protocol};
use crate::log::actions;

/// The changes of one version.
#[derive(Debug, Default)]
pub(crate) struct VersionChanges {
    /// The files with new rows, in the order of the entry.
    pub(crate) added: Vec<AddedFile>,
    /// The files that left the table, for any reason.
    pub(crate) removed: Vec<Path>,
    /// Whether rows left the table: deleted, updated or overwritten.
    pub(crate) removes_rows: bool,
    /// The protocol from this version on.
    pub(crate) protocol: Option<Protocol>,
    /// The columns and settings from this version on.
    pub(crate) metadata: Option<Metadata>,
    /// Commit time by the writer's clock, milliseconds since 1970.
    pub(crate) committed_ms: Option<i64>,
}

/// A file with new rows.
#[derive(Debug)]
pub(crate) struct AddedFile {
    /// Relative to the table.
    pub(crate) path: Path,
    /// Size of the file.
    pub(crate) size_bytes: u64,
    /// Row count, if the writer recorded it.
    pub(crate) rows: Option<u64>,
    /// Whether some of its rows were deleted.
    pub(crate) has_deletions: bool,
}

/// Why an entry cannot be followed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// It violates the protocol.
    Damaged(String),
    /// It uses something that followers do not support.
    Unsupported(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Damaged(text) | Self::Unsupported(text)) = self;
        f.write_str(text)
    }
}

/// A line with one of these actions, or with one that does not matter here.
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

/// The part of a file's statistics that is used; statistics are JSON within the JSON.
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

/// Provenance, which every writer fills in differently.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CommitLine {
    timestamp: Option<Value>,
    in_commit_timestamp: Option<Value>,
}

impl VersionChanges {
    /// Parses an entry, or returns what is wrong with it.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, Problem> {
        let mut entry = Self::default();
        for line in actions(json).map_err(Problem::Damaged)? {
            entry.apply(line)?;
        }
        Ok(entry)
    }

    fn apply(&mut self, line: Line) -> Result<(), Problem> {
        if let Some(AddLine { path, size, data_change: true, stats, deletion_vector }) = line.add {
            let path = data_path(&path)?;
            let has_deletions = deletion_vector.is_some();
            let rows = stats.as_ref().and_then(Value::as_str).and_then(rows_of);
            self.added.push(AddedFile { path, size_bytes: size, rows, has_deletions });
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

/// A file's row count from its statistics.
fn rows_of(stats: &str) -> Option<u64> {
    serde_json::from_str(stats).ok().and_then(|Stats { num_records }| num_records)
}

/// A data file's path, from the URI relative to the table that the log holds.
fn data_path(uri: &str) -> Result<Path, Problem> {
    if uri.starts_with('/') || has_scheme(uri) {
        return Err(Problem::Unsupported(format!(
            "data file {uri} is outside the table, as in a shallow clone; follow the table that it \
             was cloned from"
        )));
    }
    Path::from_url_path(uri).map_err(|error| Problem::Damaged(error.to_string()))
}

/// Whether a URI is absolute, as `s3://bucket/x` and `file:/x` are.
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
    fn only_files_with_data_changes_are_new() {
        let entry = VersionChanges::parse(ENTRY.as_bytes()).expect("an entry");
        let added: Vec<_> =
            entry.added.iter().map(|a| (a.path.as_ref(), a.size_bytes, a.has_deletions)).collect();
        assert_eq!(added, [("p=a%20b/1 .parquet", 7, false), ("4.parquet", 9, true)]);
        assert_eq!(entry.removed, [Path::from("3.parquet")]);
        assert!(!entry.removes_rows);
        assert_eq!(entry.committed_ms, Some(1_700_000_000_123));
        assert!(entry.protocol.is_some() && entry.metadata.is_some());
        let deletes =
            VersionChanges::parse(br#"{"remove":{"path":"3.parquet","dataChange":true}}"#);
        assert!(deletes.expect("an entry").removes_rows);
    }

    #[test]
    fn in_commit_timestamp_takes_precedence() {
        let time = |info: &str| {
            let line = format!("{{\"commitInfo\":{info}}}");
            VersionChanges::parse(line.as_bytes()).expect("an entry").committed_ms
        };
        assert_eq!(time(r#"{"timestamp":1,"inCommitTimestamp":2}"#), Some(2));
        assert_eq!(time(r#"{"timestamp":"yesterday"}"#), None);
        assert_eq!(time("{}"), None);
    }

    #[test]
    fn damage_is_reported_with_its_line() {
        let problem =
            |json: &str| VersionChanges::parse(json.as_bytes()).expect_err("wrong").to_string();
        assert!(problem("{}\n{\"add\":{\"path\":\"x\"").starts_with("line 2: EOF"));
        let outside = problem(r#"{"add":{"path":"s3://b/x.parquet","size":1,"dataChange":true}}"#);
        assert!(outside.contains("is outside the table"), "{outside}");
        let clone = problem(r#"{"add":{"path":"file:/b/x.parquet","size":1,"dataChange":true}}"#);
        assert!(clone.contains("is outside the table"), "{clone}");
        let up = problem(r#"{"add":{"path":"../x.parquet","size":1,"dataChange":true}}"#);
        assert!(up.contains(".."), "{up}");
        assert_eq!(problem(""), "it is empty");
        assert_eq!(problem("{}\n"), "it contains no action");
    }

    #[test]
    fn paths_are_decoded_once_and_rows_read() {
        let added = |path: &str, stats: &str| {
            let line = serde_json::json!({"add": {
                "path": path, "size": 1, "dataChange": true,
                "stats": serde_json::from_str::<Value>(stats).expect("JSON"),
            }});
            let entry = VersionChanges::parse(line.to_string().as_bytes()).expect("an entry");
            let AddedFile { path, rows, .. } = entry.added.into_iter().next().expect("a file");
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
