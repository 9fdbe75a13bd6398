//! The publisher against tables in memory, in folders and on S3.

mod checkpoints;
mod commits;
mod faulty;
mod layout;
mod s3;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bench_core::clock::{Clock as _, SECOND_NS, SystemClock};
use bench_core::counts::Counts;
use bench_core::durations::Durations;
use bench_core::transport::{
    self, Batch, Completion, Delivery, Publish as _, Token, TransportError,
};
use deltalake::DeltaTable;
use deltalake::arrow::array::{Array as _, AsArray};
use deltalake::arrow::datatypes::{Int32Type, Int64Type};
use deltalake::logstore::object_store::ObjectStoreExt as _;
use deltalake::logstore::{commit_uri_from_version, object_store};
use deltalake::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio::runtime::Runtime;

use super::failure::FailureKind;
use super::{CommitPath, Compression, DeltaPublisher, PublishConfig};
use crate::table::Table;
use crate::{DeltaError, Lake};

/// Longer than any test takes on a busy machine.
const PATIENCE_NS: u64 = 120 * SECOND_NS;

/// A table, and the counts of its publishers.
struct Rig {
    lake: Lake,
    counts: Counts,
    durations: Durations,
    clock: SystemClock,
    runtime: Arc<Runtime>,
}

/// A row as it was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    producer: i32,
    sequence: i64,
    key: Option<Vec<u8>>,
    value: Vec<u8>,
}

/// A message to send.
type Message = (Option<Vec<u8>>, Vec<u8>);

fn config() -> PublishConfig {
    PublishConfig {
        producer: 3,
        commit_interval_ns: 5_000_000,
        commit: CommitPath::Direct,
        file_bytes_max: 1 << 20,
        rows_per_group: 1_000,
        compression: Compression::None,
        partition_by: Vec::new(),
        uploads_max: 4,
        checkpoint_every: None,
        log_retention: Duration::from_hours(30 * 24),
        give_up_ns: PATIENCE_NS,
    }
}

/// Messages of many sizes, some with keys.
fn messages(range: std::ops::Range<u32>) -> Vec<Message> {
    let message = |number: u32| {
        let key = (!number.is_multiple_of(3)).then(|| format!("k{}", number % 7).into_bytes());
        let value = number.to_le_bytes().repeat(1 + number as usize % 40);
        (key, value)
    };
    range.map(message).collect()
}

impl Rig {
    fn new(lake: impl FnOnce(&Counts) -> Lake) -> Self {
        let counts = Counts::default();
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime.worker_threads(1).enable_all();
        Self {
            lake: lake(&counts),
            counts,
            durations: Durations::default(),
            clock: SystemClock::new(),
            runtime: Arc::new(runtime.build().expect("a runtime")),
        }
    }

    fn in_folder(folder: &Path) -> Self {
        Self::new(|counts| Lake::folder(folder, counts).expect("a folder"))
    }

    fn create(&self, config: &PublishConfig) -> Result<Table, DeltaError> {
        self.runtime.block_on(Table::create(&self.lake, &config.partition_by))
    }

    fn connect(&self, config: PublishConfig) -> DeltaPublisher {
        DeltaPublisher::connect(&self.lake, config, self.clock, &self.counts, &self.durations)
            .expect("a publisher")
    }

    /// Publishes messages to the end, as the engine does.
    fn publish(&self, config: PublishConfig, messages: &[Message]) -> Sent {
        let mut sending = Sending::new(self.connect(config));
        sending.submit(messages).expect("still writing");
        sending.end()
    }

    fn count(&self, name: &str) -> u64 {
        self.counts.read().get(name).copied().unwrap_or_else(|| panic!("there is no {name}"))
    }

    /// The paths of the data files added by each version, in order.
    fn versions(&self) -> BTreeMap<u64, Vec<String>> {
        let mut versions = BTreeMap::new();
        for version in 0.. {
            let Some(text) = self.read(&commit_uri_from_version(Some(version))) else { break };
            let actions = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            let actions = actions.map(|line| {
                serde_json::from_slice::<serde_json::Value>(line).expect("an action in JSON")
            });
            let path = |action: serde_json::Value| Some(action["add"]["path"].as_str()?.to_owned());
            versions.insert(version, actions.filter_map(path).collect());
        }
        versions
    }

    fn read(&self, path: &object_store::path::Path) -> Option<Vec<u8>> {
        let get = async { self.lake.store().get(path).await?.bytes().await };
        match self.runtime.block_on(get) {
            Ok(bytes) => Some(bytes.to_vec()),
            Err(object_store::Error::NotFound { .. }) => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// All rows in the order of the log, from the files that delta-rs sees.
    fn rows(&self) -> Vec<Row> {
        let files: Vec<String> = self.versions().into_values().flatten().collect();
        let mut expected = files.clone();
        expected.sort();
        assert_eq!(self.files_of_snapshot(), expected);
        files.iter().flat_map(|path| self.rows_of(path)).collect()
    }

    fn files_of_snapshot(&self) -> Vec<String> {
        let mut table = DeltaTable::new(self.lake.log_store());
        self.runtime.block_on(table.load()).expect("a table");
        let state = table.snapshot().expect("a snapshot");
        let mut files: Vec<_> =
            state.log_data().iter().map(|file| file.path().into_owned()).collect();
        files.sort();
        files
    }

    fn rows_of(&self, path: &str) -> Vec<Row> {
        let bytes = self.read(&path.into()).expect("the file is there");
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes));
        let reader = reader.expect("a Parquet file").build().expect("a reader");
        let partition = path.split('/').find_map(|part| part.strip_prefix("producer="));
        let partition: Option<i32> = partition.map(|text| text.parse().expect("a number"));
        let mut rows = Vec::new();
        for batch in reader {
            let batch = batch.expect("rows");
            let column = |name: &str| batch.column_by_name(name).expect("a column");
            let producers =
                batch.column_by_name("producer").map(AsArray::as_primitive::<Int32Type>);
            let sequences = column("sequence").as_primitive::<Int64Type>();
            let keys = column("key").as_binary::<i32>();
            let values = column("value").as_binary::<i32>();
            rows.extend((0..batch.num_rows()).map(|place| Row {
                producer:
                    producers.map_or(partition, |column| Some(column.value(place))).expect("one"),
                sequence: sequences.value(place),
                key: keys.is_valid(place).then(|| keys.value(place).to_vec()),
                value: values.value(place).to_vec(),
            }));
        }
        rows
    }
}

/// The expected rows of a producer's messages.
fn expected(producer: i32, messages: &[Message]) -> Vec<Row> {
    let numbered = (0..).zip(messages);
    numbered
        .map(|(sequence, (key, value))| Row {
            producer,
            sequence,
            key: key.clone(),
            value: value.clone(),
        })
        .collect()
}

/// A publisher in use.
struct Sending {
    publisher: DeltaPublisher,
    clock: SystemClock,
    next: Token,
    completions: Vec<Completion>,
}

/// The results of the messages, and the publisher.
struct Sent {
    completions: BTreeMap<Token, Delivery>,
    publisher: DeltaPublisher,
    error: Option<TransportError>,
}

impl Sending {
    fn new(publisher: DeltaPublisher) -> Self {
        Self { publisher, clock: SystemClock::new(), next: 0, completions: Vec::new() }
    }

    /// Submits messages, and polls while there is no room for them.
    fn submit(&mut self, messages: &[Message]) -> Result<(), TransportError> {
        let mut batch = Batch::default();
        for (key, value) in messages {
            batch.push(
                self.next,
                |bytes| {
                    bytes.extend_from_slice(key.as_deref().unwrap_or_default());
                    key.is_some()
                },
                |bytes, _| bytes.extend_from_slice(value),
            );
            self.next += 1;
        }
        let deadline_ns = self.clock.now_ns() + PATIENCE_NS;
        while !batch.is_empty() {
            assert!(self.clock.now_ns() < deadline_ns, "no room for {} messages", batch.len());
            self.publisher.submit(&mut batch)?;
            self.poll_for(1_000_000)?;
        }
        Ok(())
    }

    fn poll_for(&mut self, duration_ns: u64) -> Result<(), TransportError> {
        let until_ns = self.clock.now_ns() + duration_ns;
        let before = self.completions.len();
        loop {
            self.publisher.poll(until_ns, &mut self.completions)?;
            if self.completions.len() > before || self.clock.now_ns() >= until_ns {
                return Ok(());
            }
        }
    }

    /// Polls until every message so far has its result.
    fn wait(&mut self) -> Result<(), TransportError> {
        let deadline_ns = self.clock.now_ns() + PATIENCE_NS;
        while self.completions.len() < self.next as usize {
            assert!(self.clock.now_ns() < deadline_ns, "outcomes are missing");
            self.poll_for(20_000_000)?;
        }
        Ok(())
    }

    fn end(mut self) -> Sent {
        let error = self.publisher.finish().and_then(|()| self.wait()).err();
        let mut completions = BTreeMap::new();
        for completion in self.completions {
            let before = completions.insert(completion.token, completion.delivery);
            assert_eq!(before, None, "message {} has two outcomes", completion.token);
        }
        Sent { completions, publisher: self.publisher, error }
    }
}

impl Sent {
    fn all_acked(&self, count: usize) -> bool {
        let all = (0..)
            .take(count)
            .all(|token| self.completions.get(&token) == Some(&Delivery::Acknowledged));
        all && self.completions.len() == count && self.error.is_none()
    }

    /// The failures, each once.
    fn failures(&self) -> Vec<transport::Failure> {
        let failures = self.completions.values().filter_map(|delivery| delivery.failure());
        let mut failures: Vec<_> = failures.collect();
        failures.sort_unstable();
        failures.dedup();
        failures
    }

    /// The only failure: its kind, whether the store did not answer, and the failure itself.
    fn only_failure(&self) -> (FailureKind, bool, transport::Failure) {
        let [failure] = self.failures()[..] else { panic!("{:?}", self.failures()) };
        let known = self.publisher.failures.get(failure).expect("a reported failure");
        (known.kind, known.is_unanswered, failure)
    }
}
