//! Measures how fast a table in a folder is followed: a backlog, file by file, and idle.
//!
//! `cargo run --release -p bench-delta --example follow_rate`

use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bench_core::clock::{Clock as _, SystemClock};
use bench_core::counts::Counts;
use bench_core::transport::Receive as _;
use bench_delta::Lake;
use bench_delta::receive::{DeltaReceiver, FollowConfig, FollowMode, TableStart};
use deltalake::DeltaTable;
use deltalake::arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch};
use deltalake::kernel::{DataType, PrimitiveType, StructField};
use deltalake::logstore::object_store::{ObjectStoreExt as _, PutMode};
use deltalake::parquet::arrow::ArrowWriter;
use deltalake::parquet::basic::Encoding;
use deltalake::parquet::file::properties::{EnabledStatistics, WriterProperties};
use tokio::runtime::Runtime;

const MESSAGE_BYTES: usize = 100;

fn main() {
    for (versions, rows) in [(1_000, 1_000), (1_000, 10_000), (40, 250_000)] {
        catch_up(versions, rows);
    }
    keep_up(500, 2_500, Duration::from_millis(10));
}

/// Reads a whole table.
fn catch_up(versions: u64, rows: usize) {
    let table = Table::create();
    let file = file_of(rows);
    for version in 1..=versions {
        table.append(version, &file);
    }
    let counts = Counts::default();
    let mut follower = table.follow(TableStart::Beginning, Duration::from_millis(10), &counts);
    let clock = SystemClock::new();
    let (started, mut messages, mut bytes) = (Instant::now(), 0, 0);
    while !follower.at_end() {
        let until_ns = clock.now_ns() + 100_000_000;
        let received =
            follower.receive(until_ns, |message| bytes += black_box(message.value).len());
        messages += received.expect("received");
    }
    let took = started.elapsed().as_secs_f64();
    assert_eq!(messages as u64, versions * rows as u64);
    let rate = messages as f64 / took / 1e6;
    say(&format!(
        "{versions} versions of {rows} rows ({bytes} B): {took:.3} s, {rate:.2} M messages/s, {} gets",
        table.counts.read()["get_requests"]
    ));
}

/// Receives versions as they arrive, and then nothing for a second.
fn keep_up(versions: u64, rows: usize, poll_interval: Duration) {
    let table = Table::create();
    let file = file_of(rows);
    let counts = Counts::default();
    let mut follower = table.follow(TableStart::End, poll_interval, &counts);
    let clock = SystemClock::new();
    let mut latencies_us = Vec::new();
    for version in 1..=versions {
        std::thread::sleep(Duration::from_micros(5_000 + version * 37 % 10_000));
        table.append(version, &file);
        let committed_ns = clock.now_ns();
        let mut messages = 0;
        while messages < rows {
            let received = follower.receive(clock.now_ns() + 1_000_000_000, |_| ());
            messages += received.expect("received");
        }
        latencies_us.push((clock.now_ns() - committed_ns) / 1_000);
    }
    latencies_us.sort_unstable();
    let at = |share: usize| latencies_us[latencies_us.len() * share / 100];
    let before = table.counts.read()["get_requests"];
    let idle_until_ns = clock.now_ns() + 1_000_000_000;
    while clock.now_ns() < idle_until_ns {
        follower.receive(idle_until_ns, |_| ()).expect("nothing");
    }
    say(&format!(
        "a version of {rows} rows from commit to receipt: p50 {} us, p99 {} us, polling every \
         {poll_interval:?}; {} gets in an idle second",
        at(50),
        at(99),
        table.counts.read()["get_requests"] - before
    ));
}

fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("standard output");
}

struct Table {
    lake: Lake,
    counts: Counts,
    runtime: Runtime,
    _folder: tempfile::TempDir,
}

impl Table {
    fn create() -> Self {
        let folder = tempfile::tempdir_in(scratch()).expect("a folder");
        let counts = Counts::default();
        let lake = Lake::folder(folder.path(), &counts).expect("a lake");
        let runtime = Runtime::new().expect("a runtime");
        let column = |name: &str| {
            StructField::new(name.to_owned(), DataType::Primitive(PrimitiveType::Binary), true)
        };
        let create = DeltaTable::new(lake.log_store()).create();
        let create = create.with_columns([column("key"), column("value")]);
        runtime.block_on(async { create.await }).expect("created");
        Self { lake, counts, runtime, _folder: folder }
    }

    fn append(&self, version: u64, file: &[u8]) {
        let store = self.lake.store();
        let path = format!("{version}.parquet");
        let entry = format!(
            "{{\"add\":{{\"path\":\"{path}\",\"size\":{},\"dataChange\":true,\
             \"partitionValues\":{{}},\"modificationTime\":{version}}}}}",
            file.len()
        );
        let entry_path = format!("_delta_log/{version:020}.json").into();
        self.runtime.block_on(async {
            store.put(&path.into(), file.to_vec().into()).await.expect("stored");
            let put =
                store.put_opts(&entry_path, entry.into_bytes().into(), PutMode::Create.into());
            put.await.expect("committed");
        });
    }

    fn follow(&self, start: TableStart, poll: Duration, counts: &Counts) -> DeltaReceiver {
        let config = FollowConfig {
            start,
            mode: FollowMode::NextVersion,
            poll_interval: poll,
            read_ahead_bytes: 64 << 20,
            wait_for_table: Duration::ZERO,
        };
        let clock = SystemClock::new();
        DeltaReceiver::connect(&self.lake, config, clock, counts).expect("connected")
    }
}

/// A folder in memory, if there is one.
fn scratch() -> &'static Path {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory } else { Path::new(".") }
}

/// A file of messages, in the format of a producer.
fn file_of(rows: usize) -> Vec<u8> {
    let rows_of_bytes = std::iter::repeat_n([7_u8; MESSAGE_BYTES], rows);
    let sequence = Int64Array::from_iter_values((0_i64..).take(rows));
    let columns: [(&str, ArrayRef); 2] = [
        ("sequence", Arc::new(sequence)),
        ("value", Arc::new(BinaryArray::from_iter_values(rows_of_bytes))),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_column_encoding("sequence".into(), Encoding::DELTA_BINARY_PACKED)
        .build();
    let mut file = Vec::new();
    let writer = ArrowWriter::try_new(&mut file, batch.schema(), Some(properties));
    let mut writer = writer.expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
    file
}
