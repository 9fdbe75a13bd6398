//! A receiver's background task: reads the log and fetches the files that it names, in order.

use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use bench_core::counts::{Count, Counts};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::config::{FollowConfig, FollowMode, TableStart};
use super::entry::AddedFile;
use super::fetch::{DataFile, Fetcher, Piece};
use super::progress::Progress;
use super::requirements::{Metadata, Protocol};
use super::start::{StartPoint, Starter, has_deletions};
use super::tail::{Tail, TailEvent};
use super::{FollowError, VersionChanges};
use crate::log::Source as _;

/// Limit on pieces in flight.
const FETCHES_MAX: usize = 16;

/// Longest time between checks for a table that does not exist yet.
const TABLE_WAIT_MAX: Duration = Duration::from_millis(200);

/// An event for the receiver; events arrive in order.
pub(super) enum FollowEvent {
    /// The next rows.
    Piece(Box<Piece>),
    /// Everything that the table had when last listed has been passed on.
    CaughtUp,
    /// Following has ended.
    Failed(FollowError),
}

/// An event that may still be pending.
enum Pending {
    Fetching(JoinHandle<Result<Piece, FollowError>>),
    Ready(FollowEvent),
}

/// A follower's counts besides messages.
#[derive(Debug, Clone)]
pub(super) struct FollowCounts {
    /// Versions read.
    versions: Count,
    /// Versions that removed rows; rows that they rewrote are received again.
    versions_with_removals: Count,
    /// Polls that found no new version.
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
    queue: mpsc::Sender<Pending>,
}

impl Follower {
    /// Creates a follower that sends events to `events`; it ends when the receiver is gone.
    pub(super) fn new(
        starter: Starter,
        fetcher: Fetcher,
        config: FollowConfig,
        counts: FollowCounts,
        progress: Progress,
        events: Sender<FollowEvent>,
    ) -> Self {
        let (queue, ordered) = mpsc::channel(FETCHES_MAX);
        let uri = starter.objects.uri().to_owned();
        tokio::spawn(pass_on_in_order(ordered, events, uri));
        Self { starter, fetcher, config, counts, progress, queue }
    }

    /// Follows the table from `start`, or waits for the table first; runs until an error.
    pub(super) async fn run(self, start_point: Option<StartPoint>) {
        if let Err(error) = self.follow(start_point).await {
            // If the receiver is gone, nobody needs the error.
            let _ = self.queue.send(Pending::Ready(FollowEvent::Failed(error))).await;
        }
    }

    async fn follow(&self, start_point: Option<StartPoint>) -> Result<(), FollowError> {
        let start_point = match start_point {
            Some(start_point) => start_point,
            None => self.wait_for_table().await?,
        };
        for file in start_point.files {
            self.fetch(file).await?;
        }
        let (objects, progress) = (self.starter.objects.clone(), self.progress.clone());
        let mut tail = Tail::new(objects, start_point.next, self.config.mode, progress);
        let mut is_caught_up = false;
        loop {
            match tail.next().await? {
                TailEvent::Changes(version, entry) => {
                    is_caught_up = false;
                    self.apply(version, entry).await?;
                    continue;
                }
                TailEvent::Retry => continue,
                TailEvent::End if !is_caught_up => {
                    is_caught_up = true;
                    self.send(Pending::Ready(FollowEvent::CaughtUp)).await?;
                }
                TailEvent::End | TailEvent::Nothing => {}
            }
            self.counts.polls_empty.add(1);
            tokio::time::sleep(self.config.poll_interval).await;
        }
    }

    /// Waits for a table that did not exist. Everything in it is then new.
    async fn wait_for_table(&self) -> Result<StartPoint, FollowError> {
        let waited = self.config.wait_for_table;
        let deadline = Instant::now() + waited;
        let start = match self.config.start {
            TableStart::Version(version) => TableStart::Version(version),
            _ => TableStart::Beginning,
        };
        loop {
            if self.starter.may_begin().await?
                && let Some(start_point) = self.starter.find(start, FollowMode::AnyVersion).await?
            {
                start_point.record(&self.progress);
                return Ok(start_point);
            }
            if Instant::now() >= deadline {
                let uri = self.starter.objects.uri().to_owned();
                return Err(FollowError::NoTable { uri, waited });
            }
            let pause = self.config.poll_interval.clamp(Duration::from_millis(5), TABLE_WAIT_MAX);
            tokio::time::sleep(pause).await;
        }
    }

    async fn apply(&self, version: u64, entry: VersionChanges) -> Result<(), FollowError> {
        self.counts.versions.add(1);
        let protocol = entry.protocol.as_ref().map_or(Ok(()), Protocol::check);
        let metadata = || entry.metadata.as_ref().map_or(Ok(()), Metadata::check);
        let problem = protocol.and_then(|()| metadata());
        problem.map_err(|problem| self.unsupported(version, problem))?;
        if entry.removes_rows {
            self.counts.versions_with_removals.add(1);
            if !entry.added.is_empty() {
                tracing::warn!(
                    "version {version} of {} removes and adds rows; rows that were only rewritten \
                     are received again",
                    self.starter.objects.uri()
                );
            }
        }
        self.progress.finds(entry.added.len(), version + 1);
        for AddedFile { path, size_bytes, rows, has_deletions: deletes } in entry.added {
            if deletes {
                return Err(self.unsupported(version, has_deletions(path.as_ref())));
            }
            self.fetch(DataFile { path, size_bytes, rows, version }).await?;
        }
        Ok(())
    }

    /// Fetches a file in the background once there is room for it.
    async fn fetch(&self, file: DataFile) -> Result<(), FollowError> {
        for part in self.fetcher.plan(file).await? {
            let place = self.queue.reserve().await.map_err(|_| self.receiver_gone())?;
            let room = self.fetcher.room_for(&part).await?;
            let fetcher = self.fetcher.clone();
            let fetching = tokio::spawn(async move { fetcher.fetch(part, room).await });
            place.send(Pending::Fetching(fetching));
        }
        Ok(())
    }

    async fn send(&self, event: Pending) -> Result<(), FollowError> {
        self.queue.send(event).await.map_err(|_| self.receiver_gone())
    }

    fn receiver_gone(&self) -> FollowError {
        let uri = self.starter.objects.uri().to_owned();
        FollowError::Ended { uri, problem: "the receiver is gone".to_owned() }
    }

    fn unsupported(&self, version: u64, problem: String) -> FollowError {
        let uri = self.starter.objects.uri().to_owned();
        FollowError::Unsupported { uri, version, problem }
    }
}

/// Passes pieces on in the order in which they were requested.
async fn pass_on_in_order(
    mut ordered: mpsc::Receiver<Pending>,
    events: Sender<FollowEvent>,
    uri: String,
) {
    while let Some(next) = ordered.recv().await {
        let event = match next {
            Pending::Ready(event) => event,
            Pending::Fetching(fetching) => match fetching.await {
                Ok(Ok(piece)) => FollowEvent::Piece(Box::new(piece)),
                Ok(Err(error)) => FollowEvent::Failed(error),
                Err(error) => {
                    let uri = uri.clone();
                    FollowEvent::Failed(FollowError::Ended { uri, problem: error.to_string() })
                }
            },
        };
        let is_over = matches!(event, FollowEvent::Failed(_));
        if events.send(event).is_err() || is_over {
            return;
        }
    }
}
