//! The end of the log: one version after the other.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hasher as _};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::objects::Objects;
use super::progress::Progress;
use super::{Entry, FollowError, YetToCome};
use crate::log::{LogError, Source as _};

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
    /// Whether the end is made sure of each time that it seems to be reached.
    is_to_end: bool,
    /// Whether that has been done, since the last entry if need be.
    is_sure: bool,
    watch: Watch,
    progress: Progress,
}

/// What comes next in the log.
#[derive(Debug)]
pub(super) enum Next {
    /// A version.
    Entry(u64, Entry),
    /// Nothing, as far as one can see.
    Nothing,
    /// Nothing, for certain.
    End,
    /// Something has come just now.
    AskAgain,
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
    pub(super) fn new(
        objects: Objects,
        next: u64,
        yet_to_come: YetToCome,
        progress: Progress,
    ) -> Self {
        let watch = Watch { at: None, wait: LOOK_AFTER_MIN };
        let is_to_end = yet_to_come == YetToCome::Nothing;
        Self {
            objects,
            next,
            ahead: VecDeque::new(),
            found: 0,
            last: None,
            is_to_end,
            is_sure: false,
            watch,
            progress,
        }
    }

    /// What comes next.
    pub(super) async fn next(&mut self) -> Result<Next, FollowError> {
        self.ask_ahead();
        let Some(asked) = self.ahead.pop_front() else { return Ok(Next::Nothing) };
        let answer = asked.await.map_err(|error| self.ended(&error.to_string()))??;
        let Some(json) = answer else {
            self.forget();
            return self.look_whether_more_can_come().await;
        };
        let version = self.next;
        let entry = Entry::parse(&json);
        let entry = entry.map_err(|e| FollowError::entry(self.objects.uri(), version, e))?;
        self.last = Some(Known { version, hash: hash(&json) });
        self.watch = Watch { at: None, wait: LOOK_AFTER_MIN };
        self.is_sure &= !self.is_to_end;
        self.next += 1;
        self.found += 1;
        Ok(Next::Entry(version, entry))
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

    /// Looks whether the log goes on elsewhere: where the end seems to be reached, and then now and
    /// then while nothing comes.
    async fn look_whether_more_can_come(&mut self) -> Result<Next, FollowError> {
        let now = Instant::now();
        let wait = self.watch.wait;
        let is_due = now >= *self.watch.at.get_or_insert(now + wait);
        if is_due {
            self.watch = Watch { at: Some(now + wait), wait: (wait * 2).min(LOOK_AFTER_MAX) };
        } else if self.is_sure {
            return Ok(Next::Nothing);
        }
        let log = self.objects.log_from(self.next).await?;
        if let Some(newest) = log.newest() {
            self.progress.sees(newest);
            // Versions come one by one: if it is still not there, it never will be.
            if self.objects.entry(self.next).await?.is_some() {
                return Ok(Next::AskAgain);
            }
            return Err(self.missing(log.oldest_entry(), log.checkpoint()));
        }
        if is_due {
            self.check_last().await?;
        }
        self.is_sure = true;
        Ok(Next::End)
    }

    /// Whether the last entry is what it was, so that the table is still the same.
    async fn check_last(&self) -> Result<(), FollowError> {
        let Some(last) = &self.last else { return Ok(()) };
        let is_same = match self.objects.entry(last.version).await? {
            Some(json) => hash(&json) == last.hash,
            // Cleaned up, if the log goes on from there: with a checkpoint of it, or with what has
            // come in between.
            None => self.objects.log_from(last.version).await?.newest().is_some(),
        };
        if is_same {
            return Ok(());
        }
        Err(FollowError::Replaced { uri: self.objects.uri().to_owned(), version: last.version })
    }

    /// The next version is not there, and later ones are.
    fn missing(&self, oldest_entry: Option<u64>, checkpoint: Option<u64>) -> FollowError {
        let (uri, first) = (self.objects.uri().to_owned(), self.next);
        let left = oldest_entry.filter(|oldest| *oldest > first);
        let Some(oldest) = left.or(checkpoint.map(|checkpoint| checkpoint + 1)) else {
            return self.ended("it is missing from the log");
        };
        let last = oldest - 1;
        if checkpoint.is_some() {
            return FollowError::VersionsGone { uri, first, last, oldest };
        }
        LogError::Gap { uri, first, last, next: oldest }.into()
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
