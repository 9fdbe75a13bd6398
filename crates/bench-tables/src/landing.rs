//! Receiving through a table: messages are handed over once their rows have been written.
//!
//! The receiver's thread keeps receiving while rows are written, so that stream and table are
//! measured independently. Waiting rows are bounded: if the table is too slow, receiving pauses.

mod batch;

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use bench_core::clock::{Clock as _, ClockOrigin, InstantNs, SystemClock};
use bench_core::counts::{Count, Counts};
use bench_core::transport::{Incoming, Receive, TransportError};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinSet, LocalSet};

use crate::error::TableError;
use crate::row::Written;
use crate::writer::TableWriter;
use batch::Batch;

/// How long a row waits for others to fill its batch while a writer is idle.
pub const LINGER: Duration = Duration::from_millis(5);

const LINGER_NS: u64 = 5_000_000;

/// How long the receiver waits for messages before it checks for results of the writers again.
const ANSWER_POLL_NS: u64 = 2_000_000;

/// Batches per writer that may wait to be written or handed over. A batch being retried holds up
/// later ones, since messages keep their order.
const BATCHES_PER_WRITER: usize = 8;

/// A receiver whose messages land in a table before they are handed over, in order of arrival, with
/// the instant at which their rows were confirmed.
///
/// A row whose write fails permanently is not handed over: its message counts as lost, and the
/// reason is logged. Positions of a group are committed up to the first such row, so that the
/// group's next reader receives again what has not landed. An error that retrying cannot cure ends
/// receiving.
///
/// Counts `rows_retried` and `rows_failed`.
pub struct LandingReceiver<R> {
    receiver: R,
    clock: SystemClock,
    rows_per_batch: usize,
    /// Batches not yet given to a writer, oldest first; the last may be incomplete.
    waiting: VecDeque<Batch>,
    /// Batches given to writers, oldest first; `None` until the batch comes back.
    given: VecDeque<Option<Batch>>,
    /// Batches handed over before those, which is the number of the first of them.
    handed_over: u64,
    spare: Vec<Batch>,
    /// The channel to each writer.
    writers: Vec<UnboundedSender<(u64, Batch)>>,
    idle: Vec<usize>,
    answers: Receiver<BatchResult>,
    /// Whether every message so far has landed, so that those that follow may be settled.
    is_settling: bool,
    /// Landed messages that wait to be settled from outside; `None` while landing settles them.
    held: Option<usize>,
    rows_retried: Count,
    rows_failed: Count,
}

/// A running writer.
struct Worker {
    index: usize,
    writer: TableWriter,
    batches: UnboundedReceiver<(u64, Batch)>,
    answers: Sender<BatchResult>,
    origin: ClockOrigin,
}

/// The result of a batch.
struct BatchResult {
    worker: usize,
    number: u64,
    batch: Batch,
    outcome: Result<Written, TableError>,
}

impl<R: Receive> LandingReceiver<R> {
    /// Lands the messages of `receiver` through `writers`, each of which writes one batch of up to
    /// `rows_per_batch` rows (at least 1) at a time, all in a thread and runtime of their own.
    /// Without writers, nothing is received. Instants are those of `clock`, which must be the
    /// writers' and the receiver's.
    ///
    /// Fails if no thread can be started.
    pub fn new(
        mut receiver: R,
        writers: Vec<TableWriter>,
        rows_per_batch: usize,
        clock: SystemClock,
        counts: &Counts,
    ) -> io::Result<Self> {
        receiver.hold_back();
        let (answers_in, answers) = channel();
        let (mut batches_in, mut workers) = (Vec::new(), Vec::new());
        for (index, writer) in writers.into_iter().enumerate() {
            let (sender, batches) = unbounded_channel();
            batches_in.push(sender);
            let (answers, origin) = (answers_in.clone(), clock.origin());
            workers.push(Worker { index, writer, batches, answers, origin });
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // Ends by itself when the receiver is gone and nothing is left to write.
        std::thread::Builder::new().name("landing".to_owned()).spawn(move || {
            LocalSet::new().block_on(&runtime, work(workers));
        })?;
        Ok(Self {
            receiver,
            clock,
            rows_per_batch: rows_per_batch.max(1),
            waiting: VecDeque::new(),
            given: VecDeque::new(),
            handed_over: 0,
            spare: Vec::new(),
            idle: (0..batches_in.len()).collect(),
            writers: batches_in,
            answers,
            is_settling: true,
            held: None,
            rows_retried: counts.count("rows_retried"),
            rows_failed: counts.count("rows_failed"),
        })
    }

    fn has_room(&self) -> bool {
        self.waiting.len() + self.given.len() < self.writers.len() * BATCHES_PER_WRITER
    }

    /// Gives idle writers the batches that are full or have waited long enough.
    fn give(&mut self, now_ns: InstantNs) -> Result<(), TransportError> {
        while let Some(first) = self.waiting.front()
            && let Some(&worker) = self.idle.last()
        {
            let waited = first.first_ns().is_some_and(|ns| now_ns.saturating_sub(ns) >= LINGER_NS);
            if first.len() < self.rows_per_batch && !waited {
                break;
            }
            let Some(batch) = self.waiting.pop_front() else { break };
            let number = self.handed_over + self.given.len() as u64;
            self.given.push_back(None);
            self.idle.pop();
            self.writers[worker].send((number, batch)).map_err(|_| writer_ended())?;
        }
        Ok(())
    }

    /// Takes the writers' results, waiting up to `wait` for the first.
    fn take_answers(&mut self, wait: Duration) -> Result<(), TransportError> {
        let mut wait = wait;
        loop {
            let answer = match self.answers.recv_timeout(std::mem::take(&mut wait)) {
                Ok(answer) => answer,
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => return Err(writer_ended()),
            };
            let BatchResult { worker, number, mut batch, outcome } = answer;
            self.idle.push(worker);
            let written =
                outcome.map_err(|error| TransportError::new(format!("landing failed: {error}")))?;
            self.rows_retried.add(written.retried);
            if let Some((_, reason)) = written.failed.first() {
                if self.rows_failed.get() == 0 {
                    tracing::error!("messages did not land and count as lost: {reason}");
                }
                self.rows_failed.add(written.failed.len() as u64);
            }
            batch.note(&written, self.clock.origin());
            let position = usize::try_from(number - self.handed_over).unwrap_or(usize::MAX);
            if let Some(place) = self.given.get_mut(position) {
                *place = Some(batch);
            }
        }
    }

    /// Hands over the messages of the oldest batches that have been written.
    fn hand_over(&mut self, sink: &mut impl FnMut(Incoming<'_>)) -> usize {
        let mut count = 0;
        while let Some(mut batch) = self.given.pop_front_if(|batch| batch.is_some()).flatten() {
            self.handed_over += 1;
            for incoming in batch.landed() {
                sink(incoming);
                count += 1;
            }
            if self.is_settling {
                let landed = batch.landed_in_a_row();
                match &mut self.held {
                    Some(held) => *held += landed,
                    None => self.receiver.settle(landed),
                }
                self.is_settling = landed == batch.len();
            }
            batch.clear();
            self.spare.push(batch);
        }
        count
    }

    /// Receives messages until one arrives, or until there is something else to do.
    fn receive_more(
        &mut self,
        now_ns: InstantNs,
        until_ns: InstantNs,
    ) -> Result<(), TransportError> {
        let lingers_ns = self.waiting.front().and_then(Batch::first_ns).map(|ns| ns + LINGER_NS);
        let lingers_ns = lingers_ns.filter(|_| !self.idle.is_empty());
        let answers_ns = (!self.given.is_empty()).then_some(now_ns + ANSWER_POLL_NS);
        let due_ns = [lingers_ns, answers_ns].into_iter().flatten().min().unwrap_or(until_ns);
        let Self { receiver, waiting, spare, rows_per_batch, .. } = self;
        receiver.receive(due_ns.min(until_ns), |incoming| {
            if waiting.back().is_none_or(|last| last.len() >= *rows_per_batch) {
                waiting.push_back(spare.pop().unwrap_or_default());
            }
            if let Some(last) = waiting.back_mut() {
                last.push(&incoming);
            }
        })?;
        Ok(())
    }
}

impl<R: Receive> Receive for LandingReceiver<R> {
    fn receive(
        &mut self,
        until_ns: InstantNs,
        mut sink: impl FnMut(Incoming<'_>),
    ) -> Result<usize, TransportError> {
        loop {
            self.take_answers(Duration::ZERO)?;
            let count = self.hand_over(&mut sink);
            let now_ns = self.clock.now_ns();
            self.give(now_ns)?;
            if count > 0 || now_ns >= until_ns {
                return Ok(count);
            }
            if self.has_room() {
                self.receive_more(now_ns, until_ns)?;
            } else {
                self.take_answers(Duration::from_nanos(until_ns - now_ns))?;
            }
        }
    }

    fn at_end(&self) -> bool {
        self.waiting.is_empty() && self.given.is_empty() && self.receiver.at_end()
    }

    fn is_behind(&self) -> bool {
        // Messages waiting to be written have been received, but not handed over.
        !self.waiting.is_empty() || !self.given.is_empty() || self.receiver.is_behind()
    }

    fn waits_for(&self) -> Option<String> {
        self.receiver.waits_for()
    }

    fn hold_back(&mut self) {
        self.held.get_or_insert(0);
    }

    fn settle(&mut self, messages: usize) {
        if let Some(held) = &mut self.held {
            let settled = messages.min(*held);
            *held -= settled;
            self.receiver.settle(settled);
        }
    }
}

fn writer_ended() -> TransportError {
    TransportError::new("a writer of the table panicked; please report this bug")
}

/// Runs the writers until they are no longer needed, or one of them panics.
async fn work(workers: Vec<Worker>) {
    let mut working: JoinSet<()> = JoinSet::new();
    for worker in workers {
        working.spawn_local(worker.write_all());
    }
    while let Some(Ok(())) = working.join_next().await {}
}

impl Worker {
    /// Writes batches until no sender or no receiver of results is left.
    async fn write_all(mut self) {
        let worker = self.index;
        while let Some((number, batch)) = self.batches.recv().await {
            let outcome = self.writer.write(&batch.rows(self.origin)).await;
            if self.answers.send(BatchResult { worker, number, batch, outcome }).is_err() {
                return;
            }
        }
    }
}
