//! Helpers for tests of following: tables of every kind, and their consumers.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use bench_core::clock::{Clock as _, SystemClock};
use bench_core::counts::Counts;
use bench_core::transport::{Receive as _, TransportError};
use bench_delta::receive::{DeltaReceiver, FollowConfig, FollowMode, TableStart};
use bench_delta::{DeltaError, Lake, PathStyle, S3Location};
use bench_testing::S3;
use deltalake::arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray};
use deltalake::kernel::{DataType, PrimitiveType, StructField};
use deltalake::logstore::object_store::{ObjectStoreExt as _, PutMode};
use deltalake::parquet::arrow::ArrowWriter;
use deltalake::parquet::file::properties::WriterProperties;
use deltalake::{DeltaTable, Path, checkpoints};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Time limit of each test.
pub(crate) const TIMEOUT: Duration = Duration::from_mins(1);

/// A table under test.
pub(crate) struct Table {
    pub(crate) lake: Lake,
    pub(crate) counts: Counts,
    pub(crate) runtime: Runtime,
    next: Cell<u64>,
    files: u64,
    /// When the table was created; each file is a millisecond younger than the one before.
    begun_ms: i64,
    _folder: Option<TempDir>,
}

impl Table {
    /// A table with the columns `key` and `value`, both binary.
    pub(crate) fn create() -> Self {
        let table = Self::nowhere();
        table.make(&[("key", PrimitiveType::Binary), ("value", PrimitiveType::Binary)], &[]);
        table
    }

    /// A folder for a table that does not exist yet.
    pub(crate) fn nowhere() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let counts = Counts::default();
        let lake = Lake::folder(&folder.path().join("table"), &counts).expect("a lake");
        Self::at(lake, counts, Some(folder))
    }

    /// A table at any location, not created yet.
    pub(crate) fn at(lake: Lake, counts: Counts, folder: Option<TempDir>) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        Self {
            lake,
            counts,
            runtime,
            next: Cell::new(1),
            files: 0,
            begun_ms: now_ms(),
            _folder: folder,
        }
    }

    /// Creates the table as version 0 with delta-rs.
    pub(crate) fn make(&self, columns: &[(&str, PrimitiveType)], partition_by: &[&str]) {
        let column = |(name, kind): &(&str, PrimitiveType)| {
            StructField::new((*name).to_owned(), DataType::Primitive(kind.clone()), true)
        };
        let retention = |name: &str| (name.to_owned(), Some("interval 0 seconds".to_owned()));
        let create = DeltaTable::new(self.lake.log_store())
            .create()
            .with_columns(columns.iter().map(column))
            .with_partition_columns(partition_by.iter().map(ToString::to_string))
            .with_configuration([retention("delta.deletedFileRetentionDuration")]);
        self.runtime.block_on(async { create.await }).expect("created");
    }

    /// Appends numbers as a version with one file: number n as `n` with key `n % 7`.
    pub(crate) fn append(&mut self, numbers: Range<u64>) -> u64 {
        self.append_as(numbers, &WriterProperties::default())
    }

    /// The same with these writer properties.
    pub(crate) fn append_as(&mut self, numbers: Range<u64>, properties: &WriterProperties) -> u64 {
        self.append_files(std::slice::from_ref(&numbers), properties)
    }

    /// The same as several files of one version.
    pub(crate) fn append_files(
        &mut self,
        files: &[Range<u64>],
        properties: &WriterProperties,
    ) -> u64 {
        let batches: Vec<_> = files.iter().map(|numbers| numbered(numbers.clone())).collect();
        self.append_batches(&batches, properties)
    }

    /// Appends these batches as one version, one file each.
    pub(crate) fn append_batches(
        &mut self,
        batches: &[RecordBatch],
        properties: &WriterProperties,
    ) -> u64 {
        let add = |batch: &RecordBatch| self.put_file(&file_of(batch, properties));
        let adds: Vec<Value> = batches.iter().map(add).collect();
        self.commit(&adds)
    }

    /// Stores a data file; returns the action that adds it.
    pub(crate) fn put_file(&mut self, bytes: &[u8]) -> Value {
        self.files += 1;
        let path = format!("part-{:05}.parquet", self.files);
        self.put(&path, bytes);
        let modified_ms = self.begun_ms + self.files.cast_signed();
        json!({"add": {
            "path": path, "size": bytes.len(), "partitionValues": {}, "dataChange": true,
            "modificationTime": modified_ms,
        }})
    }

    /// An object's content.
    pub(crate) fn get(&self, path: &str) -> Vec<u8> {
        let path = Path::from(path);
        let get = async { self.lake.store().get(&path).await?.bytes().await };
        self.runtime.block_on(get).expect("there").to_vec()
    }

    pub(crate) fn put(&self, path: &str, bytes: &[u8]) {
        let path = Path::from(path);
        let put = self.lake.store().put(&path, bytes.to_vec().into());
        self.runtime.block_on(put).expect("stored");
    }

    /// The same at a raw path, whatever characters it contains.
    pub(crate) fn put_raw(&self, path: &str, bytes: &[u8]) {
        let path = Path::parse(path).expect("a path");
        let put = self.lake.store().put(&path, bytes.to_vec().into());
        self.runtime.block_on(put).expect("stored");
    }

    /// Commits these actions as the next version.
    pub(crate) fn commit(&mut self, actions: &[Value]) -> u64 {
        let info = json!({"commitInfo": {"timestamp": now_ms(), "operation": "WRITE"}});
        let lines: Vec<String> = [&info].into_iter().chain(actions).map(Value::to_string).collect();
        loop {
            let version = self.next.replace(self.next.get() + 1);
            let path = Path::from(format!("_delta_log/{version:020}.json"));
            let entry = lines.join("\n");
            let store = self.lake.store();
            let put = store.put_opts(&path, entry.into_bytes().into(), PutMode::Create.into());
            let is_put = self.runtime.block_on(put).is_ok();
            if is_put {
                return version;
            }
        }
    }

    /// Loads the table with delta-rs.
    pub(crate) fn load(&self) -> DeltaTable {
        let mut table = DeltaTable::new(self.lake.log_store());
        self.runtime.block_on(table.load()).expect("loaded");
        table
    }

    /// Writes a checkpoint of the newest version.
    pub(crate) fn checkpoint(&self) {
        let table = self.load();
        self.runtime.block_on(checkpoints::create_checkpoint(&table, None)).expect("made");
    }

    /// Removes the entries before the last checkpoint.
    pub(crate) fn clean_up(&self) -> usize {
        let log_store = self.lake.log_store();
        let version = self.load().version().expect("a version");
        let clean_up = checkpoints::cleanup_expired_logs_for(
            version,
            log_store.as_ref(),
            now_ms() + 60_000,
            None,
        );
        // A removed version could be put again, and nobody would ever read it.
        self.next.set(version + 1);
        self.runtime.block_on(clean_up).expect("cleaned up")
    }

    /// Removes an object.
    pub(crate) fn remove(&self, path: &str) {
        self.runtime.block_on(self.lake.store().delete(&Path::from(path))).expect("removed");
    }

    /// Follows the table from `start`, polling often.
    pub(crate) fn follow(&self, start: TableStart) -> Following {
        self.try_follow(&config(start)).expect("connected")
    }

    pub(crate) fn try_follow(&self, config: &FollowConfig) -> Result<Following, DeltaError> {
        let (clock, counts) = (SystemClock::new(), Counts::default());
        let receiver = DeltaReceiver::connect(&self.lake, *config, clock, &counts)?;
        Ok(Following { receiver, clock, counts, received: Vec::new() })
    }

    /// The numbers from `start` to the end.
    pub(crate) fn numbers_from(&self, start: TableStart) -> Numbers {
        let mut following = self.follow(start);
        following.receive_to_the_end();
        following.numbers()
    }
}

/// A table on a server, below this prefix.
pub(crate) fn on_s3(s3: &S3, prefix: &str, counts: &Counts) -> Lake {
    let (bucket, prefix) = (s3.bucket().to_owned(), prefix.to_owned());
    let location = S3Location { bucket, prefix, style: PathStyle::Auto };
    Lake::s3(&location, &sdk(s3), counts).expect("a lake")
}

fn sdk(s3: &S3) -> SdkConfig {
    let keys = Credentials::new(s3.access_key(), s3.secret_key(), None, None, "test");
    let timeout = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(3));
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(s3.endpoint_url())
        .region(Region::new(s3.region().to_owned()))
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .timeout_config(timeout.build())
        .build()
}

/// A configuration that polls often.
pub(crate) fn config(start: TableStart) -> FollowConfig {
    FollowConfig {
        start,
        mode: FollowMode::NextVersion,
        poll_interval: Duration::from_millis(5),
        read_ahead_bytes: 64 << 20,
        wait_for_table: Duration::ZERO,
    }
}

/// A data file with these rows.
pub(crate) fn file_of(batch: &RecordBatch, properties: &WriterProperties) -> Vec<u8> {
    let mut file = Vec::new();
    let writer = ArrowWriter::try_new(&mut file, batch.schema(), Some(properties.clone()));
    let mut writer = writer.expect("a writer");
    writer.write(batch).expect("written");
    writer.close().expect("closed");
    file
}

/// Number n as `n` with key `n % 7`, and as a column of its own.
pub(crate) fn numbered(numbers: Range<u64>) -> RecordBatch {
    let text = |number: u64| number.to_string().into_bytes();
    let keys: Vec<_> = numbers.clone().map(|number| text(number % 7)).collect();
    let values: Vec<_> = numbers.clone().map(text).collect();
    columns([
        ("sequence", Arc::new(Int64Array::from_iter_values(numbers.map(u64::cast_signed)))),
        ("key", Arc::new(BinaryArray::from_iter_values(keys)) as ArrayRef),
        ("value", Arc::new(BinaryArray::from_iter_values(values))),
    ])
}

/// Rows with these columns.
pub(crate) fn columns<const N: usize>(columns: [(&str, ArrayRef); N]) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true)))
        .expect("columns of one length")
}

/// A column of text.
pub(crate) fn text<const N: usize>(rows: [Option<&str>; N]) -> ArrayRef {
    Arc::new(StringArray::from_iter(rows))
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("a time")
}

/// A consumer and the messages it received.
pub(crate) struct Following {
    pub(crate) receiver: DeltaReceiver,
    clock: SystemClock,
    counts: Counts,
    /// Keys and values.
    pub(crate) received: Vec<(Option<Vec<u8>>, Vec<u8>)>,
}

impl Following {
    /// Receives once, waiting briefly.
    pub(crate) fn receive_once(&mut self) -> Result<usize, TransportError> {
        let until_ns = self.clock.now_ns() + 3_000_000;
        let received = &mut self.received;
        self.receiver.receive(until_ns, |message| {
            received.push((message.key.map(<[u8]>::to_vec), message.value.to_vec()));
        })
    }

    /// Receives until `is_over`.
    pub(crate) fn receive_until(&mut self, is_over: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + TIMEOUT;
        while !is_over(self) {
            assert!(Instant::now() < deadline, "{} received", self.received.len());
            self.receive_once().expect("received");
        }
    }

    /// Receives until this many messages have arrived in all.
    pub(crate) fn receive(&mut self, messages: usize) {
        self.receive_until(|following| following.received.len() >= messages);
    }

    /// Receives everything up to the end.
    pub(crate) fn receive_to_the_end(&mut self) {
        self.receive_until(Self::is_at_end);
    }

    /// Whether everything up to the end has been received.
    pub(crate) fn is_at_end(&self) -> bool {
        self.receiver.at_end()
    }

    /// Receives until an error; returns it.
    pub(crate) fn receive_to_the_error(&mut self) -> String {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            assert!(Instant::now() < deadline, "{} received", self.received.len());
            if let Err(error) = self.receive_once() {
                return error.to_string();
            }
        }
    }

    /// The values as text.
    pub(crate) fn texts(&self) -> Vec<&str> {
        let values = self.received.iter().map(|(_, value)| value);
        values.map(|value| std::str::from_utf8(value).expect("text")).collect()
    }

    /// The values as numbers.
    pub(crate) fn numbers(&self) -> Numbers {
        Numbers(self.texts().into_iter().map(|text| text.parse().expect("a number")).collect())
    }

    /// The count of this name.
    pub(crate) fn count(&self, name: &str) -> u64 {
        let counts: BTreeMap<_, _> = self.counts.read();
        *counts.get(name).unwrap_or_else(|| panic!("no count {name}: {counts:?}"))
    }
}

/// The numbers in a range.
pub(crate) fn all(numbers: Range<u64>) -> Numbers {
    Numbers(numbers.collect())
}

/// Numbers in order of arrival, displayed as ranges.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Numbers(pub(crate) Vec<u64>);

impl fmt::Debug for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.0.chunk_by(|before, after| before + 1 == *after);
        let ends = runs.filter_map(|run| Some(*run.first()?..*run.last()? + 1));
        f.debug_list().entries(ends.take(20)).finish()?;
        write!(f, " ({} in all)", self.0.len())
    }
}
