//! Reading rows as the engine's [`Receive`] transport.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bench_aws::SdkConfig;
use bench_core::audit::{SequenceSet, StreamId};
use bench_core::clock::{Clock as _, InstantNs, SystemClock};
use bench_core::counts::{Count, Counts};
use bench_core::transport::{Incoming, Receive, Timestamps, TransportError};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::dynamodb::DynamodbSource;
use crate::error::TableError;
use crate::mysql::{MysqlSource, MysqlUrl};
use crate::pending::{LandingTime, Pending, ReadyRow, RunBatch};
use crate::selection::{Selection, Until};
use crate::stored::{Page, StoredRow};

/// Limit on bytes of messages waiting for confirmations; beyond it, no more are read.
const PENDING_MAX_BYTES: usize = 64 << 20;

/// Sets of rows ready for the engine.
const READY_MAX: usize = 2;

/// Time between polls for new rows and confirmations. A row's instants are its writer's, so this
/// does not affect latencies.
const POLL: Duration = Duration::from_millis(100);

/// Reads landed rows.
///
/// A row is handed over with the instant at which its writer received it (`received_ns`) and the
/// instant at which its write was confirmed (`landed_ns`). It waits some seconds for the
/// confirmation. Without one, the row landed when it was seen if it appeared after this reader had
/// started, and at an unknown instant otherwise; both are counted.
#[derive(Debug)]
pub struct TableReceiver {
    clock: SystemClock,
    runtime: Runtime,
    rows: Receiver<ReadResult>,
    /// Whether the reading task knows of rows that it has not passed on.
    is_behind: Arc<AtomicBool>,
    at_end: bool,
    counts: ReadCounts,
}

/// A reader's counts.
#[derive(Debug)]
struct ReadCounts {
    unconfirmed: Count,
    of_another_size: Option<(usize, Count)>,
}

/// A result of the reading task.
type ReadResult = Result<ReadEvent, TableError>;

#[derive(Debug)]
enum ReadEvent {
    Rows(Vec<ReadyRow>),
    AtEnd,
}

/// The reading task's channel to the receiver.
struct EventSender {
    sender: Sender<ReadResult>,
    is_behind: Arc<AtomicBool>,
}

impl EventSender {
    /// Sends an event; returns whether the receiver still exists.
    async fn send(&self, told: ReadEvent) -> bool {
        self.sender.send(Ok(told)).await.is_ok()
    }
}

/// The source of rows.
#[derive(Debug)]
pub(crate) enum Source {
    Dynamodb(DynamodbSource),
    Mysql(Box<MysqlSource>),
}

impl Source {
    /// Reads the next page.
    async fn next(&mut self) -> Result<Page, TableError> {
        match self {
            Self::Dynamodb(source) => source.next().await,
            Self::Mysql(source) => source.next().await,
        }
    }

    /// The existing confirmations of these batches.
    async fn confirmations(
        &mut self,
        wanted: &[RunBatch],
    ) -> Result<Vec<(RunBatch, bench_core::clock::Stamp)>, TableError> {
        match self {
            Self::Dynamodb(source) => source.confirmations(wanted).await,
            Self::Mysql(source) => source.confirmations(wanted).await,
        }
    }
}

impl TableReceiver {
    /// Reads a table of `DynamoDB`. With all runs selected, it reads to the end and does not
    /// follow.
    pub fn dynamodb(
        config: &SdkConfig,
        table: &str,
        selection: Selection,
        until: Until,
        clock: SystemClock,
        counts: &Counts,
    ) -> Result<Self, TableError> {
        // A scan has no order in which to continue.
        let until = if selection == Selection::All { Until::End } else { until };
        let source = DynamodbSource::new(config, table, selection, until != Until::End)?;
        Self::start(Source::Dynamodb(source), until, clock, counts)
    }

    /// Reads a table of `MySQL`.
    pub fn mysql(
        url: &MysqlUrl,
        table: &str,
        selection: Selection,
        until: Until,
        clock: SystemClock,
        counts: &Counts,
    ) -> Result<Self, TableError> {
        let source = MysqlSource::new(url, table, selection, until != Until::End)?;
        Self::start(Source::Mysql(Box::new(source)), until, clock, counts)
    }

    /// Counts messages whose size differs from `size_bytes`.
    #[must_use]
    pub fn expecting_size(mut self, size_bytes: usize, counts: &Counts) -> Self {
        self.counts.of_another_size = Some((size_bytes, counts.count("rows_of_another_size")));
        self
    }

    fn start(
        source: Source,
        until: Until,
        clock: SystemClock,
        counts: &Counts,
    ) -> Result<Self, TableError> {
        let runtime = runtime()?;
        let (sender, rows) = channel(READY_MAX);
        // Rows that appear from now on are new to this reader.
        let pending = Pending::new(clock);
        // Assume there are rows until the first read.
        let is_behind = Arc::new(AtomicBool::new(true));
        let events = EventSender { sender, is_behind: Arc::clone(&is_behind) };
        runtime.spawn(async move {
            if let Err(error) = read(source, pending, until, clock, &events).await {
                // If the receiver is gone, nobody needs the error.
                let _ = events.sender.send(Err(error)).await;
            }
        });
        let unconfirmed = counts.count("rows_unconfirmed");
        let counts = ReadCounts { unconfirmed, of_another_size: None };
        Ok(Self { clock, runtime, rows, is_behind, at_end: false, counts })
    }

    /// The reading task's next result, if it arrives in time. The task makes progress only during
    /// this call.
    fn wait(&mut self, until_ns: InstantNs) -> Option<ReadResult> {
        let wait = Duration::from_nanos(until_ns.saturating_sub(self.clock.now_ns()));
        self.runtime
            .block_on(async { tokio::time::timeout(wait, self.rows.recv()).await })
            .ok()
            .flatten()
    }
}

impl Receive for TableReceiver {
    fn receive(
        &mut self,
        until_ns: InstantNs,
        mut sink: impl FnMut(Incoming<'_>),
    ) -> Result<usize, TransportError> {
        if self.at_end {
            self.clock.sleep_until_ns(until_ns);
            return Ok(0);
        }
        match self.wait(until_ns) {
            None => Ok(0),
            Some(Ok(ReadEvent::AtEnd)) => {
                self.at_end = true;
                Ok(0)
            }
            Some(Ok(ReadEvent::Rows(rows))) => {
                for ready in &rows {
                    self.counts.note(ready);
                    sink(incoming(ready, self.clock));
                }
                Ok(rows.len())
            }
            Some(Err(error)) => Err(TransportError::new(error.to_string())),
        }
    }

    fn at_end(&self) -> bool {
        self.at_end
    }

    fn is_behind(&self) -> bool {
        !self.at_end && (self.is_behind.load(Ordering::Relaxed) || !self.rows.is_empty())
    }

    fn waits_for(&self) -> Option<String> {
        None
    }

    fn hold_back(&mut self) {}

    fn settle(&mut self, _: usize) {}
}

impl ReadCounts {
    fn note(&self, ready: &ReadyRow) {
        if !matches!(ready.landing, LandingTime::Confirmed(_)) {
            self.unconfirmed.add(1);
        }
        if let Some((size_bytes, count)) = &self.of_another_size
            && ready.row.message.len() != *size_bytes
        {
            count.add(1);
        }
    }
}

/// The row in the engine's form.
fn incoming(ready: &ReadyRow, clock: SystemClock) -> Incoming<'_> {
    let ReadyRow { row, landing } = ready;
    let origin = clock.origin();
    let landed_ns = match landing {
        LandingTime::Confirmed(at) => Some(at.to_clock(origin)),
        LandingTime::Seen(seen_ns) => Some(*seen_ns),
        LandingTime::Unknown => None,
    };
    let is_foreign = |boot| boot != origin.boot;
    let by_wall_clock = is_foreign(row.received.origin.boot)
        || matches!(landing, LandingTime::Confirmed(at) if is_foreign(at.origin.boot));
    let arrived_ns = row.arrived_wall_ms.map(|arrived_ms| {
        let arrived_ns = arrived_ms.saturating_mul(1_000_000);
        arrived_ns.wrapping_sub(origin.wall_offset_ns).cast_unsigned()
    });
    Incoming {
        key: row.key.as_deref(),
        value: &row.message,
        partition: row.partition,
        received_ns: row.received.to_clock(origin),
        timestamps: Timestamps { arrived_ns, landed_ns, by_wall_clock },
    }
}

/// Reads rows and their confirmations and passes them on, to the end or forever.
async fn read(
    mut source: Source,
    mut pending: Pending,
    until: Until,
    clock: SystemClock,
    events: &EventSender,
) -> Result<(), TableError> {
    let mut distinct = Distinct::default();
    let mut at_end = false;
    loop {
        // With too many waiting rows, only confirmations are read.
        let reads_on = pending.bytes() < PENDING_MAX_BYTES && !(at_end && until == Until::End);
        if reads_on {
            let page = source.next().await?;
            at_end = page.at_end;
            let seen_ns = clock.now_ns();
            page.rows.into_iter().for_each(|row| pending.push(row, seen_ns));
        }
        let wanted = pending.wanted();
        for (batch, at) in source.confirmations(&wanted).await? {
            pending.confirm(batch, at);
        }
        let mut ready = pending.take_ready();
        let is_behind = !at_end || !pending.is_empty();
        if !ready.is_empty() {
            ready.sort_by_key(|ready| ready.row.received.to_clock(clock.origin()).cast_signed());
            if matches!(until, Until::Distinct(_)) {
                for ReadyRow { row, .. } in &ready {
                    distinct.insert(row);
                }
            }
            if !events.send(ReadEvent::Rows(ready)).await {
                return Ok(());
            }
        }
        events.is_behind.store(is_behind, Ordering::Relaxed);
        let is_over = match until {
            Until::End => at_end,
            // Duplicates may follow the expected rows.
            Until::Distinct(expected) => at_end && distinct.len() >= expected,
            Until::Never => false,
        };
        if is_over && pending.is_empty() {
            events.send(ReadEvent::AtEnd).await;
            return Ok(());
        }
        if at_end || !reads_on {
            tokio::time::sleep(POLL).await;
        }
    }
}

/// A runtime for one task at a time.
fn runtime() -> Result<Runtime, TableError> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|source| TableError::Runtime { source })
}

/// The distinct messages read.
#[derive(Default)]
struct Distinct(BTreeMap<StreamId, SequenceSet>);

impl Distinct {
    fn insert(&mut self, row: &StoredRow) {
        if let Some(run) = row.run {
            let set = self.0.entry(StreamId { run, producer: row.producer }).or_default();
            set.insert_range(row.sequence, row.sequence);
        }
    }

    fn len(&self) -> u64 {
        self.0.values().map(SequenceSet::len).sum()
    }
}
