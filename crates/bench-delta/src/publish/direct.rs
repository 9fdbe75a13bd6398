//! Blind appends: puts the next log entry if it does not exist yet.

use std::time::SystemTime;

use bench_core::clock::{Clock as _, InstantNs, SystemClock};
use bytes::Bytes;
use deltalake::logstore::commit_uri_from_version;
use deltalake::logstore::object_store::{
    self, ObjectStoreExt as _, PutMode, PutOptions, PutPayload,
};

use super::config::HEAD_FRESH_NS;
use super::counts::PublishCounts;
use super::data_file::{DataFile, millis_since_1970};
use super::entry::{AppendEntry, LoggedEntry, damaged_entry};
use super::failure::{AttemptError, Failure, FailureKind, remedy};
use super::retry::Retry;
use crate::table::Table;
use crate::{DeltaError, Lake};

/// After giving up, how long to look for an entry that may still be on its way.
const FIND_OUT_NS: u64 = 2_000_000_000;

/// The end of a table's log, as known to this writer.
pub(super) struct DirectLog {
    lake: Lake,
    /// The table as it was when opened; a writer stops when it changes.
    table: Table,
    /// The newest known version.
    head: u64,
    /// When it was last known to be the newest.
    head_seen_ns: InstantNs,
    clock: SystemClock,
    counts: PublishCounts,
}

/// The result of an attempt that was not interrupted.
enum Attempted {
    Committed(u64),
    /// Another writer took the version.
    Taken,
}

impl DirectLog {
    /// `opened_ns` is an instant before the table was opened.
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

    /// Appends these files in a version of their own. Returns the version and its log entry.
    pub(super) async fn commit(
        &mut self,
        files: &[DataFile],
        retry: &mut Retry,
    ) -> Result<(u64, Bytes), Failure> {
        let entry = AppendEntry::append(files, millis_since_1970(SystemTime::now()));
        // Whether the entry may be in the log, now or later, as the version after the head.
        let mut is_in_doubt = false;
        let mut before = None;
        loop {
            let error = match self.try_commit(&entry, retry, &mut is_in_doubt).await {
                Ok(Attempted::Committed(version)) => return Ok((version, entry.text)),
                Ok(Attempted::Taken) if !retry.is_over() => {
                    before = None;
                    continue;
                }
                Ok(Attempted::Taken) => {
                    AttemptError::transient("other writers were faster each time")
                }
                Err(error) => error.after(before),
            };
            if error.is_final || !retry.again().await {
                let version = self.give_up(&entry, is_in_doubt, error).await?;
                return Ok((version, entry.text));
            }
            tracing::debug!("retrying version {}: {}", self.head + 1, error.text);
            before = Some(error);
        }
    }

    async fn try_commit(
        &mut self,
        entry: &AppendEntry,
        retry: &Retry,
        is_in_doubt: &mut bool,
    ) -> Result<Attempted, AttemptError> {
        if self.is_head_old()
            && let Some(version) = self.refresh(entry, retry).await?
        {
            return Ok(Attempted::Committed(version));
        }
        let begun_ns = self.clock.now_ns();
        let version = self.head + 1;
        match retry.answer(self.put(version, entry)).await {
            Ok(()) => {}
            Err(object_store::Error::AlreadyExists { .. }) => {
                *is_in_doubt = true;
                let Some(found) = self.read(version, retry).await? else {
                    return Err(AttemptError::transient("another write of it was in progress"));
                };
                if !found.is(entry) {
                    *is_in_doubt = false;
                    self.counts.conflicts.add(1);
                    self.pass(&found).await?;
                    self.catch_up(entry, retry).await?;
                    return Ok(Attempted::Taken);
                }
                // An earlier attempt succeeded, and its response was lost.
                self.counts.recovered.add(1);
            }
            Err(error) => {
                let error = AttemptError::from(error);
                *is_in_doubt |= !error.is_final;
                return Err(error);
            }
        }
        *is_in_doubt = true;
        if self.is_head_old() && !self.is_there(self.head, retry).await? {
            // Other writers have moved on and cleaned up meanwhile, so readers start after this
            // entry.
            *is_in_doubt = false;
            self.open_again().await?;
            return Ok(Attempted::Taken);
        }
        self.committed(version, begun_ns);
        Ok(Attempted::Committed(version))
    }

    fn committed(&mut self, version: u64, begun_ns: InstantNs) {
        self.head = version;
        self.head_seen_ns = begun_ns;
    }

    /// Looks for the entry for a while, and returns its version or the failure.
    async fn give_up(
        &mut self,
        entry: &AppendEntry,
        is_in_doubt: bool,
        error: AttemptError,
    ) -> Result<u64, Failure> {
        let version = self.head + 1;
        let AttemptError { text, is_unanswered, is_final } = error;
        let uri = self.lake.uri();
        let not_committed = || Failure {
            kind: FailureKind::NotCommitted,
            text: format!(
                "failed to commit version {version} of {uri}, so its messages are not in the \
                 table: {text}"
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
                    "cannot tell whether version {version} of {uri} was committed, so its messages \
                     may be in the table: {text}"
                );
                let kind = FailureKind::InDoubt;
                return Err(Failure { kind, text, is_unanswered, is_final });
            }
        }
    }

    /// Whether the head was checked so long ago that it may have been cleaned up.
    fn is_head_old(&self) -> bool {
        self.clock.now_ns().saturating_sub(self.head_seen_ns) > HEAD_FRESH_NS
    }

    /// Finds the end of the log. Returns the version of `entry` if it is found on the way.
    async fn refresh(
        &mut self,
        entry: &AppendEntry,
        retry: &Retry,
    ) -> Result<Option<u64>, AttemptError> {
        if !self.is_there(self.head, retry).await? {
            self.open_again().await?;
        }
        self.catch_up(entry, retry).await
    }

    /// Reads entries up to the last one, since each may change the table. Returns the version of
    /// `entry` if it is found on the way.
    async fn catch_up(
        &mut self,
        entry: &AppendEntry,
        retry: &Retry,
    ) -> Result<Option<u64>, AttemptError> {
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

    /// Moves the head past another writer's entry.
    async fn pass(&mut self, found: &LoggedEntry) -> Result<(), AttemptError> {
        self.head += 1;
        if found.changes_table {
            let table = Table::open(&self.lake).await.ok().flatten();
            return Err(self.has_changed(table.as_ref()));
        }
        Ok(())
    }

    /// Finds the end of the log from scratch.
    async fn open_again(&mut self) -> Result<(), AttemptError> {
        let begun_ns = self.clock.now_ns();
        let table = Table::open(&self.lake).await.map_err(|error| match error {
            DeltaError::Log(damage) => AttemptError::fatal(damage.to_string()),
            error => AttemptError::transient(error.to_string()),
        })?;
        let Some(table) = table else {
            return Err(AttemptError::fatal("the table is no longer there"));
        };
        if table.version() < self.head {
            // Continuing there would replace confirmed versions with other rows.
            return Err(AttemptError::fatal(format!(
                "the log ends with version {}, but version {} had been written; restore the \
                 missing entries, or start again to write to the table as it is now",
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

    fn has_changed(&self, table: Option<&Table>) -> AttemptError {
        AttemptError::fatal(format!(
            "another writer has changed the table's metadata or protocol, up to version {}; {}",
            self.head,
            remedy(table)
        ))
    }

    async fn put(&self, version: u64, entry: &AppendEntry) -> object_store::Result<()> {
        let options = PutOptions::from(PutMode::Create);
        let payload = PutPayload::from_bytes(entry.text.clone());
        let path = commit_uri_from_version(Some(version));
        object_store::ObjectStore::put_opts(self.lake.store(), &path, payload, options).await?;
        Ok(())
    }

    async fn read(&self, version: u64, retry: &Retry) -> Result<Option<LoggedEntry>, AttemptError> {
        let path = commit_uri_from_version(Some(version));
        let get = async { self.lake.store().get(&path).await?.bytes().await };
        match retry.answer(get).await {
            Ok(text) => LoggedEntry::read(&text)
                .map(Some)
                .map_err(|error| AttemptError::fatal(damaged_entry(&self.lake, version, error))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn is_there(&self, version: u64, retry: &Retry) -> Result<bool, AttemptError> {
        let path = commit_uri_from_version(Some(version));
        match retry.answer(self.lake.store().head(&path)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
