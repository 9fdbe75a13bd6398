//! The engine's transport: a consumer that follows a table.

use std::fmt;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use bench_core::clock::{Clock as _, InstantNs, SystemClock};
use bench_core::counts::{Count, Counts};
use bench_core::transport::{Incoming, Receive, Timestamps, TransportError};
use tokio::runtime::Runtime;

use super::FollowError;
use super::config::FollowConfig;
use super::fetch::{Fetcher, OpenPiece, Piece};
use super::follower::{FollowCounts, FollowEvent, Follower};
use super::objects::Objects;
use super::progress::Progress;
use super::rows::Messages;
use super::start::Starter;
use crate::{DeltaError, Lake};

/// A consumer of one table. A thread of its own reads the log and fetches data files; they are
/// decoded within [`receive`](Receive::receive).
///
/// A table is one partition: the rows of one writer arrive in the order of its commits and, within
/// a commit, in the order of files and rows.
pub struct DeltaReceiver {
    clock: SystemClock,
    events: mpsc::Receiver<FollowEvent>,
    current: Option<OpenPiece>,
    at_end: bool,
    progress: Progress,
    files_read: u64,
    files: Count,
    rows_without_value: Count,
    /// Drives the follower until this value is dropped.
    _runtime: Runtime,
}

impl DeltaReceiver {
    /// Connects a consumer to the table in `lake`. Everything committed after this call is
    /// received, wherever following begins. Waiting for a table that does not exist yet happens
    /// while receiving.
    ///
    /// Counts besides messages go into `counts`: `versions_read`, `files_read`, `log_polls_empty`
    /// (polls that found no new version), `reads_retried` (reads that failed in the storage's
    /// client despite its retries and were repeated), `rows_without_value` (skipped), and
    /// `versions_with_removals` (deletes and overwrites by others, whose rewritten rows are
    /// received again).
    pub fn connect(
        lake: &Lake,
        config: FollowConfig,
        clock: SystemClock,
        counts: &Counts,
    ) -> Result<Self, DeltaError> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        // A single worker, since it mostly waits. delta-rs needs a multi-thread runtime to load a
        // table's state.
        builder.worker_threads(1).thread_name("delta-follower").enable_all();
        let runtime = builder.build().map_err(FollowError::Runtime)?;
        let uri = lake.uri();
        let objects = Objects::new(lake.store().clone(), uri, counts.count("reads_retried"));
        let starter = Starter { objects: objects.clone(), log: lake.log_store() };
        let begin = runtime.block_on(starter.find(config.start, config.mode))?;
        if begin.is_none() && config.wait_for_table.is_zero() {
            let waited = config.wait_for_table;
            return Err(FollowError::NoTable { uri: uri.to_owned(), waited }.into());
        }
        let fetcher = Fetcher::new(objects, config.read_ahead_bytes);
        let progress = Progress::default();
        if let Some(begin) = &begin {
            begin.record(&progress);
        }
        let (sender, events) = mpsc::channel();
        let (counted, told) = (FollowCounts::new(counts), progress.clone());
        runtime.spawn(async move {
            Follower::new(starter, fetcher, config, counted, told, sender).run(begin).await;
        });
        Ok(Self {
            clock,
            events,
            current: None,
            at_end: false,
            progress,
            files_read: 0,
            files: counts.count("files_read"),
            rows_without_value: counts.count("rows_without_value"),
            _runtime: runtime,
        })
    }

    /// The next event, if one arrives by `until_ns`.
    fn await_event(&mut self, until_ns: InstantNs) -> Result<Option<FollowEvent>, TransportError> {
        let wait = Duration::from_nanos(until_ns.saturating_sub(self.clock.now_ns()));
        match self.events.recv_timeout(wait) {
            Ok(event) => Ok(Some(event)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                Err(TransportError::new("the follower of the table ended unexpectedly"))
            }
        }
    }

    fn open(&mut self, piece: Piece) -> Result<(), TransportError> {
        self.at_end = false;
        if piece.is_first() {
            self.files.add(1);
        }
        if let Some(rows) = piece.rows_without_value() {
            self.rows_without_value.add(rows);
            self.files_read += u64::from(piece.is_last());
        } else {
            self.current = Some(piece.open().map_err(|error| failed(&error))?);
        }
        Ok(())
    }

    /// The next rows of the current piece, if any.
    fn next_messages(&mut self) -> Result<Option<Messages>, TransportError> {
        let Some(current) = &mut self.current else { return Ok(None) };
        let messages = current.next().map_err(|error| failed(&error))?;
        if messages.is_none() {
            self.files_read += u64::from(current.is_last());
            self.current = None;
        }
        Ok(messages)
    }

    fn pass_on(&self, messages: &Messages, sink: &mut impl FnMut(Incoming<'_>)) -> usize {
        let received_ns = self.clock.now_ns();
        let timestamps = Timestamps::default();
        let (passed_on, without_value) = messages.pass_on(|key, value| {
            sink(Incoming { key, value, partition: 0, received_ns, timestamps });
        });
        if without_value > 0 {
            self.rows_without_value.add(without_value as u64);
        }
        passed_on
    }
}

impl fmt::Debug for DeltaReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeltaReceiver").field("at_end", &self.at_end).finish_non_exhaustive()
    }
}

impl Receive for DeltaReceiver {
    fn receive(
        &mut self,
        until_ns: InstantNs,
        mut sink: impl FnMut(Incoming<'_>),
    ) -> Result<usize, TransportError> {
        loop {
            while let Some(messages) = self.next_messages()? {
                let passed_on = self.pass_on(&messages, &mut sink);
                if passed_on > 0 {
                    return Ok(passed_on);
                }
            }
            match self.await_event(until_ns)? {
                Some(FollowEvent::Piece(piece)) => self.open(*piece)?,
                Some(FollowEvent::CaughtUp) => {
                    // A reader that stops at the end need not wait any longer.
                    self.at_end = true;
                    return Ok(0);
                }
                Some(FollowEvent::Failed(error)) => return Err(failed(&error)),
                None => return Ok(0),
            }
        }
    }

    fn at_end(&self) -> bool {
        self.at_end
    }

    fn is_behind(&self) -> bool {
        self.progress.is_ahead_of(self.files_read)
    }

    fn waits_for(&self) -> Option<String> {
        None
    }

    fn hold_back(&mut self) {}

    fn settle(&mut self, _: usize) {}
}

fn failed(error: &FollowError) -> TransportError {
    TransportError::new(error.to_string())
}
