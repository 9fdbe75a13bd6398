//! Committing a compaction.
//!
//! delta-rs' own commit would let two compactions that remove the same files both succeed, since it
//! considers removals without data changes harmless; the rows would then be in the table twice.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use deltalake::kernel::Action;
use deltalake::kernel::transaction::{CommitData, TransactionError};
use deltalake::logstore::object_store::{ObjectStoreExt as _, PutMode};
use deltalake::protocol::DeltaOperation;
use deltalake::{ObjectStoreError, Path};
use serde_json::json;

use super::{MaintenanceError, Optimized};
use crate::log::entry_path;
use crate::receive::VersionChanges;
use crate::{DeltaError, Lake};

/// How often an entry is retried that was refused although none exists: S3 does that while another
/// writer's PUT is in progress.
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

/// Commits the entry as this version, or as a later one if other writers were faster with changes
/// that leave the files in `removed`, the columns and the settings alone. Returns the version.
pub(super) async fn commit(
    lake: &Lake,
    mut version: u64,
    entry: Bytes,
    removed: &HashSet<Path>,
) -> Result<u64, DeltaError> {
    let mut refusals = 0;
    loop {
        check_predecessor(lake, version).await?;
        let path = entry_path(version);
        let put = lake.store().put_opts(&path, entry.clone().into(), PutMode::Create.into());
        let Err(error) = put.await else { return Ok(version) };
        match lake.object(&entry_path(version)).await? {
            // It had been stored, and the response was lost.
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

/// Checks that the log still has the version before this one. After a clean-up, a version could be
/// put a second time, and nobody would ever read it.
async fn check_predecessor(lake: &Lake, version: u64) -> Result<(), DeltaError> {
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

/// Checks that another writer's version does not touch what this one builds on.
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
    let theirs = match VersionChanges::parse(theirs) {
        Ok(theirs) => theirs,
        Err(problem) => return conflict(format!("version {version} is unreadable: {problem}")),
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
        /// A log with these entries, starting at version 5.
        async fn with(entries: &[&str]) -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let lake = Lake::folder(folder.path(), &Counts::default()).expect("a lake");
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
    async fn unrelated_versions_are_passed() {
        let append = r#"{"add":{"path":"new.parquet","size":1,"dataChange":true}}"#;
        let other = r#"{"remove":{"path":"other.parquet","dataChange":true}}"#;
        let log = Log::with(&[append, other]).await;
        assert_eq!(log.commit(OURS).await, Ok(7));
        let path = entry_path(7);
        let stored = log.lake.store().get(&path).await.expect("there").bytes().await.expect("read");
        assert_eq!(stored, OURS);
        assert_eq!(log.commit(OURS).await, Ok(7), "already stored, response lost");
    }

    #[tokio::test]
    async fn cleaned_up_logs_are_not_extended() {
        let log = Log::with(&[]).await;
        log.lake.store().delete(&entry_path(4)).await.expect("deleted");
        let error = log.commit(OURS).await.expect_err("no place");
        assert!(error.contains("version 4 was cleaned up meanwhile"), "{error}");
        assert!(log.lake.store().head(&entry_path(5)).await.is_err());
    }

    #[tokio::test]
    async fn conflicting_versions_win() {
        for (theirs, said) in [
            (r#"{"remove":{"path":"old.parquet","dataChange":false}} "#, "removed old.parquet as"),
            (r#"{"metaData":{"id":"x","schemaString":"{}"}}"#, "changed the columns or settings"),
            (r#"{"protocol":{"minReaderVersion":1}}"#, "changed the columns or settings"),
            (r#"{"add":"#, "is unreadable"),
        ] {
            let log = Log::with(&[theirs]).await;
            let error = log.commit(OURS).await.expect_err("a conflict");
            assert!(error.contains("version 5") && error.contains(said), "{error}");
            assert!(error.contains("retry when no other writer changes it"), "{error}");
        }
    }
}
