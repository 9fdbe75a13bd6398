//! The background task of a receiver: reads the log and fetches what it names, in order.

use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use bench_core::counts::{Count, Counts};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::entry::Added;
use super::fetch::{DataFile, Fetcher, Piece};
use super::progress::Progress;
use super::requirements::{Metadata, Protocol};
use super::start::{Begin, Starter, has_deletions};
use super::tail::{Next, Tail};
use super::{Entry, FollowConfig, FollowError, TableStart, YetToCome};
use crate::log::Source as _;

/// Most pieces that are under way at once.
const FETCHES_MAX: usize = 16;

/// Time between two looks for a table that is not there yet, at most.
const TABLE_WAIT_MAX: Duration = Duration::from_millis(200);

/// What the receiver is told, in order.
pub(super) enum Step {
    /// The next rows.
    Piece(Box<Piece>),
    /// Everything that the table had when it was last listed has been passed on.
    CaughtUp,
    /// Following is over.
    Failed(FollowError),
}

/// A step that may still be on its way.
enum Ordered {
    Fetching(JoinHandle<Result<Piece, FollowError>>),
    Ready(Step),
}

/// What a follower counts beside the messages.
#[derive(Debug, Clone)]
pub(super) struct FollowCounts {
    /// Versions that were read.
    versions: Count,
    /// Versions of which rows were removed; rows that were written again with them are repeated.
    versions_with_removals: Count,
    /// Looks for the next version that found none.
    polls_empty: Count,
}

impl FollowCounts {
    pub(super) fn new(counts: &Counts) -> Self {
        Self {
            versions: counts.count("versions_read"),
            versions_with_removals: counts.count("versions_with_removals"),
            polls_empty: counts.count("log_polls_empty"),
        }
    }
}

/// Follows one table.
pub(super) struct Follower {
    starter: Starter,
    fetcher: Fetcher,
    config: FollowConfig,
    counts: FollowCounts,
    progress: Progress,
    queue: mpsc::Sender<Ordered>,
}

impl Follower {
    /// A follower that reports to `steps`; it ends when nobody listens any more.
    pub(super) fn new(
        starter: Starter,
        fetcher: Fetcher,
        config: FollowConfig,
        counts: FollowCounts,
        progress: Progress,
        steps: Sender<Step>,
    ) -> Self {
        let (queue, ordered) = mpsc::channel(FETCHES_MAX);
        let uri = starter.objects.uri().to_owned();
        tokio::spawn(pass_on_in_order(ordered, steps, uri));
        Self { starter, fetcher, config, counts, progress, queue }
    }

    /// Follows the table from there on, or waits for it first, until something goes wrong.
    pub(super) async fn run(self, begin: Option<Begin>) {
        if let Err(error) = self.follow(begin).await {
            // If nobody listens any more, nobody needs to know.
            let _ = self.queue.send(Ordered::Ready(Step::Failed(error))).await;
        }
    }

    async fn follow(&self, begin: Option<Begin>) -> Result<(), FollowError> {
        let begin = match begin {
            Some(begin) => begin,
            None => self.wait_for_table().await?,
        };
        for file in begin.files {
            self.fetch(file).await?;
        }
        let (objects, progress) = (self.starter.objects.clone(), self.progress.clone());
        let mut tail = Tail::new(objects, begin.next, self.config.yet_to_come, progress);
        let mut is_caught_up = false;
        loop {
            match tail.next().await? {
                Next::Entry(version, entry) => {
                    is_caught_up = false;
                    self.take_in(version, entry).await?;
                    continue;
                }
                Next::AskAgain => continue,
                Next::End if !is_caught_up => {
                    is_caught_up = true;
                    self.tell(Ordered::Ready(Step::CaughtUp)).await?;
                }
                Next::End | Next::Nothing => {}
            }
            self.counts.polls_empty.add(1);
            tokio::time::sleep(self.config.poll_interval).await;
        }
    }

    /// Waits for a table that was not there. All that is in it then has come since.
    async fn wait_for_table(&self) -> Result<Begin, FollowError> {
        let waited = self.config.wait_for_table;
        let deadline = Instant::now() + waited;
        let start = match self.config.start {
            TableStart::Version(version) => TableStart::Version(version),
            _ => TableStart::Beginning,
        };
        loop {
            if self.starter.may_begin().await?
                && let Some(begin) = self.starter.find(start, YetToCome::AnyVersion).await?
            {
                begin.tell(&self.progress);
                return Ok(begin);
            }
            if Instant::now() >= deadline {
                let uri = self.starter.objects.uri().to_owned();
                return Err(FollowError::NoTable { uri, waited });
            }
            let pause = self.config.poll_interval.clamp(Duration::from_millis(5), TABLE_WAIT_MAX);
            tokio::time::sleep(pause).await;
        }
    }

    async fn take_in(&self, version: u64, entry: Entry) -> Result<(), FollowError> {
        self.counts.versions.add(1);
        let protocol = entry.protocol.as_ref().map_or(Ok(()), Protocol::check);
        let metadata = || entry.metadata.as_ref().map_or(Ok(()), Metadata::check);
        let problem = protocol.and_then(|()| metadata());
        problem.map_err(|problem| self.unsupported(version, problem))?;
        if entry.removes_rows {
            self.counts.versions_with_removals.add(1);
            if !entry.added.is_empty() {
                tracing::warn!(
                    "version {version} of {} removes rows and adds others; those that were only \
                     written anew are received again",
                    self.starter.objects.uri()
                );
            }
        }
        self.progress.finds(entry.added.len(), version + 1);
        for Added { path, size_bytes, rows, has_deletions: deletes } in entry.added {
            if deletes {
                return Err(self.unsupported(version, has_deletions(path.as_ref())));
            }
            self.fetch(DataFile { path, size_bytes, rows, version }).await?;
        }
        Ok(())
    }

    /// Fetches a file in the background as soon as there is room for it.
    async fn fetch(&self, file: DataFile) -> Result<(), FollowError> {
        for part in self.fetcher.plan(file).await? {
            let place = self.queue.reserve().await.map_err(|_| self.unheard())?;
            let room = self.fetcher.room_for(&part).await?;
            let fetcher = self.fetcher.clone();
            let fetching = tokio::spawn(async move { fetcher.fetch(part, room).await });
            place.send(Ordered::Fetching(fetching));
        }
        Ok(())
    }

    async fn tell(&self, step: Ordered) -> Result<(), FollowError> {
        self.queue.send(step).await.map_err(|_| self.unheard())
    }

    fn unheard(&self) -> FollowError {
        let uri = self.starter.objects.uri().to_owned();
        FollowError::Ended { uri, problem: "nobody receives any more".to_owned() }
    }

    fn unsupported(&self, version: u64, problem: String) -> FollowError {
        let uri = self.starter.objects.uri().to_owned();
        FollowError::Unsupported { uri, version, problem }
    }
}

/// Passes on what was fetched in the order in which it was asked for.
async fn pass_on_in_order(mut ordered: mpsc::Receiver<Ordered>, steps: Sender<Step>, uri: String) {
    while let Some(next) = ordered.recv().await {
        let step = match next {
            Ordered::Ready(step) => step,
            Ordered::Fetching(fetching) => match fetching.await {
                Ok(Ok(piece)) => Step::Piece(Box::new(piece)),
                Ok(Err(error)) => Step::Failed(error),
                Err(error) => {
                    let uri = uri.clone();
                    Step::Failed(FollowError::Ended { uri, problem: error.to_string() })
                }
            },
        };
        let is_over = matches!(step, Step::Failed(_));
        if steps.send(step).is_err() || is_over {
            return;
        }
    }
}
