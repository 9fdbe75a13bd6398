//! Where the tests' tables are, and what is put into them.

use std::collections::BTreeMap;

use bench_aws::SdkConfig;
use bench_core::clock::{Clock as _, SECOND_NS, Stamp, SystemClock};
use bench_core::counts::Counts;
use bench_core::message::RunId;
use bench_core::transport::Receive as _;
use bench_stack::StackOptions;
use bench_tables::dynamodb::{Billing, DynamodbAdmin, DynamodbWriter};
use bench_tables::mysql::{MysqlAdmin, MysqlUrl, MysqlWriter};
use bench_tables::{Row, Selection, TableReceiver, TableWriter, Until, WriterOptions, Written};
use bench_testing::TestStack;
use clap::Parser;
use embedded_dynamodb::{DynamodbServer, serve_in_background};
use tokio::runtime::{Builder, Runtime};

/// Longest time for anything that is waited for.
pub(crate) const PATIENCE_NS: u64 = 60 * SECOND_NS;

/// Enough for one thing at a time, as the readers and the Lambda functions have it.
pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// What a table is in.
pub(crate) enum Place {
    Dynamodb { config: Box<SdkConfig>, server: DynamodbServer },
    Mysql { url: MysqlUrl, stack: Box<TestStack> },
}

impl Place {
    /// `DynamoDB` in this process.
    pub(crate) fn dynamodb() -> Self {
        let server = serve_in_background().expect("it serves");
        let config = Box::new(config(server.endpoint_url()));
        Self::Dynamodb { config, server }
    }

    /// A database that the tests of this process share, where the machine has a server.
    pub(crate) fn mysql(test: &str) -> Option<Self> {
        let stack = bench_testing::local(test, &StackOptions::of(["mysql"]))?;
        let url = MysqlUrl::parse(stack.variable("MYSQL_URL")).expect("an address");
        Some(Self::Mysql { url, stack: Box::new(stack) })
    }

    /// Both, as far as this machine has them.
    pub(crate) fn all(test: &str) -> Vec<Self> {
        std::iter::once(Self::dynamodb()).chain(Self::mysql(test)).collect()
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Dynamodb { .. } => "dynamodb",
            Self::Mysql { .. } => "mysql",
        }
    }

    /// Makes an empty table.
    pub(crate) fn create(&self, table: &str) {
        runtime().block_on(async {
            match self {
                Self::Dynamodb { config, .. } => {
                    let admin = DynamodbAdmin::new(config);
                    admin.delete(table).await.expect("deleted");
                    admin.create(table, Billing::OnDemand).await.expect("created");
                }
                Self::Mysql { url, .. } => {
                    let mut admin = MysqlAdmin::connect(url, TIMEOUT).await.expect("connected");
                    admin.delete(table).await.expect("deleted");
                    admin.create(table).await.expect("created");
                }
            }
        });
    }

    pub(crate) async fn writer(&self, table: &str, options: Option<WriterOptions>) -> TableWriter {
        let clock = SystemClock::new();
        match self {
            Self::Dynamodb { config, .. } => {
                let options = options.unwrap_or_else(WriterOptions::dynamodb);
                let writer = DynamodbWriter::new(config, table, options, clock);
                TableWriter::Dynamodb(writer.expect("a writer"))
            }
            Self::Mysql { url, .. } => {
                let options = options.unwrap_or_else(WriterOptions::mysql);
                let writer = MysqlWriter::connect(url, table, options, clock).await;
                TableWriter::Mysql(writer.expect("a writer"))
            }
        }
    }

    pub(crate) fn read(&self, table: &str, selection: Selection, until: Until) -> Reading {
        let (clock, counts) = (SystemClock::new(), Counts::default());
        let receiver = match self {
            Self::Dynamodb { config, .. } => {
                TableReceiver::dynamodb(config, table, selection, until, clock, &counts)
            }
            Self::Mysql { url, .. } => {
                TableReceiver::mysql(url, table, selection, until, clock, &counts)
            }
        };
        Reading { receiver: receiver.expect("a reader"), clock, counts }
    }
}

const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// How clients of a stand-in are configured.
pub(crate) fn config(endpoint_url: &str) -> SdkConfig {
    #[derive(Parser)]
    struct Tool {
        #[command(flatten)]
        aws: bench_aws::AwsArgs,
    }
    Tool::parse_from(["test", "--timeout", "5s"]).aws.embedded_config(endpoint_url)
}

/// A reader at work.
pub(crate) struct Reading {
    pub(crate) receiver: TableReceiver,
    pub(crate) clock: SystemClock,
    pub(crate) counts: Counts,
}

/// What was read: by producer and sequence number how often, and the rest of each last one.
pub(crate) type Found = BTreeMap<Vec<u8>, Vec<FoundRow>>;

/// What is known of a row.
#[derive(Debug, Clone)]
pub(crate) struct FoundRow {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) partition: u32,
    pub(crate) received_ns: u64,
    pub(crate) arrived_ns: Option<u64>,
    pub(crate) landed_ns: Option<u64>,
}

impl Reading {
    /// Reads to the end, and tells the rows by their messages.
    pub(crate) fn read_to_end(&mut self) -> Found {
        let mut found = Found::new();
        let deadline_ns = self.clock.now_ns() + PATIENCE_NS;
        while !self.receiver.at_end() {
            assert!(self.clock.now_ns() < deadline_ns, "no end after {} messages", found.len());
            self.some(&mut found);
        }
        found
    }

    /// Reads until more is known to be there, or is not.
    pub(crate) fn until(&mut self, is_behind: bool, found: &mut Found) {
        let deadline_ns = self.clock.now_ns() + PATIENCE_NS;
        while self.receiver.is_behind() != is_behind {
            assert!(self.clock.now_ns() < deadline_ns, "{} found", found.len());
            self.some(found);
        }
    }

    /// Reads a little.
    pub(crate) fn some(&mut self, found: &mut Found) -> usize {
        let until_ns = self.clock.now_ns() + 20_000_000;
        let received = self.receiver.receive(until_ns, |incoming| {
            let row = FoundRow {
                key: incoming.key.map(<[u8]>::to_vec),
                partition: incoming.partition,
                received_ns: incoming.received_ns,
                arrived_ns: incoming.stamps.arrived_ns,
                landed_ns: incoming.stamps.landed_ns,
            };
            found.entry(incoming.value.to_vec()).or_default().push(row);
        });
        received.expect("rows")
    }

    pub(crate) fn count(&self, name: &str) -> u64 {
        self.counts.read().get(name).copied().unwrap_or_default()
    }
}

/// Messages of a run with all kinds of bytes, no two alike.
pub(crate) struct Messages {
    pub(crate) run: RunId,
    pub(crate) clock: SystemClock,
    pub(crate) all: Vec<Vec<u8>>,
}

impl Messages {
    pub(crate) fn new(run: u64, count: u64, size_bytes: usize) -> Self {
        let message = |sequence: u64| {
            let mut message: Vec<u8> =
                (0..size_bytes).map(|at| (at * 7 + at / 256).to_le_bytes()[0]).collect();
            message[..8].copy_from_slice(&sequence.to_le_bytes());
            message
        };
        let all = (0..count).map(message).collect();
        Self { run: RunId::from_bits(run), clock: SystemClock::new(), all }
    }

    /// All of them as rows, of three producers in turn.
    pub(crate) fn rows(&self) -> Vec<Row<'_>> {
        let received = Stamp::now(&self.clock);
        let mut rows = Vec::new();
        for (sequence, message) in (0_u16..).zip(&self.all) {
            rows.push(Row {
                run: Some(self.run),
                producer: sequence % 3,
                sequence: sequence.into(),
                key: (sequence % 2 == 0).then_some(&message[..3]),
                message,
                partition: u32::from(sequence % 4),
                received,
                arrived_wall_ms: Some(ARRIVED_MS),
            });
        }
        rows
    }

    /// That each was found once, whole, with all that belongs to it.
    pub(crate) fn assert_found_once(&self, found: &Found) {
        assert_eq!(found.len(), self.all.len());
        for row in self.rows() {
            let [found] = &found[row.message][..] else {
                panic!("message {} was found more than once", row.sequence)
            };
            assert_eq!(found.key.as_deref(), row.key);
            assert_eq!(found.partition, row.partition);
            let origin = self.clock.origin();
            let arrived_ns = found.arrived_ns.expect("told").cast_signed();
            let wall_ns = arrived_ns.wrapping_add(origin.wall_offset_ns);
            // The offset was taken by another clock of this process.
            assert!(wall_ns.abs_diff(ARRIVED_MS * 1_000_000) < SECOND_NS, "{wall_ns}");
            let landed_ns = found.landed_ns.expect("known");
            assert!(landed_ns >= found.received_ns, "{found:?}");
            assert!(landed_ns <= self.clock.now_ns());
        }
    }
}

const ARRIVED_MS: i64 = 1_700_000_000_123;

/// Positions that landed, in order.
pub(crate) fn landed(written: &Written) -> Vec<usize> {
    written.landed.iter().flat_map(|(rows, _)| rows.clone()).collect()
}
