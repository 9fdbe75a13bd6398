//! Where following begins.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use deltalake::DeltaTableError;
use deltalake::kernel::{LogicalFileView, Snapshot};
use deltalake::logstore::LogStoreRef;
use futures_util::TryStreamExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::fetch::DataFile;
use super::objects::{Listed, Objects};
use super::requirements::{Metadata, Protocol};
use super::{Entry, FollowError, TableStart};
use crate::DeltaError;

/// In how many entries, from the first one on, the first data file is looked for.
const FIRST_ENTRIES: u64 = 16;

/// How often the state is loaded anew if the log is cleaned up under way.
const LOADS_MAX: usize = 3;

/// The wait before the state is loaded anew.
const LOAD_WAIT: Duration = Duration::from_millis(200);

/// Where following begins.
#[derive(Debug, Default)]
pub(super) struct Begin {
    /// What is read first, oldest first.
    pub(super) files: Vec<DataFile>,
    /// The first version that is read after that.
    pub(super) next: u64,
}

/// Finds out where following begins in a table.
#[derive(Clone)]
pub(super) struct Starter {
    pub(super) objects: Objects,
    pub(super) log: LogStoreRef,
}

impl Starter {
    /// Where following begins; nothing if there is no table.
    pub(super) async fn find(&self, start: TableStart) -> Result<Option<Begin>, FollowError> {
        match start {
            TableStart::Beginning => self.beginning().await,
            TableStart::End => self.end().await,
            TableStart::Version(version) => self.version(version).await,
            TableStart::Timestamp(time) => self.timestamp(time).await,
        }
    }

    /// Whether there seems to be a table; cheaper than [`find`](Self::find), which lists the log.
    pub(super) async fn may_begin(&self) -> Result<bool, FollowError> {
        let has_first = self.objects.entry(0).await?.is_some();
        Ok(has_first || self.objects.checkpoint().await?.is_some())
    }

    async fn beginning(&self) -> Result<Option<Begin>, FollowError> {
        if self.has_whole_log().await? {
            // Its first entry says what the table is like.
            return Ok(Some(Begin::default()));
        }
        let Some(snapshot) = self.load().await? else { return Ok(None) };
        let files = self.files(&snapshot).await?;
        Ok(Some(Begin { files, next: snapshot.version() + 1 }))
    }

    /// Whether the log begins with the first version, and the first data file that it names is
    /// still there. What is compacted and removed first is what was written first.
    async fn has_whole_log(&self) -> Result<bool, FollowError> {
        for version in 0..FIRST_ENTRIES {
            let Some(json) = self.objects.entry(version).await? else { return Ok(version > 0) };
            let entry = self.parse(version, &json)?;
            if let Some(first) = entry.added.first() {
                return self.objects.has(&first.path).await;
            }
        }
        Ok(true)
    }

    /// The files of which the table consists, in the order in which they were written.
    async fn files(&self, snapshot: &Snapshot) -> Result<Vec<DataFile>, FollowError> {
        let version = snapshot.version();
        let uri = || self.objects.uri().to_owned();
        let views = snapshot.file_views(self.log.as_ref(), None);
        let mut views: Vec<_> = views.try_collect().await.map_err(|e| self.state(&e))?;
        // Those of one commit are listed in its order, which a stable sort keeps.
        views.sort_by_key(LogicalFileView::modification_time);
        let file = |view: &LogicalFileView| {
            if view.deletion_vector_descriptor().is_some() {
                let problem = has_deletions(&view.path());
                return Err(FollowError::Unsupported { uri: uri(), version, problem });
            }
            let size_bytes = u64::try_from(view.size()).unwrap_or(0);
            Ok(DataFile { path: view.object_store_path(), size_bytes, version })
        };
        views.iter().map(file).collect()
    }

    async fn end(&self) -> Result<Option<Begin>, FollowError> {
        let Some(snapshot) = self.load().await? else { return Ok(None) };
        Ok(Some(Begin { files: Vec::new(), next: snapshot.version() + 1 }))
    }

    async fn version(&self, version: u64) -> Result<Option<Begin>, FollowError> {
        let Some(snapshot) = self.load().await? else { return Ok(None) };
        let begin = Begin { files: Vec::new(), next: version };
        if version > snapshot.version() || self.objects.entry(version).await?.is_some() {
            return Ok(Some(begin));
        }
        let kept = self.kept().await?;
        let oldest = kept.iter().map(|listed| listed.version).find(|kept| *kept > version);
        let oldest = oldest.unwrap_or(snapshot.version() + 1);
        let uri = self.objects.uri().to_owned();
        Err(FollowError::VersionsGone { uri, first: version, last: oldest - 1, oldest })
    }

    async fn timestamp(&self, time: SystemTime) -> Result<Option<Begin>, FollowError> {
        if self.load().await?.is_none() {
            return Ok(None);
        }
        let from_ms = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let from_ms = i64::try_from(from_ms).unwrap_or(i64::MAX);
        let kept = self.kept().await?;
        // Commit times grow with the versions, but for the differences of their writers' clocks.
        let (mut low, mut high) = (0, kept.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.committed_ms(kept[middle]).await? < from_ms {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        match (kept.get(low), kept.last()) {
            (Some(first), _) if low == 0 && first.version > 0 => {
                let committed_ms = self.committed_ms(*first).await?;
                if committed_ms == from_ms {
                    return Ok(Some(Begin { files: Vec::new(), next: first.version }));
                }
                let committed = chrono::DateTime::from_timestamp_millis(committed_ms);
                Err(FollowError::TimeGone {
                    uri: self.objects.uri().to_owned(),
                    oldest: first.version,
                    committed: committed.map_or("an unknown time".to_owned(), |at| at.to_string()),
                })
            }
            (Some(first), _) => Ok(Some(Begin { files: Vec::new(), next: first.version })),
            (None, last) => {
                let next = last.map_or(0, |last| last.version + 1);
                Ok(Some(Begin { files: Vec::new(), next }))
            }
        }
    }

    /// The versions that the log has, without gaps.
    async fn kept(&self) -> Result<Vec<Listed>, FollowError> {
        let mut kept = self.objects.versions().await?;
        // A clean-up under way removes them in no certain order.
        let gap = kept.windows(2).rposition(|pair| pair[0].version + 1 != pair[1].version);
        kept.drain(..gap.map_or(0, |gap| gap + 1));
        Ok(kept)
    }

    async fn committed_ms(&self, listed: Listed) -> Result<i64, FollowError> {
        let version = listed.version;
        let Some(json) = self.objects.entry(version).await? else {
            let uri = self.objects.uri().to_owned();
            let oldest = version + 1;
            return Err(FollowError::VersionsGone { uri, first: version, last: version, oldest });
        };
        let committed_ms = self.parse(version, &json)?.committed_ms;
        Ok(committed_ms.unwrap_or(listed.modified_ms))
    }

    fn parse(&self, version: u64, json: &[u8]) -> Result<Entry, FollowError> {
        Entry::parse(json).map_err(|problem| {
            let uri = self.objects.uri().to_owned();
            FollowError::Entry { uri, version, problem }
        })
    }

    /// The state of the table, if there is one and it can be followed.
    async fn load(&self) -> Result<Option<Snapshot>, FollowError> {
        let mut loads = 0;
        let snapshot = loop {
            loads += 1;
            match Snapshot::try_new(self.log.as_ref(), None).await {
                Ok(snapshot) => break snapshot,
                // delta-rs has several errors for that.
                Err(_) if self.objects.versions().await?.is_empty() => return Ok(None),
                Err(error) if loads == LOADS_MAX => return Err(self.state(&error)),
                // Entries may have been cleaned up since they were listed.
                Err(error) => tracing::debug!("failed to load the table: {error}; trying again"),
            }
            tokio::time::sleep(LOAD_WAIT).await;
        };
        let protocol: Protocol = self.own(snapshot.protocol())?;
        let metadata: Metadata = self.own(snapshot.metadata())?;
        let problem = protocol.check().and_then(|()| metadata.check());
        problem.map_err(|problem| {
            let uri = self.objects.uri().to_owned();
            FollowError::Unsupported { uri, version: snapshot.version(), problem }
        })?;
        Ok(Some(snapshot))
    }

    /// An action of the log in the form of this crate, which knows only what matters here.
    fn own<T: DeserializeOwned>(&self, action: &impl Serialize) -> Result<T, FollowError> {
        let json = serde_json::to_value(action).and_then(serde_json::from_value);
        json.map_err(|error| {
            let uri = self.objects.uri();
            FollowError::State(format!("failed to load the state of {uri}: {error}"))
        })
    }

    fn state(&self, error: &DeltaTableError) -> FollowError {
        let attempted = format!("load the state of {}", self.objects.uri());
        FollowError::State(DeltaError::table(attempted, error).to_string())
    }
}

/// What is wrong with a file of which some rows were deleted.
pub(super) fn has_deletions(path: &str) -> String {
    format!(
        "data file {path} has a deletion vector, which this follower does not know; remove the \
         deleted rows from it with a compaction of the table's owner (OPTIMIZE, or REORG TABLE ... \
         APPLY (PURGE))"
    )
}
