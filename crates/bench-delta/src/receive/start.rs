//! Finding where following begins.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::DateTime;
use deltalake::kernel::{LogicalFileView, Snapshot};
use deltalake::logstore::LogStoreRef;
use futures_util::TryStreamExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::config::{FollowMode, TableStart};
use super::fetch::DataFile;
use super::objects::Objects;
use super::progress::Progress;
use super::requirements::{Metadata, Protocol};
use super::{FollowError, VersionChanges};
use crate::log::{self, Listed, Log, LogError, Source as _};
use crate::reason::table_reason;

/// Number of first entries searched for the first data file.
const FIRST_ENTRIES: u64 = 16;

/// How often loading the state is attempted while the log is being cleaned up.
const LOADS_MAX: usize = 3;

/// The delay before the state is loaded again.
const LOAD_WAIT: Duration = Duration::from_millis(200);

/// The point at which following begins.
#[derive(Debug, Default)]
pub(super) struct StartPoint {
    /// The files to read first, oldest first.
    pub(super) files: Vec<DataFile>,
    /// The first version to read after them.
    pub(super) next: u64,
    /// The newest existing version.
    newest: u64,
}

impl StartPoint {
    /// Records in `progress` how much there is to read.
    pub(super) fn record(&self, progress: &Progress) {
        progress.sees(self.newest);
        progress.finds(self.files.len(), self.next);
    }
}

/// A table whose log is complete.
struct LoadedTable {
    log: Log,
    snapshot: Snapshot,
}

impl LoadedTable {
    /// The newest known version.
    fn newest(&self) -> u64 {
        self.log.newest().unwrap_or_default().max(self.snapshot.version())
    }

    /// The start point at this version.
    fn begin_at(&self, next: u64) -> StartPoint {
        StartPoint { files: Vec::new(), next, newest: self.newest() }
    }
}

/// Finds where following begins in a table.
#[derive(Clone)]
pub(super) struct Starter {
    pub(super) objects: Objects,
    pub(super) log: LogStoreRef,
}

impl Starter {
    /// Where following begins; `None` if there is no table.
    pub(super) async fn find(
        &self,
        start: TableStart,
        mode: FollowMode,
    ) -> Result<Option<StartPoint>, FollowError> {
        if start == TableStart::Beginning {
            return self.beginning().await;
        }
        let Some(loaded) = self.load().await? else { return Ok(None) };
        match start {
            TableStart::Version(version) => self.version(&loaded, version, mode).await,
            TableStart::Timestamp(time) => self.timestamp(&loaded, time, mode).await,
            _ if mode == FollowMode::ToEnd => Err(FollowError::NothingAhead { uri: self.uri() }),
            _ => Ok(loaded.begin_at(loaded.newest() + 1)),
        }
        .map(Some)
    }

    fn uri(&self) -> String {
        self.objects.uri().to_owned()
    }

    /// Whether a table seems to exist; cheaper than [`find`](Self::find), which loads its state.
    pub(super) async fn may_begin(&self) -> Result<bool, FollowError> {
        if self.objects.entry(0).await?.is_some() {
            return Ok(true);
        }
        // The first entries may have been cleaned up.
        Ok(self.objects.log_from(0).await?.newest().is_some())
    }

    async fn beginning(&self) -> Result<Option<StartPoint>, FollowError> {
        let log = Log::of(self.objects.uri(), &self.objects.list().await?);
        if log.is_from_the_first() && self.has_first_file().await? {
            // Its first entry holds the protocol and metadata.
            let newest = log.newest().unwrap_or_default();
            return Ok(Some(StartPoint { files: Vec::new(), next: 0, newest }));
        }
        let Some(loaded) = self.load().await? else { return Ok(None) };
        let files = self.files(&loaded.snapshot).await?;
        Ok(Some(StartPoint { files, ..loaded.begin_at(loaded.snapshot.version() + 1) }))
    }

    /// Whether the first data file in the log still exists. Files are compacted and removed oldest
    /// first.
    async fn has_first_file(&self) -> Result<bool, FollowError> {
        for version in 0..FIRST_ENTRIES {
            let Some(json) = self.objects.entry(version).await? else { return Ok(version > 0) };
            let entry = self.parse(version, &json)?;
            if let Some(first) = entry.added.first() {
                return self.objects.has(&first.path).await;
            }
        }
        Ok(true)
    }

    /// The table's current files, in the order in which they were written.
    async fn files(&self, snapshot: &Snapshot) -> Result<Vec<DataFile>, FollowError> {
        let version = snapshot.version();
        let views = snapshot.file_views(self.log.as_ref(), None);
        let mut views: Vec<_> = views.try_collect().await.map_err(|error| {
            let (uri, problem) = (self.uri(), table_reason(&error));
            LogError::State { uri, version, problem }
        })?;
        // Files of one commit are listed in its order, which a stable sort keeps.
        views.sort_by_key(LogicalFileView::modification_time);
        let file = |view: &LogicalFileView| {
            if view.deletion_vector_descriptor().is_some() {
                let problem = has_deletions(&view.path());
                return Err(FollowError::Unsupported { uri: self.uri(), version, problem });
            }
            let size_bytes = u64::try_from(view.size()).unwrap_or(0);
            let rows = view.num_records().map(|rows| rows as u64);
            Ok(DataFile { path: view.object_store_path(), size_bytes, rows, version })
        };
        views.iter().map(file).collect()
    }

    async fn version(
        &self,
        loaded: &LoadedTable,
        version: u64,
        mode: FollowMode,
    ) -> Result<StartPoint, FollowError> {
        let newest = loaded.newest();
        let is_awaited = match mode {
            FollowMode::ToEnd => false,
            FollowMode::NextVersion => version == newest + 1,
            FollowMode::AnyVersion => version > newest,
        };
        if is_awaited || self.objects.entry(version).await?.is_some() {
            return Ok(loaded.begin_at(version));
        }
        let kept = loaded.log.kept();
        let oldest = kept.first().map_or(newest, |listed| listed.version);
        if version > newest {
            return Err(FollowError::VersionAhead {
                uri: self.uri(),
                asked: version,
                oldest,
                newest,
            });
        }
        let oldest = kept.iter().map(|listed| listed.version).find(|kept| *kept > version);
        let oldest = oldest.unwrap_or(newest + 1);
        Err(FollowError::VersionsGone { uri: self.uri(), first: version, last: oldest - 1, oldest })
    }

    async fn timestamp(
        &self,
        loaded: &LoadedTable,
        time: SystemTime,
        mode: FollowMode,
    ) -> Result<StartPoint, FollowError> {
        let from_ms = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let from_ms = i64::try_from(from_ms).unwrap_or(i64::MAX);
        let kept = loaded.log.kept();
        // Commit times grow with versions, apart from differences between writers' clocks.
        let (mut low, mut high) = (0, kept.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.committed_ms(kept[middle]).await? < from_ms {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let Some(first) = kept.get(low) else {
            let may_wait = time <= SystemTime::now() && mode != FollowMode::ToEnd;
            if may_wait {
                return Ok(loaded.begin_at(loaded.newest() + 1));
            }
            return Err(self.time_ahead(loaded, from_ms).await?);
        };
        if low > 0 || first.version == 0 {
            return Ok(loaded.begin_at(first.version));
        }
        let committed_ms = self.committed_ms(*first).await?;
        if committed_ms == from_ms {
            return Ok(loaded.begin_at(first.version));
        }
        let (uri, oldest) = (self.uri(), first.version);
        Err(FollowError::TimeGone { uri, oldest, committed: time_of(committed_ms) })
    }

    /// The error for a time after the last commit.
    async fn time_ahead(
        &self,
        loaded: &LoadedTable,
        asked_ms: i64,
    ) -> Result<FollowError, FollowError> {
        let newest = match loaded.log.kept().last() {
            Some(last) => {
                let committed = time_of(self.committed_ms(*last).await?);
                format!("the newest is version {}, committed at {committed}", last.version)
            }
            None => format!("the newest is version {}, committed earlier", loaded.newest()),
        };
        Ok(FollowError::TimeAhead { uri: self.uri(), asked: time_of(asked_ms), newest })
    }

    async fn committed_ms(&self, listed: Listed) -> Result<i64, FollowError> {
        let version = listed.version;
        let Some(json) = self.objects.entry(version).await? else {
            let (uri, oldest) = (self.uri(), version + 1);
            return Err(FollowError::VersionsGone { uri, first: version, last: version, oldest });
        };
        let committed_ms = self.parse(version, &json)?.committed_ms;
        Ok(committed_ms.unwrap_or(listed.modified_ms))
    }

    fn parse(&self, version: u64, json: &[u8]) -> Result<VersionChanges, FollowError> {
        let uri = self.objects.uri();
        VersionChanges::parse(json).map_err(|problem| FollowError::entry(uri, version, problem))
    }

    /// Loads the table's state, if there is a table and it can be followed.
    async fn load(&self) -> Result<Option<LoadedTable>, FollowError> {
        let mut loads = 0;
        let loaded = loop {
            loads += 1;
            let Some(log) = log::checked(&self.objects).await? else { return Ok(None) };
            match Snapshot::try_new(self.log.as_ref(), None).await {
                Ok(snapshot) => break LoadedTable { log, snapshot },
                Err(error) if loads == LOADS_MAX => {
                    return Err(log::unloadable(&log, &error).into());
                }
                // Entries may have been cleaned up after they were listed.
                Err(error) => tracing::debug!("failed to load the table: {error}; retrying"),
            }
            tokio::time::sleep(LOAD_WAIT).await;
        };
        let protocol: Protocol = self.own(loaded.snapshot.protocol())?;
        let metadata: Metadata = self.own(loaded.snapshot.metadata())?;
        let problem = protocol.check().and_then(|()| metadata.check());
        problem.map_err(|problem| {
            let version = loaded.snapshot.version();
            FollowError::Unsupported { uri: self.uri(), version, problem }
        })?;
        Ok(Some(loaded))
    }

    /// Converts an action of delta-rs into this crate's type, which holds only what matters here.
    fn own<T: DeserializeOwned>(&self, action: &impl Serialize) -> Result<T, FollowError> {
        let json = serde_json::to_value(action).and_then(serde_json::from_value);
        json.map_err(|error| {
            let problem = format!("failed to parse its metadata: {error}");
            FollowError::Ended { uri: self.uri(), problem }
        })
    }
}

/// A time of the log, formatted for people.
fn time_of(since_1970_ms: i64) -> String {
    let time = DateTime::from_timestamp_millis(since_1970_ms);
    time.map_or("an unrepresentable time".to_owned(), |time| time.to_string())
}

/// The problem of a file with deleted rows.
pub(super) fn has_deletions(path: &str) -> String {
    format!(
        "data file {path} has a deletion vector, which this follower does not support; ask the \
         table's owner to compact it (OPTIMIZE, or REORG TABLE ... APPLY (PURGE))"
    )
}
