//! Reading rows as the engine's [`Receive`] transport.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bench_aws::SdkConfig;
use bench_core::audit::{SequenceSet, StreamId};
use bench_core::clock::{Clock as _, InstantNs, SystemClock};
use bench_core::counts::{Count, Counts};
use bench_core::message::RunId;
use bench_core::transport::{Incoming, Receive, Timestamps, TransportError};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::admin::runtime;
use crate::dynamodb::DynamodbSource;
use crate::error::TableError;
use crate::mysql::{MysqlSource, MysqlUrl};
use crate::pending::{Landing, Pending, ReadyRow, RunBatch};
use crate::stored::StoredRow;

/// Bytes of messages that may wait for their confirmations; beyond, no more are read.
const PENDING_MAX_BYTES: usize = 64 << 20;

/// Portions of rows that lie ready for the engine.
const READY_MAX: usize = 2;

/// How often a table is looked at for new rows, and for confirmations. The instants of rows are
/// their writers', so this does not show in any latency.
const POLL: Duration = Duration::from_millis(100);

/// Which rows to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// Those of one run.
    Run(RunId),
    /// Those of all runs; what is no message of the benchmark too.
    All,
}

/// When a reader is at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// When it has read what was there when it came to the end of the table.
    End,
    /// When it has come to the end of the table and has read so many different messages; it follows
    /// until then.
    Distinct(u64),
    /// Never: it follows.
    Never,
}

/// Reads landed rows.
///
/// A row is handed over with the instant at which its writer was handed it (`received_ns`) and the
/// one at which its write was confirmed (`landed_ns`). It waits some seconds for the confirmation.
/// When none comes, the row landed when it was seen, if it came while this reader was looking, and
/// at no known instant otherwise; both are counted.
#[derive(Debug)]
pub struct TableReceiver {
    clock: SystemClock,
    runtime: Runtime,
    rows: Receiver<Portion>,
    /// Whether the reading task knows of rows that it has not told.
    is_behind: Arc<AtomicBool>,
    at_end: bool,
    counts: ReadCounts,
}

/// What a reader counts.
#[derive(Debug)]
struct ReadCounts {
    unconfirmed: Count,
    of_another_size: Option<(usize, Count)>,
}

/// Of what the reading task tells the receiver.
type Portion = Result<Told, TableError>;

#[derive(Debug)]
enum Told {
    Rows(Vec<ReadyRow>),
    AtEnd,
}

/// The reading task's way to the receiver.
struct Telling {
    sender: Sender<Portion>,
    is_behind: Arc<AtomicBool>,
}

impl Telling {
    /// Whether there is still a receiver.
    async fn tell(&self, told: Told) -> bool {
        self.sender.send(Ok(told)).await.is_ok()
    }
}

/// Where rows come from.
#[derive(Debug)]
pub(crate) enum Source {
    Dynamodb(DynamodbSource),
    Mysql(Box<MysqlSource>),
}

/// Rows that were read at once.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) rows: Vec<StoredRow>,
    /// Whether everything that was there has been read.
    pub(crate) at_end: bool,
}

impl Source {
    /// Reads on.
    async fn next(&mut self) -> Result<Page, TableError> {
        match self {
            Self::Dynamodb(source) => source.next().await,
            Self::Mysql(source) => source.next().await,
        }
    }

    /// The confirmations that are there of these batches.
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
    /// Reads a table of `DynamoDB`. All runs are read to the end and not followed.
    pub fn dynamodb(
        config: &SdkConfig,
        table: &str,
        selection: Selection,
        until: Until,
        clock: SystemClock,
        counts: &Counts,
    ) -> Result<Self, TableError> {
        // A scan has no order in which to go on.
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

    /// Counts the messages whose size, bytes, is not this one.
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
        // From now on this reader looks.
        let pending = Pending::new(clock);
        // Until it has looked, nobody knows what there is.
        let is_behind = Arc::new(AtomicBool::new(true));
        let telling = Telling { sender, is_behind: Arc::clone(&is_behind) };
        runtime.spawn(async move {
            if let Err(error) = read(source, pending, until, clock, &telling).await {
                // A receiver that is gone has nobody left to tell.
                let _ = telling.sender.send(Err(error)).await;
            }
        });
        let unconfirmed = counts.count("rows_unconfirmed");
        let counts = ReadCounts { unconfirmed, of_another_size: None };
        Ok(Self { clock, runtime, rows, is_behind, at_end: false, counts })
    }

    /// What the reading task tells, if it tells something in time. The task goes on only meanwhile.
    fn wait(&mut self, until_ns: InstantNs) -> Option<Portion> {
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
            Some(Ok(Told::AtEnd)) => {
                self.at_end = true;
                Ok(0)
            }
            Some(Ok(Told::Rows(rows))) => {
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
        if !matches!(ready.landing, Landing::Confirmed(_)) {
            self.unconfirmed.add(1);
        }
        if let Some((size_bytes, count)) = &self.of_another_size
            && ready.row.message.len() != *size_bytes
        {
            count.add(1);
        }
    }
}

/// A row as the engine takes it.
fn incoming(ready: &ReadyRow, clock: SystemClock) -> Incoming<'_> {
    let ReadyRow { row, landing } = ready;
    let origin = clock.origin();
    let landed_ns = match landing {
        Landing::Confirmed(at) => Some(at.to_clock(origin)),
        Landing::Seen(seen_ns) => Some(*seen_ns),
        Landing::Unknown => None,
    };
    let is_foreign = |boot| boot != origin.boot;
    let by_wall_clock = is_foreign(row.received.origin.boot)
        || matches!(landing, Landing::Confirmed(at) if is_foreign(at.origin.boot));
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

/// Reads rows and their confirmations, and tells them, to the end or for ever.
async fn read(
    mut source: Source,
    mut pending: Pending,
    until: Until,
    clock: SystemClock,
    telling: &Telling,
) -> Result<(), TableError> {
    let mut distinct = Distinct::default();
    let mut at_end = false;
    loop {
        // With too many rows waiting, only confirmations are read.
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
            if !telling.tell(Told::Rows(ready)).await {
                return Ok(());
            }
        }
        telling.is_behind.store(is_behind, Ordering::Relaxed);
        let is_over = match until {
            Until::End => at_end,
            // Rows that are there twice may stand behind those that were expected.
            Until::Distinct(expected) => at_end && distinct.len() >= expected,
            Until::Never => false,
        };
        if is_over && pending.is_empty() {
            telling.tell(Told::AtEnd).await;
            return Ok(());
        }
        if at_end || !reads_on {
            tokio::time::sleep(POLL).await;
        }
    }
}

/// The different messages that were read.
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
