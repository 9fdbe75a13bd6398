//! Committing a compaction.
//!
//! delta-rs' own commit lets two compactions that remove the same files pass one another, since it
//! takes removals that change no data for harmless; their rows would be in the table twice.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use deltalake::kernel::Action;
use deltalake::kernel::transaction::{CommitData, TransactionError};
use deltalake::logstore::object_store::{ObjectStoreExt as _, PutMode};
use deltalake::protocol::DeltaOperation;
use deltalake::{ObjectStoreError, Path};
use serde_json::json;

use super::{MaintenanceError, Optimized};
use crate::log::{entry_path, object};
use crate::receive::Entry;
use crate::{DeltaError, Lake};

/// How often an entry is put again that was refused although there is none: S3 does that while it
/// deals with another writer's.
const REFUSALS_MAX: usize = 10;

/// The log entry with these actions.
pub(super) fn entry(
    actions: Vec<Action>,
    done: &Optimized,
    target_file_bytes: u64,
) -> Result<Bytes, TransactionError> {
    let metrics = json!({
        "numRemovedFiles": done.files_removed,
        "numRemovedBytes": done.bytes_removed,
        "numAddedFiles": done.files_added,
        "numAddedBytes": done.bytes_added,
    });
    let target_size = i64::try_from(target_file_bytes).unwrap_or(i64::MAX);
    let operation = DeltaOperation::Optimize { predicate: None, target_size };
    let info = HashMap::from([("operationMetrics".to_owned(), metrics)]);
    CommitData::new(actions, operation, info, Vec::new()).get_bytes()
}

/// Puts the entry into the log as this version, or as a later one if others were faster with changes
/// that leave the files in `removed`, the columns and the settings alone. Returns the version.
pub(super) async fn commit(
    lake: &Lake,
    mut version: u64,
    entry: Bytes,
    removed: &HashSet<Path>,
) -> Result<u64, DeltaError> {
    let mut refusals = 0;
    loop {
        check_place(lake, version).await?;
        let path = entry_path(version);
        let put = lake.store().put_opts(&path, entry.clone().into(), PutMode::Create.into());
        let Err(error) = put.await else { return Ok(version) };
        match object(lake, &entry_path(version)).await? {
            // It was stored, and the answer lost.
            Some(there) if there == entry => return Ok(version),
            Some(there) => {
                check(lake, version, &there, removed)?;
                version += 1;
                refusals = 0;
            }
            None if matches!(error, ObjectStoreError::AlreadyExists { .. })
                && refusals < REFUSALS_MAX =>
            {
                refusals += 1;
            }
            None => return Err(failed(lake, &format!("write log entry {version}"), &error)),
        }
    }
}

/// Whether the log is still there where the version is to follow. Where it was cleaned up a version
/// could be put a second time, and nobody would ever read it.
async fn check_place(lake: &Lake, version: u64) -> Result<(), DeltaError> {
    let Some(before) = version.checked_sub(1) else { return Ok(()) };
    match lake.store().head(&entry_path(before)).await {
        Ok(_) => Ok(()),
        Err(ObjectStoreError::NotFound { .. }) => {
            let uri = lake.uri().to_owned();
            let reason = format!("version {before} was cleaned up meanwhile");
            Err(MaintenanceError::Conflict { uri, reason }.into())
        }
        Err(error) => Err(failed(lake, &format!("find log entry {before}"), &error)),
    }
}

/// Whether another writer's version leaves alone what this one builds on.
fn check(
    lake: &Lake,
    version: u64,
    theirs: &[u8],
    removed: &HashSet<Path>,
) -> Result<(), MaintenanceError> {
    let conflict = |reason| {
        let uri = lake.uri().to_owned();
        Err(MaintenanceError::Conflict { uri, reason })
    };
    let theirs = match Entry::parse(theirs) {
        Ok(theirs) => theirs,
        Err(problem) => return conflict(format!("version {version} cannot be read: {problem}")),
    };
    if theirs.protocol.is_some() || theirs.metadata.is_some() {
        return conflict(format!("version {version} changed the columns or settings"));
    }
    if let Some(path) = theirs.removed.iter().find(|path| removed.contains(*path)) {
        return conflict(format!("version {version} removed {path} as well"));
    }
    Ok(())
}

fn failed(lake: &Lake, attempted: &str, error: &ObjectStoreError) -> DeltaError {
    DeltaError::store(format!("{attempted} of {}", lake.uri()), error)
}

#[cfg(test)]
mod tests {
    use bench_core::counts::Counts;
    use tempfile::TempDir;

    use super::*;

    struct Log {
        lake: Lake,
        _folder: TempDir,
    }

    impl Log {
        /// A log with these entries, from version 5 on.
        async fn with(entries: &[&str]) -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let lake = Lake::folder(folder.path(), &Counts::default()).expect("a place");
            for (version, entry) in (4..).zip([&"{}"].into_iter().chain(entries)) {
                let entry = Bytes::copy_from_slice(entry.as_bytes());
                lake.store().put(&entry_path(version), entry.into()).await.expect("put");
            }
            Self { lake, _folder: folder }
        }

        async fn commit(&self, entry: &str) -> Result<u64, String> {
            let entry = Bytes::copy_from_slice(entry.as_bytes());
            let removed = HashSet::from([Path::from("old.parquet")]);
            let committed = commit(&self.lake, 5, entry, &removed).await;
            committed.map_err(|error| error.to_string())
        }
    }

    const OURS: &str = r#"{"remove":{"path":"old.parquet","dataChange":false}}"#;

    #[tokio::test]
    async fn versions_that_leave_the_files_alone_are_passed() {
        let append = r#"{"add":{"path":"new.parquet","size":1,"dataChange":true}}"#;
        let other = r#"{"remove":{"path":"other.parquet","dataChange":true}}"#;
        let log = Log::with(&[append, other]).await;
        assert_eq!(log.commit(OURS).await, Ok(7));
        let path = entry_path(7);
        let stored = log.lake.store().get(&path).await.expect("there").bytes().await.expect("read");
        assert_eq!(stored, OURS);
        assert_eq!(log.commit(OURS).await, Ok(7), "stored already, and the answer lost");
    }

    #[tokio::test]
    async fn where_the_log_was_cleaned_up_nothing_is_put() {
        let log = Log::with(&[]).await;
        log.lake.store().delete(&entry_path(4)).await.expect("deleted");
        let error = log.commit(OURS).await.expect_err("no place");
        assert!(error.contains("version 4 was cleaned up meanwhile"), "{error}");
        assert!(log.lake.store().head(&entry_path(5)).await.is_err());
    }

    #[tokio::test]
    async fn versions_that_touch_the_same_files_or_the_settings_win() {
        for (theirs, said) in [
            (r#"{"remove":{"path":"old.parquet","dataChange":false}} "#, "removed old.parquet as"),
            (r#"{"metaData":{"id":"x","schemaString":"{}"}}"#, "changed the columns or settings"),
            (r#"{"protocol":{"minReaderVersion":1}}"#, "changed the columns or settings"),
            (r#"{"add":"#, "cannot be read"),
        ] {
            let log = Log::with(&[theirs]).await;
            let error = log.commit(OURS).await.expect_err("a conflict");
            assert!(error.contains("version 5") && error.contains(said), "{error}");
            assert!(error.contains("try again while nothing else changes it"), "{error}");
        }
    }
}
