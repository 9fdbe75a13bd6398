//! The record of a stack, by which a later process knows what the stack consists of.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bench_record::ServiceOrigin;
use bench_record::files::read_file;
use serde::de::Error as _;
use serde::{Deserialize, Serialize};

use crate::cache::Cache;
use crate::error::StackError;
use crate::folder::RECORD;
use crate::options::StackOptions;
use crate::process::{Process, ProcessState};
use crate::secret;

/// The version of the record's form.
const VERSION: u32 = 2;

/// The contents of `stack.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) version: u32,
    /// Tells apart the stacks that a folder has one after another.
    pub(crate) id: String,
    /// The cache folder.
    pub(crate) cache: PathBuf,
    pub(crate) options: StackOptions,
    pub(crate) nodes: Vec<Node>,
}

/// One server process of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) service: String,
    pub(crate) parts: Parts,
    pub(crate) ports: BTreeMap<String, u16>,
    /// Whether its configuration and data exist.
    pub(crate) is_prepared: bool,
    /// The process that was started last. It may have ended.
    pub(crate) process: Option<Process>,
}

impl Node {
    pub(crate) fn state(&self) -> ProcessState {
        self.process.as_ref().map_or(ProcessState::Ended, Process::state)
    }
}

/// What a server consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    /// Its name and version as results show them, with what a reader of figures must know of it.
    pub version: String,
    /// What results call figures taken against it: a stand-in is embedded, a real server local.
    pub origin: ServiceOrigin,
    /// The program that is started.
    pub program: PathBuf,
    /// What else a service needs to remember, such as a class path. No secrets.
    pub more: BTreeMap<String, String>,
    /// What the user should know, such as that it is a stand-in because another was not found.
    pub note: Option<String>,
}

impl Parts {
    /// A program with nothing else to remember.
    #[must_use]
    pub fn new(version: String, origin: ServiceOrigin, program: PathBuf) -> Self {
        Self { version, origin, program, more: BTreeMap::new(), note: None }
    }

    /// The same with one more thing to remember.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "callers pass literals and numbers")]
    pub fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.more.insert(key.to_owned(), value.to_string());
        self
    }

    /// One of the things in `more`; empty if it is absent.
    #[must_use]
    pub fn get(&self, key: &str) -> &str {
        self.more.get(key).map_or("", String::as_str)
    }
}

impl Record {
    /// The record of a new stack without nodes.
    pub(crate) fn new(cache: &Cache, options: StackOptions) -> Result<Self, StackError> {
        let (id, cache) = (secret::password()?, cache.dir().to_owned());
        Ok(Self { version: VERSION, id, cache, options, nodes: Vec::new() })
    }

    /// Replaces the record in the stack's folder, all at once.
    pub(crate) fn write(&self, dir: &Path) -> Result<(), StackError> {
        let path = dir.join(RECORD);
        let text = serde_json::to_string_pretty(self);
        let text = text.map_err(|source| StackError::Record { path: path.clone(), source })?;
        secret::write(&path, &text)
    }
}

/// Only the version of a record, whatever else it has.
#[derive(Deserialize)]
struct Versioned {
    #[serde(default)]
    version: u32,
}

/// The record of the stack in `dir`. It may have been tampered with.
pub(crate) fn read_unchecked(dir: &Path) -> Result<Record, StackError> {
    let path = dir.join(RECORD);
    let text = read_file(&path).map_err(StackError::file("read", &path))?;
    let nonsense = |source| StackError::Record { path: path.clone(), source };
    let Versioned { version } = serde_json::from_slice(&text).map_err(nonsense)?;
    if version != VERSION {
        return Err(StackError::OtherVersion { path, dir: dir.to_owned() });
    }
    serde_json::from_slice(&text).map_err(nonsense)
}

/// The error for a record with a node that its options do not allow.
pub(crate) fn unexpected_node(dir: &Path, node: &Node) -> StackError {
    let error = format!("unexpected node '{}'", node.name);
    StackError::Record { path: dir.join(RECORD), source: serde_json::Error::custom(error) }
}

/// Ports that belong to a stack, whether its servers listen on them now or not.
pub(crate) fn ports_in_use(cache: &Cache, record: &Record) -> BTreeSet<u16> {
    let stacks = cache.stacks();
    let others: Vec<Record> = stacks.iter().filter_map(|dir| read_unchecked(dir).ok()).collect();
    let all = others.iter().chain([record]);
    all.flat_map(|record| {
        let proxies = record.options.iter().flat_map(|(_, options)| &options.proxies);
        record.nodes.iter().flat_map(|node| node.ports.values()).chain(proxies).copied()
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::sample::sample;

    #[test]
    fn records_are_read_as_written() {
        let dir = tempfile::tempdir().expect("a folder");
        sample().write(dir.path()).expect("written");
        assert_eq!(read_unchecked(dir.path()).expect("read"), sample());
    }

    #[test]
    fn records_of_other_versions_are_refused_with_a_remedy() {
        let dir = tempfile::tempdir().expect("a folder");
        let old = r#"{"id": "x", "cache": "/c", "options": {"services": []}, "nodes": []}"#;
        fs::write(dir.path().join(RECORD), old).expect("written");
        let error = read_unchecked(dir.path()).expect_err("refused").to_string();
        assert!(error.contains("another version") && error.contains("services down"), "{error}");
    }
}
