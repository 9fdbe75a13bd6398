//! The task that commits data files, in the order of their batches.

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
    /// When no further try begins.
    pub(super) deadline_ns: InstantNs,
}

/// What became of a batch.
pub(super) struct Outcome {
    pub(super) tokens: Vec<Token>,
    pub(super) at_ns: InstantNs,
    pub(super) result: Result<(), Failure>,
}

/// How entries come into the log.
pub(super) enum Log {
    Direct(DirectLog, Option<Checkpoints>),
    Standard(StandardLog),
}

/// Commits what has been uploaded.
pub(super) struct Committer {
    pub(super) log: Log,
    pub(super) clock: SystemClock,
    pub(super) counts: PublishCounts,
    pub(super) outcomes: mpsc::Sender<Outcome>,
}

/// Batches of one commit.
#[derive(Default)]
struct Group {
    tokens: Vec<Vec<Token>>,
    files: Vec<DataFile>,
    deadline_ns: InstantNs,
}

impl Committer {
    /// Works until there is nothing more to come.
    pub(super) async fn run(mut self, mut queue: UnboundedReceiver<Uploading>) {
        let mut stopped: Option<Failure> = None;
        let mut next = None;
        while let Some(first) = or_receive(next.take(), &mut queue).await {
            let mut group = Group::default();
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
                    // It is not even tried, so that nothing of it is in doubt.
                    kind: FailureKind::NotCommitted,
                    text: format!("nothing more was committed after this: {}", failure.text),
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

    /// Waits for an upload. What could not be uploaded has failed by itself.
    async fn add(&mut self, group: &mut Group, batch: Uploading) {
        let Uploading { tokens, upload, deadline_ns } = batch;
        let uploaded = upload.await.unwrap_or_else(|error| {
            let text = format!("an upload was not carried out: {error}");
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

    async fn commit(&mut self, group: &Group) -> Result<(), Failure> {
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
        // A publisher that is gone does not want to know.
        let _ = self.outcomes.send(Outcome { tokens, at_ns, result });
    }
}

async fn or_receive<T>(next: Option<T>, queue: &mut UnboundedReceiver<T>) -> Option<T> {
    match next {
        Some(next) => Some(next),
        None => queue.recv().await,
    }
}
