//! The end of the log, read version by version.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hasher as _};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::config::FollowMode;
use super::objects::Objects;
use super::progress::Progress;
use super::{FollowError, VersionChanges};
use crate::log::{LogError, Source as _};

/// Limit on entries requested at once during a backlog.
const ENTRIES_AHEAD_MAX: usize = 32;

/// How long nothing arrives before the tail checks whether anything still can, at first and at
/// most: the time doubles with each check.
const CHECK_AFTER_MIN: Duration = Duration::from_secs(1);
const CHECK_AFTER_MAX: Duration = Duration::from_secs(8);

/// Reads the log from a version on.
#[derive(Debug)]
pub(super) struct Tail {
    objects: Objects,
    /// The next version to read.
    next: u64,
    /// Requested entries, the next one first.
    ahead: VecDeque<JoinHandle<Result<Option<Bytes>, FollowError>>>,
    /// Consecutive entries found without a miss.
    found: usize,
    /// The last entry read.
    last: Option<ReadEntry>,
    /// Whether the end is confirmed each time it seems to be reached.
    is_to_end: bool,
    /// Whether the end has been confirmed since the last entry.
    is_sure: bool,
    end_check: EndCheck,
    progress: Progress,
}

/// The next event in the log.
#[derive(Debug)]
pub(super) enum TailEvent {
    /// A version.
    Changes(u64, VersionChanges),
    /// Nothing at the moment.
    Nothing,
    /// Nothing, confirmed.
    End,
    /// A new version just appeared.
    Retry,
}

/// An entry that was read, with a hash to recognise it by.
#[derive(Debug)]
struct ReadEntry {
    version: u64,
    hash: u64,
}

/// When to check whether anything can still arrive.
#[derive(Debug)]
struct EndCheck {
    at: Option<Instant>,
    wait: Duration,
}

impl Tail {
    /// Starts at this version.
    pub(super) fn new(objects: Objects, next: u64, mode: FollowMode, progress: Progress) -> Self {
        let end_check = EndCheck { at: None, wait: CHECK_AFTER_MIN };
        let is_to_end = mode == FollowMode::ToEnd;
        Self {
            objects,
            next,
            ahead: VecDeque::new(),
            found: 0,
            last: None,
            is_to_end,
            is_sure: false,
            end_check,
            progress,
        }
    }

    /// The next event.
    pub(super) async fn next(&mut self) -> Result<TailEvent, FollowError> {
        self.ask_ahead();
        let Some(asked) = self.ahead.pop_front() else { return Ok(TailEvent::Nothing) };
        let answer = asked.await.map_err(|error| self.ended(&error.to_string()))??;
        let Some(json) = answer else {
            self.forget();
            return self.check_for_more().await;
        };
        let version = self.next;
        let entry = VersionChanges::parse(&json);
        let entry = entry.map_err(|e| FollowError::entry(self.objects.uri(), version, e))?;
        self.last = Some(ReadEntry { version, hash: hash(&json) });
        self.end_check = EndCheck { at: None, wait: CHECK_AFTER_MIN };
        self.is_sure &= !self.is_to_end;
        self.next += 1;
        self.found += 1;
        Ok(TailEvent::Changes(version, entry))
    }

    /// Requests one entry at the expected end of the log, and many during a backlog.
    fn ask_ahead(&mut self) {
        let window = if self.found < 2 { 1 } else { 1 << self.found.min(16) };
        while self.ahead.len() < window.min(ENTRIES_AHEAD_MAX) {
            let objects = self.objects.clone();
            let version = self.next + self.ahead.len() as u64;
            self.ahead.push_back(tokio::spawn(async move { objects.entry(version).await }));
        }
    }

    /// Drops the requests beyond a missing entry, which may exist by now.
    fn forget(&mut self) {
        self.found = 0;
        for asked in self.ahead.drain(..) {
            asked.abort();
        }
    }

    /// Checks whether the log continues elsewhere: when the end seems to be reached, and from time
    /// to time while nothing arrives.
    async fn check_for_more(&mut self) -> Result<TailEvent, FollowError> {
        let now = Instant::now();
        let wait = self.end_check.wait;
        let is_due = now >= *self.end_check.at.get_or_insert(now + wait);
        if is_due {
            self.end_check =
                EndCheck { at: Some(now + wait), wait: (wait * 2).min(CHECK_AFTER_MAX) };
        } else if self.is_sure {
            return Ok(TailEvent::Nothing);
        }
        let log = self.objects.log_from(self.next).await?;
        if let Some(newest) = log.newest() {
            self.progress.sees(newest);
            // Versions are written one by one: if it is still missing, it will never appear.
            if self.objects.entry(self.next).await?.is_some() {
                return Ok(TailEvent::Retry);
            }
            return Err(self.missing(log.oldest_entry(), log.checkpoint()));
        }
        if is_due {
            self.check_last().await?;
        }
        self.is_sure = true;
        Ok(TailEvent::End)
    }

    /// Checks that the last entry is unchanged, so that this is still the same table.
    async fn check_last(&self) -> Result<(), FollowError> {
        let Some(last) = &self.last else { return Ok(()) };
        let is_same = match self.objects.entry(last.version).await? {
            Some(json) => hash(&json) == last.hash,
            // It was cleaned up, if the log continues after it with a checkpoint or with later
            // versions.
            None => self.objects.log_from(last.version).await?.newest().is_some(),
        };
        if is_same {
            return Ok(());
        }
        Err(FollowError::Replaced { uri: self.objects.uri().to_owned(), version: last.version })
    }

    /// The error if the next version is missing but later ones exist.
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
