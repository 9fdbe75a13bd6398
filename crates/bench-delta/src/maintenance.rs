//! Keeping a table in shape between runs, or during one: compaction and vacuum.
//!
//! Both leave the rows as they are, in their order, and whoever follows the table undisturbed:
//! compaction marks its files as holding nothing new, and vacuum removes only what has left the
//! table for long enough.

mod commit;
mod plan;
mod rewrite;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use chrono::TimeDelta;
use deltalake::kernel::transaction::PROTOCOL;
use deltalake::kernel::{Action, EagerSnapshot, LogicalFileView};
use deltalake::table::config::TablePropertiesExt as _;
use deltalake::{DeltaTable, Path};
use futures_util::TryStreamExt as _;

use crate::{DeltaError, Lake, log};
use plan::Candidate;
use rewrite::Rewriter;

/// What a compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Optimized {
    /// The version that it committed; nothing if there was nothing to do.
    pub version: Option<u64>,
    /// Files that were replaced.
    pub files_removed: u64,
    /// Their size.
    pub bytes_removed: u64,
    /// Files that hold their rows now.
    pub files_added: u64,
    /// Their size.
    pub bytes_added: u64,
}

/// What a vacuum removed, or would remove.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vacuumed {
    /// The files, from the table on. Some may have been removed by an earlier vacuum: the log names
    /// them for as long as it knows of them.
    pub files: Vec<String>,
    /// Whether they are still there.
    pub dry_run: bool,
}

/// Why a table could not be kept in shape.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    /// The table is not there.
    #[error("there is no Delta table at {uri}; name another place with --lake-path")]
    NoTable {
        /// Where it was looked for.
        uri: String,
    },
    /// Another writer changed what was to be replaced.
    #[error("{uri} was not compacted: {reason}; try again while nothing else changes it")]
    Conflict {
        /// The table.
        uri: String,
        /// What the other one did.
        reason: String,
    },
    /// The table does not let its files be removed so soon.
    #[error(
        "files of {uri} are kept for {least:?} after they have left the table, and {asked:?} were \
         asked for: somebody may be reading them; ask for as long, or shorten the table's own \
         delta.deletedFileRetentionDuration"
    )]
    RetentionTooShort {
        /// The table.
        uri: String,
        /// What was asked for.
        asked: Duration,
        /// What the table says.
        least: Duration,
    },
    /// A data file could not be read or written.
    #[error("failed to {attempted}: {problem}")]
    DataFile {
        /// What was attempted on what.
        attempted: String,
        /// What went wrong.
        problem: String,
    },
}

impl MaintenanceError {
    /// Whether other options help.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::NoTable { .. } | Self::RetentionTooShort { .. })
    }
}

/// Merges small files, each partition's by itself, into ones of about `target_file_bytes`, as far as
/// they follow one another in the order in which they were written. Files of that size are left
/// alone. Takes memory for one such file and one row group. Needs a Tokio runtime.
///
/// Other writers may go on meanwhile; if they change the table's settings or remove the same files,
/// nothing is changed.
pub async fn optimize(lake: &Lake, target_file_bytes: u64) -> Result<Optimized, DeltaError> {
    let snapshot = load(lake).await?;
    let unable = |error| DeltaError::table(format!("compact {}", lake.uri()), &error);
    PROTOCOL.can_write_to(&snapshot).map_err(|error| unable(error.into()))?;
    let mut bins = bins(lake, &snapshot, target_file_bytes).await?;
    if bins.is_empty() {
        return Ok(Optimized::default());
    }
    let mut rewriter = Rewriter::new(lake);
    let mut actions = Vec::new();
    for bin in &bins {
        let added = match rewriter.merge(bin).await {
            Ok(added) => added,
            Err(error) => {
                rewriter.discard().await;
                return Err(error.into());
            }
        };
        actions.extend(bin.iter().map(|file| Action::Remove(file.remove_action(false))));
        actions.extend(added.into_iter().map(Action::Add));
    }
    let removed: HashSet<Path> =
        bins.drain(..).flatten().map(|file| file.object_store_path()).collect();
    let mut done = tally(&actions);
    let entry = commit::entry(actions, &done, target_file_bytes).map_err(|e| unable(e.into()))?;
    match commit::commit(lake, snapshot.version() + 1, entry, &removed).await {
        Ok(version) => {
            done.version = Some(version);
            Ok(done)
        }
        Err(error) => {
            // Only what is certainly in no version may go.
            if matches!(error, DeltaError::Maintenance(MaintenanceError::Conflict { .. })) {
                rewriter.discard().await;
            }
            Err(error)
        }
    }
}

/// Removes the files that left the table at least `retention` ago, after a compaction for instance;
/// with `dry_run`, only names them. Files that no version has ever named are left alone: a writer may
/// be about to commit them. Needs a Tokio runtime.
pub async fn vacuum(
    lake: &Lake,
    retention: Duration,
    dry_run: bool,
) -> Result<Vacuumed, DeltaError> {
    let snapshot = load(lake).await?;
    let least = snapshot.table_properties().deleted_file_retention_duration();
    if retention < least {
        let uri = lake.uri().to_owned();
        return Err(MaintenanceError::RetentionTooShort { uri, asked: retention, least }.into());
    }
    let retention = TimeDelta::from_std(retention).unwrap_or(TimeDelta::MAX);
    let vacuum = DeltaTable::new(lake.log_store()).vacuum();
    let vacuumed = vacuum.with_retention_period(retention).with_dry_run(dry_run).await;
    let (_, metrics) =
        vacuumed.map_err(|error| DeltaError::table(format!("vacuum {}", lake.uri()), &error))?;
    Ok(Vacuumed { files: metrics.files_deleted, dry_run })
}

async fn load(lake: &Lake) -> Result<EagerSnapshot, DeltaError> {
    let Some(log) = log::checked(lake).await? else {
        return Err(MaintenanceError::NoTable { uri: lake.uri().to_owned() }.into());
    };
    match EagerSnapshot::try_new(lake.log_store().as_ref(), None).await {
        Ok(snapshot) => Ok(snapshot),
        Err(error) => Err(log::unloadable(&log, &error).into()),
    }
}

/// The files to merge, those of each new file together and in order.
async fn bins(
    lake: &Lake,
    snapshot: &EagerSnapshot,
    target_file_bytes: u64,
) -> Result<Vec<Vec<LogicalFileView>>, DeltaError> {
    let log_store = lake.log_store();
    let files: Result<Vec<_>, _> =
        snapshot.file_views(log_store.as_ref(), None).try_collect().await;
    let mut files =
        files.map_err(|error| DeltaError::table(format!("load {}", lake.uri()), &error))?;
    // Those of one commit are listed in its order, which a stable sort keeps.
    files.sort_by_key(LogicalFileView::modification_time);
    let candidates = files.iter().map(|file| {
        // One with a deletion vector would have to be read with it: it is left alone.
        let is_whole = file.deletion_vector_descriptor().is_none();
        Candidate {
            partition: file.partition_values_map().into_iter().collect::<BTreeMap<_, _>>(),
            size_bytes: u64::try_from(file.size()).ok().filter(|_| is_whole),
        }
    });
    let bins = plan::bins(candidates, target_file_bytes);
    Ok(bins.into_iter().map(|bin| bin.into_iter().map(|at| files[at].clone()).collect()).collect())
}

fn tally(actions: &[Action]) -> Optimized {
    let size = |size: i64| u64::try_from(size).unwrap_or(0);
    let mut done = Optimized::default();
    for action in actions {
        match action {
            Action::Remove(remove) => {
                done.files_removed += 1;
                done.bytes_removed += size(remove.size.unwrap_or(0));
            }
            Action::Add(add) => {
                done.files_added += 1;
                done.bytes_added += size(add.size);
            }
            _ => {}
        }
    }
    done
}
