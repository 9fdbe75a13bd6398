//! Blind appends: the next log entry is put if it is not there yet.

use std::time::SystemTime;

use bench_core::clock::{Clock as _, InstantNs, SystemClock};
use bytes::Bytes;
use deltalake::logstore::commit_uri_from_version;
use deltalake::logstore::object_store::{
    self, ObjectStoreExt as _, PutMode, PutOptions, PutPayload,
};

use super::HEAD_FRESH_NS;
use super::counts::PublishCounts;
use super::data_file::{DataFile, millis_since_1970};
use super::entry::{Entry, Found, damaged_entry};
use super::failure::{Failure, FailureKind, Trouble, what_to_do};
use super::retry::Retry;
use crate::table::Table;
use crate::{DeltaError, Lake};

/// How long an entry that may be on its way is looked for when its writer has given up.
const FIND_OUT_NS: u64 = 2_000_000_000;

/// The end of a table's log, as this writer knows it.
pub(super) struct DirectLog {
    lake: Lake,
    /// As it was when it was opened; a writer stops when it changes.
    table: Table,
    /// The newest version that is known.
    head: u64,
    /// When there was no newer one.
    head_seen_ns: InstantNs,
    clock: SystemClock,
    counts: PublishCounts,
}

/// What became of one try, if nothing came in the way.
enum Tried {
    Committed(u64),
    /// Another writer has the version.
    Taken,
}

impl DirectLog {
    /// `opened_ns` is when the table was opened, at the latest.
    pub(super) fn new(
        lake: &Lake,
        table: Table,
        opened_ns: InstantNs,
        clock: SystemClock,
        counts: PublishCounts,
    ) -> Self {
        let head = table.version();
        Self { lake: lake.clone(), table, head, head_seen_ns: opened_ns, clock, counts }
    }

    /// Appends these files in a version of their own. Returns that and its log entry.
    pub(super) async fn commit(
        &mut self,
        files: &[DataFile],
        retry: &mut Retry,
    ) -> Result<(u64, Bytes), Failure> {
        let entry = Entry::append(files, millis_since_1970(SystemTime::now()));
        // Whether the entry may be in the log, or come into it, as the version after the head.
        let mut is_in_doubt = false;
        let mut before = None;
        loop {
            let trouble = match self.try_commit(&entry, retry, &mut is_in_doubt).await {
                Ok(Tried::Committed(version)) => return Ok((version, entry.text)),
                Ok(Tried::Taken) if !retry.is_over() => {
                    before = None;
                    continue;
                }
                Ok(Tried::Taken) => Trouble::passing("other writers were faster each time"),
                Err(trouble) => trouble.after(before),
            };
            if trouble.is_final || !retry.again().await {
                let version = self.give_up(&entry, is_in_doubt, trouble).await?;
                return Ok((version, entry.text));
            }
            tracing::debug!("version {} is put again: {}", self.head + 1, trouble.text);
            before = Some(trouble);
        }
    }

    async fn try_commit(
        &mut self,
        entry: &Entry,
        retry: &Retry,
        is_in_doubt: &mut bool,
    ) -> Result<Tried, Trouble> {
        if self.is_head_old()
            && let Some(version) = self.look_again(entry, retry).await?
        {
            return Ok(Tried::Committed(version));
        }
        let begun_ns = self.clock.now_ns();
        let version = self.head + 1;
        match retry.answer(self.put(version, entry)).await {
            Ok(()) => {}
            Err(object_store::Error::AlreadyExists { .. }) => {
                *is_in_doubt = true;
                let Some(found) = self.read(version, retry).await? else {
                    return Err(Trouble::passing("the store was busy with another write of it"));
                };
                if !found.is(entry) {
                    *is_in_doubt = false;
                    self.counts.conflicts.add(1);
                    self.pass(&found).await?;
                    self.catch_up(entry, retry).await?;
                    return Ok(Tried::Taken);
                }
                // The answer to an earlier try was lost.
                self.counts.recovered.add(1);
            }
            Err(error) => {
                let trouble = Trouble::from(error);
                *is_in_doubt |= !trouble.is_final;
                return Err(trouble);
            }
        }
        *is_in_doubt = true;
        if self.is_head_old() && !self.is_there(self.head, retry).await? {
            // Others have gone on and cleaned up meanwhile: readers begin after this entry.
            *is_in_doubt = false;
            self.open_again().await?;
            return Ok(Tried::Taken);
        }
        self.committed(version, begun_ns);
        Ok(Tried::Committed(version))
    }

    fn committed(&mut self, version: u64, begun_ns: InstantNs) {
        self.head = version;
        self.head_seen_ns = begun_ns;
    }

    /// Finds out what became of the entry, for a while, and says what is known.
    async fn give_up(
        &mut self,
        entry: &Entry,
        is_in_doubt: bool,
        trouble: Trouble,
    ) -> Result<u64, Failure> {
        let version = self.head + 1;
        let Trouble { text, is_unanswered, is_final } = trouble;
        let uri = self.lake.uri();
        let not_committed = || Failure {
            kind: FailureKind::NotCommitted,
            text: format!(
                "failed to commit version {version} of {uri}, so that its messages are not in the table: {text}"
            ),
            is_unanswered,
            is_final,
        };
        if !is_in_doubt {
            return Err(not_committed());
        }
        let mut retry = Retry::until(self.clock, self.clock.now_ns() + FIND_OUT_NS);
        loop {
            let begun_ns = self.clock.now_ns();
            match self.read(version, &retry).await {
                Ok(Some(found)) if found.is(entry) => {
                    self.counts.recovered.add(1);
                    self.committed(version, begun_ns);
                    return Ok(version);
                }
                Ok(Some(_)) => return Err(not_committed()),
                Ok(None) | Err(_) => {}
            }
            if !retry.again().await {
                let text = format!(
                    "failed to find out whether version {version} of {uri} was committed, so that its messages may be in the table: {text}"
                );
                let kind = FailureKind::InDoubt;
                return Err(Failure { kind, text, is_unanswered, is_final });
            }
        }
    }

    /// Whether the head has not been looked at for so long that it may have been cleaned up.
    fn is_head_old(&self) -> bool {
        self.clock.now_ns().saturating_sub(self.head_seen_ns) > HEAD_FRESH_NS
    }

    /// Finds the end of the log. Returns the version of `entry` if it is found there.
    async fn look_again(&mut self, entry: &Entry, retry: &Retry) -> Result<Option<u64>, Trouble> {
        if !self.is_there(self.head, retry).await? {
            self.open_again().await?;
        }
        self.catch_up(entry, retry).await
    }

    /// Goes on to the last entry, one by one: each may change the table. Returns the version of
    /// `entry` if it is found there.
    async fn catch_up(&mut self, entry: &Entry, retry: &Retry) -> Result<Option<u64>, Trouble> {
        loop {
            let begun_ns = self.clock.now_ns();
            let version = self.head + 1;
            match self.read(version, retry).await? {
                Some(found) if found.is(entry) => {
                    self.counts.recovered.add(1);
                    self.committed(version, begun_ns);
                    return Ok(Some(version));
                }
                Some(found) => self.pass(&found).await?,
                None => {
                    self.head_seen_ns = begun_ns;
                    return Ok(None);
                }
            }
        }
    }

    /// Takes the entry of another writer as the head.
    async fn pass(&mut self, found: &Found) -> Result<(), Trouble> {
        self.head += 1;
        if found.changes_table {
            let table = Table::open(&self.lake).await.ok().flatten();
            return Err(self.has_changed(table.as_ref()));
        }
        Ok(())
    }

    /// Finds the end of the log from scratch.
    async fn open_again(&mut self) -> Result<(), Trouble> {
        let begun_ns = self.clock.now_ns();
        let table = Table::open(&self.lake).await.map_err(|error| match error {
            DeltaError::Log(damage) => Trouble::lasting(damage.to_string()),
            error => Trouble::passing(error.to_string()),
        })?;
        let Some(table) = table else {
            return Err(Trouble::lasting("the table is no longer there"));
        };
        if table.version() < self.head {
            // To go on there would put other rows in the place of versions that were confirmed.
            return Err(Trouble::lasting(format!(
                "the log ends with version {}, although version {} was in it; restore what is \
                 missing, or start again to write to the table as it is now",
                table.version(),
                self.head
            )));
        }
        self.head = table.version();
        self.head_seen_ns = begun_ns;
        if table.is_same_as(&self.table) {
            return Ok(());
        }
        Err(self.has_changed(Some(&table)))
    }

    fn has_changed(&self, table: Option<&Table>) -> Trouble {
        Trouble::lasting(format!(
            "another writer has changed the table's metadata or protocol, up to version {}; {}",
            self.head,
            what_to_do(table)
        ))
    }

    async fn put(&self, version: u64, entry: &Entry) -> object_store::Result<()> {
        let options = PutOptions::from(PutMode::Create);
        let payload = PutPayload::from_bytes(entry.text.clone());
        let path = commit_uri_from_version(Some(version));
        object_store::ObjectStore::put_opts(self.lake.store(), &path, payload, options).await?;
        Ok(())
    }

    async fn read(&self, version: u64, retry: &Retry) -> Result<Option<Found>, Trouble> {
        let path = commit_uri_from_version(Some(version));
        let get = async { self.lake.store().get(&path).await?.bytes().await };
        match retry.answer(get).await {
            Ok(text) => Found::read(&text)
                .map(Some)
                .map_err(|error| Trouble::lasting(damaged_entry(&self.lake, version, error))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn is_there(&self, version: u64, retry: &Retry) -> Result<bool, Trouble> {
        let path = commit_uri_from_version(Some(version));
        match retry.answer(self.lake.store().head(&path)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
