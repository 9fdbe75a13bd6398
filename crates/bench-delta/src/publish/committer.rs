//! The task that commits data files in the order of their batches.

use std::sync::mpsc;

use bench_core::clock::{Clock as _, InstantNs, SystemClock};
use bench_core::transport::Token;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

use super::checkpoints::Checkpoints;
use super::counts::PublishCounts;
use super::data_file::DataFile;
use super::direct::DirectLog;
use super::failure::{Failure, FailureKind};
use super::retry::Retry;
use super::standard::StandardLog;

/// A batch whose data file is being uploaded.
pub(super) struct Uploading {
    pub(super) tokens: Vec<Token>,
    pub(super) upload: JoinHandle<Result<DataFile, Failure>>,
    /// After this, no further attempt begins.
    pub(super) deadline_ns: InstantNs,
}

/// The result of a batch.
pub(super) struct BatchResult {
    pub(super) tokens: Vec<Token>,
    pub(super) at_ns: InstantNs,
    pub(super) result: Result<(), Failure>,
}

/// The two ways to write log entries.
pub(super) enum Log {
    Direct(DirectLog, Option<Checkpoints>),
    Standard(StandardLog),
}

/// Commits uploaded data files.
pub(super) struct Committer {
    pub(super) log: Log,
    pub(super) clock: SystemClock,
    pub(super) counts: PublishCounts,
    pub(super) outcomes: mpsc::Sender<BatchResult>,
}

/// The batches of one commit.
#[derive(Default)]
struct CommitGroup {
    tokens: Vec<Vec<Token>>,
    files: Vec<DataFile>,
    deadline_ns: InstantNs,
}

impl Committer {
    /// Runs until the queue is closed and empty.
    pub(super) async fn run(mut self, mut queue: UnboundedReceiver<Uploading>) {
        let mut stopped: Option<Failure> = None;
        let mut next = None;
        while let Some(first) = or_receive(next.take(), &mut queue).await {
            let mut group = CommitGroup::default();
            self.add(&mut group, first).await;
            while let Ok(batch) = queue.try_recv() {
                if !batch.upload.is_finished() {
                    next = Some(batch);
                    break;
                }
                self.add(&mut group, batch).await;
            }
            if group.files.is_empty() {
                continue;
            }
            let result = match &stopped {
                Some(failure) => Err(failure.clone()),
                None => self.commit(&group).await,
            };
            if let Err(failure) = &result
                && failure.is_final
            {
                stopped.get_or_insert_with(|| Failure {
                    // Nothing was attempted, so nothing is in doubt.
                    kind: FailureKind::NotCommitted,
                    text: format!("an earlier commit failed: {}", failure.text),
                    is_unanswered: failure.is_unanswered,
                    is_final: true,
                });
            }
            let at_ns = self.clock.now_ns();
            for tokens in group.tokens {
                self.tell(tokens, at_ns, result.clone());
            }
        }
    }

    /// Waits for an upload. A failed one fails its own batch only.
    async fn add(&mut self, group: &mut CommitGroup, batch: Uploading) {
        let Uploading { tokens, upload, deadline_ns } = batch;
        let uploaded = upload.await.unwrap_or_else(|error| {
            let text = format!("an upload was aborted: {error}");
            let (kind, is_unanswered) = (FailureKind::NotWritten, false);
            Err(Failure { kind, text, is_unanswered, is_final: true })
        });
        match uploaded {
            Ok(file) => {
                group.tokens.push(tokens);
                group.files.push(file);
                group.deadline_ns = group.deadline_ns.max(deadline_ns);
            }
            Err(failure) => self.tell(tokens, self.clock.now_ns(), Err(failure)),
        }
    }

    async fn commit(&mut self, group: &CommitGroup) -> Result<(), Failure> {
        let begun_ns = self.clock.now_ns();
        let mut retry = Retry::until(self.clock, group.deadline_ns);
        match &mut self.log {
            Log::Direct(log, checkpoints) => {
                let (version, entry) = log.commit(&group.files, &mut retry).await?;
                if let Some(checkpoints) = checkpoints {
                    checkpoints.committed(version, entry);
                }
            }
            Log::Standard(log) => log.commit(&group.files, &mut retry).await?,
        }
        self.counts.commits.add(1);
        self.counts.commit_time.record(self.clock.now_ns().saturating_sub(begun_ns));
        Ok(())
    }

    fn tell(&self, tokens: Vec<Token>, at_ns: InstantNs, result: Result<(), Failure>) {
        // If the publisher is gone, nobody needs the result.
        let _ = self.outcomes.send(BatchResult { tokens, at_ns, result });
    }
}

async fn or_receive<T>(next: Option<T>, queue: &mut UnboundedReceiver<T>) -> Option<T> {
    match next {
        Some(next) => Some(next),
        None => queue.recv().await,
    }
}
