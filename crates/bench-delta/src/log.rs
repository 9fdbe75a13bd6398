//! A table's log as listed by the storage, and whether it is complete.
//!
//! Implementations of the protocol treat damaged logs differently: some skip an empty entry, or
//! versions missing before the first existing one. Here every version since the last checkpoint
//! must exist and contain an action.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use deltalake::DeltaTableError;
use deltalake::logstore::object_store::ObjectMeta;
use deltalake::logstore::object_store::path::Path;
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::reason::table_reason;

/// The log's folder.
const FOLDER: &str = "_delta_log";

/// Entries read concurrently.
const READS: usize = 16;

/// How often a log with a gap is listed: a clean-up in progress removes entries during the listing.
const LISTINGS_MAX: usize = 3;

/// The delay before the log is listed again.
const LISTING_WAIT: Duration = Duration::from_millis(100);

/// Why a table cannot be loaded from its log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// A log entry violates the Delta protocol.
    #[error(
        "version {version} of {uri} has an unreadable log entry: {problem}; restore {}, or use \
         another table with --lake-path", entry_path(*version)
    )]
    Entry {
        /// The table.
        uri: String,
        /// The version.
        version: u64,
        /// What is wrong.
        problem: String,
    },
    /// Versions are missing, and no checkpoint covers them.
    #[error(
        "{} missing from the log of {uri}, but version {next} exists and no checkpoint covers the \
         gap; restore {}, or use another table with --lake-path",
        versions_are(*first, *last), entry_path(*first)
    )]
    Gap {
        /// The table.
        uri: String,
        /// The first missing version.
        first: u64,
        /// The last missing version.
        last: u64,
        /// The version after the gap.
        next: u64,
    },
    /// The checkpoint that readers start from is damaged or missing.
    #[error(
        "checkpoint {version} of {uri} is unreadable: {problem}; restore it, or use another table \
         with --lake-path"
    )]
    Checkpoint {
        /// The table.
        uri: String,
        /// The version of the checkpoint.
        version: u64,
        /// What is wrong.
        problem: String,
    },
    /// The log is complete, but the table cannot be loaded from it.
    #[error("version {version} of {uri} cannot be loaded from its log: {problem}")]
    State {
        /// The table.
        uri: String,
        /// The newest version.
        version: u64,
        /// What is wrong.
        problem: String,
    },
}

/// `version 3 is` or `versions 3 to 5 are`.
fn versions_are(first: u64, last: u64) -> String {
    if first == last {
        format!("version {first} is")
    } else {
        format!("versions {first} to {last} are")
    }
}

/// The path of a version's log entry, relative to the table.
pub(crate) fn entry_path(version: u64) -> Path {
    Path::from(format!("{FOLDER}/{version:020}.json"))
}

/// The log's folder, relative to the table.
pub(crate) fn folder() -> Path {
    Path::from(FOLDER)
}

/// The path after which this version and later ones are listed.
pub(crate) fn before(version: u64) -> Path {
    Path::from(format!("{FOLDER}/{version:020}"))
}

/// The actions of a log entry, one per line, of the fields that `T` knows; or what is wrong with
/// the entry. An entry has at least one action.
pub(crate) fn actions<T: DeserializeOwned>(entry: &[u8]) -> Result<Vec<T>, String> {
    let mut actions = Vec::new();
    let lines = entry.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    for (number, line) in (1..).zip(lines).filter(|(_, line)| !line.is_empty()) {
        if !line.starts_with(b"{") {
            return Err(format!("line {number} is not a JSON object"));
        }
        let action = serde_json::from_slice(line).map_err(|e| format!("line {number}: {e}"))?;
        if line[1..].trim_ascii_start() != b"}" {
            actions.push(action);
        }
    }
    match (actions.is_empty(), entry.is_empty()) {
        (false, _) => Ok(actions),
        (true, true) => Err("it is empty".to_owned()),
        (true, false) => Err("it contains no action".to_owned()),
    }
}

/// A log that can be listed and read.
#[async_trait]
pub(crate) trait Source: Sync {
    type Error: From<LogError>;

    /// The table's address.
    fn uri(&self) -> &str;

    /// All objects of the log.
    async fn list(&self) -> Result<Vec<ObjectMeta>, Self::Error>;

    /// The entry of a version, if it exists.
    async fn entry(&self, version: u64) -> Result<Option<Bytes>, Self::Error>;
}

/// A version in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Listed {
    pub(crate) version: u64,
    /// When its entry was written by the storage's clock, milliseconds since 1970.
    pub(crate) modified_ms: i64,
    size_bytes: u64,
}

/// A log as listed by the storage.
#[derive(Debug, Default)]
pub(crate) struct Log {
    uri: String,
    /// Oldest first.
    entries: Vec<Listed>,
    /// The newest complete checkpoint.
    checkpoint: Option<Checkpoint>,
}

#[derive(Debug, Clone, Copy)]
struct Checkpoint {
    version: u64,
    is_empty: bool,
}

impl Log {
    /// Classifies the listed objects of a table's log.
    pub(crate) fn of(uri: &str, objects: &[ObjectMeta]) -> Self {
        let mut log = Self { uri: uri.to_owned(), ..Self::default() };
        // By version and expected number of parts.
        let mut checkpoints: BTreeMap<(u64, usize), Vec<u64>> = BTreeMap::new();
        for object in objects.iter().filter(|object| object.location.parts().count() == 2) {
            let name = object.location.filename().unwrap_or_default();
            match LogFile::of(name) {
                Some(LogFile::Entry(version)) => log.entries.push(Listed {
                    version,
                    modified_ms: object.last_modified.timestamp_millis(),
                    size_bytes: object.size,
                }),
                Some(LogFile::Checkpoint { version, parts }) => {
                    checkpoints.entry((version, parts)).or_default().push(object.size);
                }
                None => {}
            }
        }
        log.entries.sort_unstable();
        let whole = checkpoints.into_iter().rfind(|((_, parts), found)| found.len() >= *parts);
        log.checkpoint =
            whole.map(|((version, _), found)| Checkpoint { version, is_empty: found.contains(&0) });
        log
    }

    /// The newest existing version.
    pub(crate) fn newest(&self) -> Option<u64> {
        let entry = self.entries.last().map(|listed| listed.version);
        entry.max(self.checkpoint())
    }

    /// The version that readers start from, unless it is the first.
    pub(crate) fn checkpoint(&self) -> Option<u64> {
        self.checkpoint.map(|checkpoint| checkpoint.version)
    }

    /// The oldest existing entry.
    pub(crate) fn oldest_entry(&self) -> Option<u64> {
        self.entries.first().map(|listed| listed.version)
    }

    /// The newest entries without a gap.
    pub(crate) fn kept(&self) -> &[Listed] {
        // A clean-up in progress removes entries in no particular order.
        let entries = self.entries.as_slice();
        let gap = entries.windows(2).rposition(|pair| pair[0].version + 1 != pair[1].version);
        &entries[gap.map_or(0, |gap| gap + 1)..]
    }

    /// Whether every version since the first is listed.
    pub(crate) fn is_from_the_first(&self) -> bool {
        let (first, last) = (self.kept().first(), self.kept().last());
        first.is_some_and(|first| first.version == 0)
            && last.map(|last| last.version) == self.newest()
            && self.entries.iter().all(|listed| listed.size_bytes > 0)
    }

    /// The entries after the checkpoint, or all of them.
    fn since_checkpoint(&self) -> &[Listed] {
        let first = self.checkpoint().map_or(0, |version| version + 1);
        &self.entries[self.entries.partition_point(|listed| listed.version < first)..]
    }

    /// Checks that the table can be loaded, as far as the listing shows.
    pub(crate) fn check(&self) -> Result<(), LogError> {
        let uri = || self.uri.clone();
        if let Some(Checkpoint { version, is_empty: true }) = self.checkpoint {
            let problem = "it is empty".to_owned();
            return Err(LogError::Checkpoint { uri: uri(), version, problem });
        }
        let first = self.checkpoint().map_or(0, |version| version + 1);
        for (expected, Listed { version, size_bytes, .. }) in (first..).zip(self.since_checkpoint())
        {
            if *version != expected {
                let (first, last) = (expected, *version - 1);
                return Err(LogError::Gap { uri: uri(), first, last, next: *version });
            }
            if *size_bytes == 0 {
                let problem = "it is empty".to_owned();
                return Err(LogError::Entry { uri: uri(), version: *version, problem });
            }
        }
        Ok(())
    }
}

/// Lists a log and reads the entries since its last checkpoint: all of them must exist and be
/// intact. `None` if there is no log.
pub(crate) async fn checked<S: Source>(source: &S) -> Result<Option<Log>, S::Error> {
    let mut listings = 0;
    loop {
        listings += 1;
        let log = Log::of(source.uri(), &source.list().await?);
        if log.newest().is_none() {
            return Ok(None);
        }
        let damage = match log.check() {
            Ok(()) => check_entries(source, &log).await?,
            Err(damage) => Some(damage),
        };
        match damage {
            None => return Ok(Some(log)),
            Some(LogError::Gap { .. }) if listings < LISTINGS_MAX => {
                tokio::time::sleep(LISTING_WAIT).await;
            }
            Some(damage) => return Err(damage.into()),
        }
    }
}

/// The error of the first damaged entry after the checkpoint.
async fn check_entries<S: Source>(source: &S, log: &Log) -> Result<Option<LogError>, S::Error> {
    let versions: Vec<_> = log.since_checkpoint().iter().map(|listed| listed.version).collect();
    let entries = futures_util::stream::iter(versions)
        .map(|version| async move { Ok::<_, S::Error>((version, source.entry(version).await?)) })
        .buffered(READS);
    let mut entries = std::pin::pin!(entries);
    while let Some((version, entry)) = entries.try_next().await? {
        // An entry that was cleaned up just now is noticed later, by the reader that needs it.
        let Some(entry) = entry else { continue };
        if let Err(problem) = actions::<IgnoredAny>(&entry) {
            let uri = source.uri().to_owned();
            return Ok(Some(LogError::Entry { uri, version, problem }));
        }
    }
    Ok(None)
}

/// Why delta-rs cannot load a log whose entries are intact.
pub(crate) fn unloadable(log: &Log, error: &DeltaTableError) -> LogError {
    let (uri, problem) = (log.uri.clone(), table_reason(error));
    match log.checkpoint() {
        Some(version) if is_undecodable(error) => LogError::Checkpoint { uri, version, problem },
        _ => LogError::State { uri, version: log.newest().unwrap_or_default(), problem },
    }
}

/// Whether a file could not be decoded. The entries were read before, so it is a checkpoint.
fn is_undecodable(error: &DeltaTableError) -> bool {
    let text = error.to_string();
    ["Parquet", "Arrow", "External"].iter().any(|word| text.contains(word))
}

/// The file that names the last checkpoint, relative to the table.
pub(crate) fn hint_path() -> Path {
    Path::from(format!("{FOLDER}/_last_checkpoint"))
}

/// The path of a version's checkpoint in a single file, relative to the table.
pub(crate) fn checkpoint_path(version: u64) -> Path {
    Path::from(format!("{FOLDER}/{version:020}.checkpoint.parquet"))
}

/// The meaning of a file name in the log's folder.
#[derive(Debug, PartialEq, Eq)]
enum LogFile {
    Entry(u64),
    /// A whole checkpoint, or one of several parts.
    Checkpoint {
        version: u64,
        parts: usize,
    },
}

impl LogFile {
    fn of(name: &str) -> Option<Self> {
        let (digits, rest) = name.split_once('.')?;
        let is_version = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
        let version = digits.parse().ok().filter(|_| is_version)?;
        let parts: Vec<_> = rest.split('.').collect();
        match parts[..] {
            ["json"] => Some(Self::Entry(version)),
            ["checkpoint", "parquet"] | ["checkpoint", _, "parquet" | "json"] => {
                Some(Self::Checkpoint { version, parts: 1 })
            }
            ["checkpoint", _, parts, "parquet"] => {
                Some(Self::Checkpoint { version, parts: parts.parse().ok()? })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    /// A log of these objects, each of this size.
    fn log_of(objects: &[(&str, u64)]) -> Log {
        let object = |(name, size): &(&str, u64)| ObjectMeta {
            location: Path::from(format!("{FOLDER}/{name}")),
            last_modified: DateTime::UNIX_EPOCH,
            size: *size,
            e_tag: None,
            version: None,
        };
        let objects: Vec<_> = objects.iter().map(object).collect();
        Log::of("memory:///", &objects)
    }

    /// Entries of these versions, and checkpoints in the form given by `file`.
    fn log_with(entries: &[u64], checkpoints: &[String]) -> Log {
        let entries = entries.iter().map(|version| format!("{version:020}.json"));
        let names: Vec<_> = entries.chain(checkpoints.iter().cloned()).collect();
        let objects: Vec<_> = names.iter().map(|name| (name.as_str(), 7)).collect();
        log_of(&objects)
    }

    fn checkpoint(version: u64, rest: &str) -> String {
        format!("{version:020}.checkpoint.{rest}")
    }

    #[test]
    fn gaps_without_checkpoint_are_reported() {
        for (entries, checkpoints, expected) in [
            (&[0, 1, 2][..], vec![], None),
            (&[0, 1, 3], vec![], Some((2, 2, 3))),
            (&[0, 5], vec![], Some((1, 4, 5))),
            (&[3, 4], vec![], Some((0, 2, 3))),
            (&[0, 2, 3], vec![checkpoint(2, "parquet")], None),
            (&[3], vec![checkpoint(2, "parquet")], None),
            (&[], vec![checkpoint(2, "parquet")], None),
            (&[4], vec![checkpoint(2, "parquet")], Some((3, 3, 4))),
            (&[4], vec![checkpoint(3, "80a083e8-7026.json")], None),
            (&[4], vec![checkpoint(3, "0000000001.0000000002.parquet")], Some((0, 3, 4))),
            (
                &[4],
                vec![
                    checkpoint(3, "0000000001.0000000002.parquet"),
                    checkpoint(3, "0000000002.0000000002.parquet"),
                ],
                None,
            ),
        ] {
            let found = match log_with(entries, &checkpoints).check() {
                Ok(()) => None,
                Err(LogError::Gap { first, last, next, .. }) => Some((first, last, next)),
                Err(other) => panic!("{other}"),
            };
            assert_eq!(found, expected, "{entries:?} {checkpoints:?}");
        }
        let error = log_with(&[0, 1, 3], &[]).check().expect_err("a gap").to_string();
        assert!(error.starts_with("version 2 is missing from the log of memory:///"), "{error}");
        assert!(error.contains("restore _delta_log/00000000000000000002.json"), "{error}");
    }

    #[test]
    fn empty_objects_matter_only_when_read() {
        let entry = |version: u64| format!("{version:020}.json");
        let first = [entry(0), entry(1), entry(2), checkpoint(1, "parquet")];
        let sizes = |sizes: [u64; 4]| {
            let objects: Vec<_> = first.iter().map(String::as_str).zip(sizes).collect();
            log_of(&objects)
        };
        assert_eq!(sizes([7, 7, 7, 7]).check(), Ok(()));
        let covered = sizes([7, 0, 7, 7]);
        assert_eq!((covered.check(), covered.is_from_the_first()), (Ok(()), false));
        let error = sizes([7, 7, 0, 7]).check().expect_err("damaged").to_string();
        assert!(
            error.starts_with("version 2 of memory:/// has an unreadable log entry"),
            "{error}"
        );
        let error = sizes([7, 7, 7, 0]).check().expect_err("damaged").to_string();
        assert!(error.starts_with("checkpoint 1 of memory:/// is unreadable: it is"), "{error}");
    }

    #[test]
    fn foreign_file_names_are_ignored() {
        let log = log_of(&[
            ("00000000000000000000.json", 7),
            ("0.json", 7),
            ("00000000000000000009.json.tmp", 7),
            ("00000000000000000009.crc", 7),
            ("00000000000000000000.00000000000000000009.compacted.json", 7),
            ("0000000000000000000x.json", 7),
            ("_staged_commits/00000000000000000009.json", 7),
        ]);
        assert_eq!((log.newest(), log.checkpoint()), (Some(0), None));
        assert_eq!(log_of(&[("_last_checkpoint", 7)]).newest(), None);
    }

    #[test]
    fn kept_entries_are_contiguous() {
        let log = log_with(&[0, 1, 4, 5, 6], &[checkpoint(4, "parquet")]);
        let kept: Vec<_> = log.kept().iter().map(|listed| listed.version).collect();
        assert_eq!((kept, log.oldest_entry()), (vec![4, 5, 6], Some(0)));
        assert!(!log.is_from_the_first());
        assert!(log_with(&[0, 1], &[]).is_from_the_first());
        assert!(!log_with(&[0, 1], &[checkpoint(3, "parquet")]).is_from_the_first());
    }

    #[test]
    fn entries_need_an_action() {
        let found = |entry: &str| actions::<IgnoredAny>(entry.as_bytes());
        for good in [
            "{\"commitInfo\":{}}",
            "\n {\"add\":{}} \r\n\n",
            "{\"somethingNew\":1}",
            "{}\n{\"txn\":{}}",
        ] {
            assert_eq!(found(good).expect(good).len(), 1, "{good}");
        }
        for (bad, expected) in [
            ("", "it is empty"),
            ("\n \n", "it contains no action"),
            ("{ }", "it contains no action"),
            ("{\"commitInfo\":{}}\n{\"add\":{\"pa", "line 2: EOF"),
            ("{\"commitInfo\":{}} {\"add\":{}}", "line 1: trailing"),
            ("[]", "line 1 is not a JSON object"),
            ("null", "line 1 is not a JSON object"),
            ("\0\0\0", "line 1 is not a JSON object"),
            ("<html>", "line 1 is not a JSON object"),
        ] {
            let error = found(bad).expect_err(bad);
            assert!(error.starts_with(expected), "{bad}: {error}");
        }
    }
}
