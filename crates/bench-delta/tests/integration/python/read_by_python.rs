//! Python reads what we write.

use std::ops::Range;
use std::path::Path;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use bench_core::clock::{Clock as _, SystemClock, duration_ns};
use bench_core::counts::Counts;
use bench_core::durations::Durations;
use bench_core::transport::{Batch, Publish as _};
use bench_delta::maintenance::{optimize, vacuum};
use bench_delta::publish::{CommitPath, Compression, DeltaPublisher, PublishConfig};
use bench_delta::schema::PartitionColumn;
use bench_delta::{Lake, Table};

use super::package::{self, Row};
use super::{Message, PATIENCE, lake};

/// A producer's message: keys of every kind, values of many sizes.
fn message(producer: u16, sequence: u32) -> Message {
    let key = match sequence % 4 {
        0 => None,
        1 => Some(Vec::new()),
        _ => Some(format!("key {}", sequence % 11).into_bytes()),
    };
    let size = usize::try_from(sequence % 150).expect("small");
    let value = (0..size).map(|at| (at * 7 + usize::from(producer) + size).to_le_bytes()[0]);
    (key, value.collect())
}

fn config(producer: u16) -> PublishConfig {
    PublishConfig {
        producer,
        commit_interval_ns: duration_ns(Duration::from_millis(100)),
        commit: CommitPath::Direct,
        file_bytes_max: 1 << 20,
        rows_per_group: 1_000,
        compression: Compression::None,
        partition_by: Vec::new(),
        uploads_max: 4,
        checkpoint_every: None,
        log_retention: Duration::from_hours(24),
        give_up_ns: duration_ns(PATIENCE),
    }
}

/// Sends a producer's messages in groups with a pause in between, and waits until all are
/// acknowledged.
fn publish(lake: &Lake, config: PublishConfig, rows: Range<u32>, pause: Duration) {
    const TOGETHER: usize = 50;
    let producer = config.producer;
    let clock = SystemClock::new();
    let (counts, durations) = (Counts::default(), Durations::default());
    let mut publisher = DeltaPublisher::connect(lake, config, clock, &counts, &durations)
        .expect("the table is there");
    let (mut batch, mut completions) = (Batch::default(), Vec::new());
    let deadline_ns = clock.now_ns() + duration_ns(PATIENCE);
    for sequence in rows.clone() {
        push(&mut batch, producer, sequence);
        while batch.len() == TOGETHER || (sequence + 1 == rows.end && !batch.is_empty()) {
            publisher.submit(&mut batch).expect("accepted");
            let until_ns = clock.now_ns() + duration_ns(pause);
            while clock.now_ns() < until_ns {
                publisher.poll(until_ns, &mut completions).expect("connected");
            }
        }
    }
    publisher.finish().expect("connected");
    while completions.len() < rows.len() {
        assert!(clock.now_ns() < deadline_ns, "{} of {}", completions.len(), rows.len());
        publisher.poll(deadline_ns, &mut completions).expect("connected");
    }
    for completion in completions {
        let failure = completion.delivery.failure().map(|failure| publisher.explain(failure));
        assert_eq!(failure, None);
    }
}

fn push(batch: &mut Batch, producer: u16, sequence: u32) {
    let (key, value) = message(producer, sequence);
    let write_key = |bytes: &mut Vec<u8>| {
        bytes.extend_from_slice(key.as_deref().unwrap_or_default());
        key.is_some()
    };
    batch.push(sequence, write_key, |bytes, _| bytes.extend_from_slice(&value));
}

fn create(lake: &Lake, partition_by: &[PartitionColumn]) {
    block_on(Table::create(lake, partition_by)).expect("created");
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().build().expect("a runtime").block_on(future)
}

/// The row count of each producer. Rows must be its first ones, each once and as sent.
fn complete(rows: &[Row], producers: u16) -> Vec<u32> {
    let mut next = vec![0; usize::from(producers)];
    for row in rows {
        let expected = &mut next[usize::from(row.producer)];
        assert_eq!(row.sequence, *expected, "of producer {}", row.producer);
        assert_eq!(row.message, message(row.producer, row.sequence));
        *expected += 1;
    }
    next
}

#[test]
fn python_reads_during_writes_and_clean_up() {
    const PRODUCERS: u16 = 3;
    const ROWS: u32 = 14_000;
    if !package::is_there("reading a table with Python while it is written") {
        return;
    }
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let folder = temporary.path();
    let lake = lake(folder);
    create(&lake, &[]);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..PRODUCERS)
            .map(|producer| {
                // The shortest retention, and messages for longer than that.
                let config = PublishConfig {
                    checkpoint_every: Some(10),
                    log_retention: Duration::from_secs(10),
                    ..config(producer)
                };
                let lake = &lake;
                scope.spawn(move || publish(lake, config, 0..ROWS, Duration::from_millis(50)))
            })
            .collect();
        let mut before = vec![0; usize::from(PRODUCERS)];
        let mut read_halfway = false;
        let deadline = Instant::now() + PATIENCE;
        while !writers.iter().all(ScopedJoinHandle::is_finished) {
            assert!(Instant::now() < deadline, "the writers end");
            let now = complete(&package::rows(folder), PRODUCERS);
            assert!(before.iter().zip(&now).all(|(before, now)| before <= now), "none disappears");
            read_halfway |= now.iter().all(|&rows| 0 < rows && rows < ROWS);
            before = now;
        }
        assert!(read_halfway, "it was read while it was written");
    });
    let rows = complete(&package::rows(folder), PRODUCERS);
    assert_eq!(rows, vec![ROWS; usize::from(PRODUCERS)]);
    let first = folder.join("_delta_log/00000000000000000000.json");
    assert!(!first.exists(), "the log was cleaned up");
}

#[test]
fn python_reads_every_layout() {
    use PartitionColumn::{Date, Hour, Producer};
    if !package::is_there("reading tables of every layout with Python") {
        return;
    }
    let layouts: [(&[PartitionColumn], CommitPath, Compression); 5] = [
        (&[], CommitPath::Std, Compression::None),
        (&[], CommitPath::Direct, Compression::Snappy),
        (&[Producer], CommitPath::Direct, Compression::Lz4),
        (&[Producer, Date, Hour], CommitPath::Direct, Compression::Zstd),
        (&[Date, Hour], CommitPath::Std, Compression::Lz4),
    ];
    for (partition_by, commit, compression) in layouts {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let lake = lake(temporary.path());
        create(&lake, partition_by);
        let one = |producer| PublishConfig {
            commit,
            compression,
            partition_by: partition_by.to_vec(),
            // Several files per commit, with several row groups each.
            file_bytes_max: 20_000,
            rows_per_group: 100,
            ..config(producer)
        };
        std::thread::scope(|scope| {
            for producer in 0..2 {
                let (lake, config) = (&lake, one(producer));
                scope.spawn(move || publish(lake, config, 0..2_000, Duration::from_millis(5)));
            }
        });
        let layout = format!("{partition_by:?}, {commit:?}, {compression:?}");
        assert_eq!(complete(&package::rows(temporary.path()), 2), [2_000; 2], "{layout}");
        if partition_by.is_empty() {
            // The same in commit order, which is the order of each producer's messages.
            let committed = package::commits(temporary.path());
            assert_eq!(complete(&committed, 2), [2_000; 2], "{layout}");
        }
    }
}

#[test]
fn python_reads_compacted_and_vacuumed_tables() {
    if !package::is_there("reading a compacted table with Python") {
        return;
    }
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let lake = lake(temporary.path());
    create(&lake, &[]);
    publish(&lake, config(0), 0..3_000, Duration::from_millis(20));
    let files = data_files(temporary.path());
    let optimized = block_on(optimize(&lake, 1 << 20)).expect("compacted");
    assert!(optimized.files_removed > 1 && optimized.files_added == 1, "{optimized:?}");
    assert_eq!(complete(&package::rows(temporary.path()), 1), [3_000]);

    let at_once = "interval 0 seconds";
    package::set(temporary.path(), "delta.deletedFileRetentionDuration", at_once);
    let vacuumed = block_on(vacuum(&lake, Duration::ZERO, false)).expect("vacuumed");
    assert_eq!(vacuumed.files.len(), files, "{vacuumed:?}");
    assert_eq!(data_files(temporary.path()), 1);
    assert_eq!(complete(&package::rows(temporary.path()), 1), [3_000]);
}

fn data_files(table: &Path) -> usize {
    let entries = std::fs::read_dir(table).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").path());
    names.filter(|path| path.extension().is_some_and(|extension| extension == "parquet")).count()
}
