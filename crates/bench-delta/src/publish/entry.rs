//! Log entries: writing our own, and reading those of any writer.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use uuid::Uuid;

use super::data_file::DataFile;
use crate::Lake;
use crate::log::{LogError, actions};
use crate::table::ENGINE;

/// The field of `commitInfo` that identifies an entry; Spark stores its own identifier there.
pub(super) const TOKEN: &str = "txnId";

/// An entry of this writer.
pub(super) struct AppendEntry {
    /// Identifies the entry when it is read back.
    pub(super) token: String,
    pub(super) text: Bytes,
}

impl AppendEntry {
    /// Builds the entry that appends these files.
    pub(super) fn append(files: &[DataFile], now_ms: i64) -> Self {
        let token = Uuid::new_v4().to_string();
        let mut text = json!({"commitInfo": {
            "timestamp": now_ms,
            "operation": "WRITE",
            "operationParameters": {"mode": "Append"},
            "isBlindAppend": true,
            "engineInfo": ENGINE,
            TOKEN: token,
        }})
        .to_string();
        for file in files {
            text.push('\n');
            text.push_str(&add(file).to_string());
        }
        Self { token, text: text.into() }
    }
}

fn add(file: &DataFile) -> serde_json::Value {
    let partition_values: BTreeMap<_, _> = file.partition_values.iter().cloned().collect();
    json!({"add": {
        "path": file.path.as_ref(),
        "partitionValues": partition_values,
        "size": file.size_bytes,
        "modificationTime": file.written_ms,
        "dataChange": true,
        "stats": file.stats(),
    }})
}

/// The parts of a log entry that matter to an appending writer.
#[derive(Debug, PartialEq, Eq, Default)]
pub(super) struct LoggedEntry {
    /// The entry's identifier, if its writer sets one.
    pub(super) token: Option<String>,
    /// Whether it changes the table's metadata or protocol.
    pub(super) changes_table: bool,
}

impl LoggedEntry {
    /// Whether it is this entry.
    pub(super) fn is(&self, entry: &AppendEntry) -> bool {
        self.token.as_ref() == Some(&entry.token)
    }

    /// Parses an entry, or returns what is wrong with it.
    pub(super) fn read(entry: &[u8]) -> Result<Self, String> {
        let mut found = Self::default();
        for action in actions::<Action>(entry)? {
            found.changes_table |= action.metadata.is_some() || action.protocol.is_some();
            if let Some(info) = action.info {
                found.token = info.token;
            }
        }
        Ok(found)
    }
}

/// The error text for another writer's damaged entry.
pub(super) fn damaged_entry(lake: &Lake, version: u64, problem: String) -> String {
    LogError::Entry { uri: lake.uri().to_owned(), version, problem }.to_string()
}

#[derive(Deserialize)]
struct Action {
    #[serde(rename = "metaData")]
    metadata: Option<IgnoredAny>,
    protocol: Option<IgnoredAny>,
    #[serde(rename = "commitInfo")]
    info: Option<Info>,
}

#[derive(Deserialize)]
struct Info {
    #[serde(rename = "txnId")]
    token: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_entries_are_recognised_by_token() {
        let entry = AppendEntry::append(&[], 7);
        let found = LoggedEntry::read(&entry.text).expect("an entry");
        assert_eq!(found, LoggedEntry { token: Some(entry.token), changes_table: false });
        for (text, changes_table) in [
            (&b"{\"add\":{\"path\":\"a\"}}\n{\"remove\":{\"path\":\"b\"}}\n"[..], false),
            (b"{\"commitInfo\":{\"operation\":\"WRITE\"}}\n{\"metaData\":{\"id\":\"x\"}}", true),
            (b"{\"protocol\":{\"minReaderVersion\":3}}", true),
        ] {
            let found = LoggedEntry::read(text).expect("an entry");
            assert_eq!(found, LoggedEntry { token: None, changes_table });
        }
        for damaged in [&b"{\"add\":"[..], b"", b"\n", b"{}"] {
            assert!(LoggedEntry::read(damaged).is_err(), "{damaged:?}");
        }
    }
}
