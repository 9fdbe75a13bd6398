//! delta-rs' own commit, with a snapshot that is kept from version to version, as its writers do.

use std::sync::Arc;

use deltalake::DeltaTableError;
use deltalake::kernel::transaction::{
    CommitBuilder, CommitProperties, FinalizedCommit, TransactionError,
};
use deltalake::kernel::{Action, Add};
use deltalake::logstore::object_store::{self, ObjectStoreExt as _};
use deltalake::logstore::{LogStoreRef, commit_uri_from_version};
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::table::state::DeltaTableState;
use uuid::Uuid;

use super::counts::PublishCounts;
use super::data_file::DataFile;
use super::entry::{LoggedEntry, TOKEN, damaged_entry};
use super::failure::{AttemptError, Failure, FailureKind, remedy};
use super::retry::Retry;
use crate::reason::no_answer;
use crate::table::Table;
use crate::{DeltaError, Lake};

/// A table's log, written by delta-rs.
pub(super) struct StandardLog {
    lake: Lake,
    log_store: LogStoreRef,
    /// The table as it was when opened; a writer stops when it changes.
    table: Table,
    state: DeltaTableState,
    counts: PublishCounts,
}

impl StandardLog {
    pub(super) async fn open(
        lake: &Lake,
        table: Table,
        counts: PublishCounts,
    ) -> Result<Self, DeltaError> {
        let log_store = lake.log_store();
        let state = DeltaTableState::try_new(log_store.as_ref(), Some(table.version())).await;
        let state =
            state.map_err(|error| DeltaError::table(format!("read {}", lake.uri()), &error))?;
        Ok(Self { lake: lake.clone(), log_store, table, state, counts })
    }

    /// Appends these files.
    pub(super) async fn commit(
        &mut self,
        files: &[DataFile],
        retry: &mut Retry,
    ) -> Result<(), Failure> {
        let token = Uuid::new_v4().to_string();
        let seen = self.state.version();
        // Whether an entry may exist although no response confirmed it.
        let mut is_in_doubt = false;
        let mut before = None;
        loop {
            let error = match self.try_commit(files, &token, retry, &mut is_in_doubt).await {
                Ok(finalized) => {
                    self.committed(finalized);
                    return Ok(());
                }
                Err(error) => error.after(before),
            };
            // delta-rs also fails if it has committed but could not finish the steps after the
            // commit.
            match self.is_in_log(&token, seen, retry).await {
                Ok(true) => {
                    self.counts.recovered.add(1);
                    return Ok(());
                }
                Ok(false) => {}
                Err(error) => {
                    is_in_doubt = true;
                    tracing::debug!(
                        "failed to read the log of {}: {}",
                        self.lake.uri(),
                        error.text
                    );
                }
            }
            if error.is_final || !retry.again().await {
                return Err(self.failure(error, is_in_doubt));
            }
            tracing::debug!("retrying a commit to {}: {}", self.lake.uri(), error.text);
            before = Some(error);
            self.catch_up().await.map_err(|error| self.failure(error, is_in_doubt))?;
        }
    }

    async fn try_commit(
        &self,
        files: &[DataFile],
        token: &str,
        retry: &Retry,
        is_in_doubt: &mut bool,
    ) -> Result<FinalizedCommit, AttemptError> {
        let mark = (TOKEN.to_owned(), token.into());
        let mut properties = CommitProperties::default().with_metadata([mark]);
        if *is_in_doubt {
            // delta-rs would take its own entry for another writer's and put a second one.
            properties = properties.with_max_retries(0);
        }
        let partition_by = self.table.partition_columns().to_vec();
        let operation = DeltaOperation::Write {
            mode: SaveMode::Append,
            partition_by: Some(partition_by).filter(|columns| !columns.is_empty()),
            predicate: None,
        };
        let commit = CommitBuilder::from(properties)
            .with_actions(files.iter().map(|file| Action::Add(add(file))).collect())
            .build(Some(&self.state), Arc::clone(&self.log_store), operation);
        match retry.in_time(commit.into_future()).await {
            Some(Ok(finalized)) => Ok(finalized),
            Some(Err(error)) => {
                let is_refused = is_rejection(&error);
                *is_in_doubt |= !is_refused;
                let mut error = attempt_error(error);
                if is_refused && error.is_final {
                    let table = Table::open(&self.lake).await.ok().flatten();
                    error.text = format!("{}; {}", error.text, remedy(table.as_ref()));
                }
                Err(error)
            }
            None => {
                *is_in_doubt = true;
                Err(AttemptError::unanswered())
            }
        }
    }

    fn committed(&mut self, finalized: FinalizedCommit) {
        self.counts.conflicts.add(finalized.metrics.num_retries);
        self.counts.checkpoints.add(u64::from(finalized.metrics.new_checkpoint_created));
        self.state = finalized.snapshot;
    }

    /// Whether an entry with this token is in the log, after version `seen`.
    async fn is_in_log(&self, token: &str, seen: u64, retry: &Retry) -> Result<bool, AttemptError> {
        for version in seen + 1.. {
            let path = commit_uri_from_version(Some(version));
            let get = async { self.lake.store().get(&path).await?.bytes().await };
            let text = match retry.answer(get).await {
                Ok(text) => text,
                Err(object_store::Error::NotFound { .. }) => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            let found = LoggedEntry::read(&text)
                .map_err(|error| AttemptError::fatal(damaged_entry(&self.lake, version, error)))?;
            if found.token.as_deref() == Some(token) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads other writers' commits, which delta-rs does by itself only while it may retry.
    async fn catch_up(&mut self) -> Result<(), AttemptError> {
        if let Err(error) = self.state.update(self.log_store.as_ref(), None).await {
            // The next attempt starts from the same version.
            tracing::debug!("failed to read {}: {error}", self.lake.uri());
        }
        if self.table.is(self.state.metadata(), self.state.protocol()) {
            return Ok(());
        }
        let table = Table::open(&self.lake).await.ok().flatten();
        Err(AttemptError::fatal(format!(
            "another writer has changed the table's metadata or protocol; {}",
            remedy(table.as_ref())
        )))
    }

    fn failure(&self, error: AttemptError, is_in_doubt: bool) -> Failure {
        let AttemptError { text, is_unanswered, is_final } = error;
        let uri = self.lake.uri();
        if is_in_doubt {
            let text = format!(
                "cannot tell whether a version of {uri} was committed, so its messages may be in \
                 the table: {text}"
            );
            return Failure { kind: FailureKind::InDoubt, text, is_unanswered, is_final };
        }
        let text = format!(
            "failed to commit a version of {uri}, so its messages are not in the table: {text}"
        );
        Failure { kind: FailureKind::NotCommitted, text, is_unanswered, is_final }
    }
}

fn add(file: &DataFile) -> Add {
    let partition_values = file.partition_values.iter();
    Add {
        path: file.path.as_ref().to_owned(),
        partition_values: partition_values
            .map(|(name, value)| ((*name).to_owned(), Some(value.clone())))
            .collect(),
        size: i64::try_from(file.size_bytes).unwrap_or(i64::MAX),
        modification_time: file.written_ms,
        data_change: true,
        stats: Some(file.stats()),
        ..Add::default()
    }
}

/// Whether delta-rs rejected the commit, so that its entry can no longer appear.
fn is_rejection(error: &DeltaTableError) -> bool {
    let DeltaTableError::Transaction { source } = error else { return false };
    !matches!(source, TransactionError::ObjectStore { .. } | TransactionError::LogStoreError { .. })
}

fn attempt_error(error: DeltaTableError) -> AttemptError {
    match error {
        DeltaTableError::ObjectStore { source }
        | DeltaTableError::Transaction { source: TransactionError::ObjectStore { source } } => {
            source.into()
        }
        DeltaTableError::Transaction { source: TransactionError::MaxCommitAttempts(_) } => {
            AttemptError::transient("other writers were faster each time")
        }
        error @ DeltaTableError::Transaction { .. } => {
            AttemptError::fatal(DeltaError::table("commit", &error).to_string())
        }
        error => AttemptError {
            text: DeltaError::table("commit", &error).to_string(),
            is_unanswered: no_answer(&error).is_some(),
            is_final: false,
        },
    }
}
