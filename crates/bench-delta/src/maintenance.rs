//! Maintenance of a table between or during runs: compaction and vacuum.
//!
//! Both keep the rows and their order and do not disturb followers: compaction marks its files as
//! holding no new data, and vacuum removes only files that left the table long enough ago.

mod commit;
mod error;
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
pub use error::MaintenanceError;
use plan::Candidate;
use rewrite::Rewriter;

/// The result of a compaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Optimized {
    /// The committed version; `None` if there was nothing to do.
    pub version: Option<u64>,
    /// Files replaced.
    pub files_removed: u64,
    /// Bytes of the replaced files.
    pub bytes_removed: u64,
    /// Files written in their place.
    pub files_added: u64,
    /// Bytes of the new files.
    pub bytes_added: u64,
}

/// The files that a vacuum removed, or would remove.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vacuumed {
    /// The files, relative to the table. An earlier vacuum may have removed some: the log lists
    /// them for as long as it knows of them.
    pub files: Vec<String>,
    /// Whether they were only listed.
    pub dry_run: bool,
}

/// Merges small files into files of about `target_file_bytes`, each partition separately, as long
/// as they are neighbours in the order in which they were written. Files of that size are left
/// alone. Needs memory for one such file and one row group, and a Tokio runtime.
///
/// Other writers may continue meanwhile; if they change the table's settings or remove the same
/// files, nothing is changed.
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
            // Delete only what is certainly in no version.
            if matches!(error, DeltaError::Maintenance(MaintenanceError::Conflict { .. })) {
                rewriter.discard().await;
            }
            Err(error)
        }
    }
}

/// Removes the files that left the table at least `retention` ago, for instance after a compaction;
/// with `dry_run`, only lists them. Files that no version has ever named are left alone, since a
/// writer may be about to commit them. Needs a Tokio runtime.
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

/// The files to merge: one list, in order, per new file.
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
    // Files of one commit are listed in its order, which a stable sort keeps.
    files.sort_by_key(LogicalFileView::modification_time);
    let candidates = files.iter().map(|file| {
        // A file with a deletion vector would have to be read with it, so it is left alone.
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
