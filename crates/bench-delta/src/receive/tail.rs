//! The end of the log: one version after the other.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hasher as _};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::objects::Objects;
use super::{Entry, FollowError};

/// Most entries that are asked for at once while there is a backlog.
const ENTRIES_AHEAD_MAX: usize = 32;

/// How long nothing may come before the tail looks whether anything can come, at first and at most:
/// the time doubles with each look.
const LOOK_AFTER_MIN: Duration = Duration::from_secs(1);
const LOOK_AFTER_MAX: Duration = Duration::from_secs(8);

/// Reads the log from a version on.
#[derive(Debug)]
pub(super) struct Tail {
    objects: Objects,
    /// The version that is read next.
    next: u64,
    /// Entries that have been asked for, the next one first.
    ahead: VecDeque<JoinHandle<Result<Option<Bytes>, FollowError>>>,
    /// How many entries have been found since the last one that was not.
    found: usize,
    /// The last entry that was read.
    last: Option<Known>,
    watch: Watch,
}

/// An entry that has been read, to be recognised.
#[derive(Debug)]
struct Known {
    version: u64,
    hash: u64,
}

/// When to look whether anything can come.
#[derive(Debug)]
struct Watch {
    at: Option<Instant>,
    wait: Duration,
}

impl Tail {
    /// From this version on.
    pub(super) fn new(objects: Objects, next: u64) -> Self {
        let watch = Watch { at: None, wait: LOOK_AFTER_MIN };
        Self { objects, next, ahead: VecDeque::new(), found: 0, last: None, watch }
    }

    /// The next version, if it is there.
    pub(super) async fn next(&mut self) -> Result<Option<(u64, Entry)>, FollowError> {
        self.ask_ahead();
        let Some(asked) = self.ahead.pop_front() else { return Ok(None) };
        let answer = asked.await.map_err(|error| self.ended(&error.to_string()))??;
        let Some(json) = answer else {
            self.forget();
            self.look_whether_more_can_come().await?;
            return Ok(None);
        };
        let version = self.next;
        let entry = Entry::parse(&json).map_err(|problem| {
            let uri = self.objects.uri().to_owned();
            FollowError::Entry { uri, version, problem }
        })?;
        self.last = Some(Known { version, hash: hash(&json) });
        self.watch = Watch { at: None, wait: LOOK_AFTER_MIN };
        self.next += 1;
        self.found += 1;
        Ok(Some((version, entry)))
    }

    /// Asks for one entry where the end of the log is expected, for many in a backlog.
    fn ask_ahead(&mut self) {
        let window = if self.found < 2 { 1 } else { 1 << self.found.min(16) };
        while self.ahead.len() < window.min(ENTRIES_AHEAD_MAX) {
            let objects = self.objects.clone();
            let version = self.next + self.ahead.len() as u64;
            self.ahead.push_back(tokio::spawn(async move { objects.entry(version).await }));
        }
    }

    /// Drops what was asked for beyond an entry that was not there: it may have come since.
    fn forget(&mut self) {
        self.found = 0;
        for asked in self.ahead.drain(..) {
            asked.abort();
        }
    }

    /// Looks now and then, while nothing comes, whether the log goes on elsewhere: the next version
    /// was cleaned up, or the table is another one.
    async fn look_whether_more_can_come(&mut self) -> Result<(), FollowError> {
        let now = Instant::now();
        let wait = self.watch.wait;
        if now < *self.watch.at.get_or_insert(now + wait) {
            return Ok(());
        }
        self.watch = Watch { at: Some(now + wait), wait: (wait * 2).min(LOOK_AFTER_MAX) };
        if self.is_passed_by().await? {
            return self.gone().await;
        }
        let Some(last) = &self.last else { return Ok(()) };
        let is_same = match self.objects.entry(last.version).await? {
            Some(json) => hash(&json) == last.hash,
            // Cleaned up after a later checkpoint, which may have come in between.
            None => self.objects.checkpoint().await?.is_some_and(|at| at >= last.version),
        };
        if is_same {
            return Ok(());
        }
        Err(FollowError::Replaced { uri: self.objects.uri().to_owned(), version: last.version })
    }

    /// Whether there is a checkpoint of the next version or a later one.
    async fn is_passed_by(&self) -> Result<bool, FollowError> {
        Ok(self.objects.checkpoint().await?.is_some_and(|at| at >= self.next))
    }

    /// The next version is gone, if it has not come just now.
    async fn gone(&self) -> Result<(), FollowError> {
        if self.objects.entry(self.next).await?.is_some() {
            return Ok(());
        }
        let versions = self.objects.versions().await?;
        let Some(oldest) = versions.iter().map(|v| v.version).find(|v| *v >= self.next) else {
            // Only a checkpoint is left: what it was made of cannot be told.
            let problem = "nothing but a checkpoint is left of the log from there on";
            return Err(self.ended(problem));
        };
        Err(FollowError::VersionsGone {
            uri: self.objects.uri().to_owned(),
            first: self.next,
            last: oldest.saturating_sub(1).max(self.next),
            oldest,
        })
    }

    fn ended(&self, problem: &str) -> FollowError {
        let problem = format!("version {}: {problem}", self.next);
        FollowError::Ended { uri: self.objects.uri().to_owned(), problem }
    }
}

fn hash(json: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(json);
    hasher.finish()
}
