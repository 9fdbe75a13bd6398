//! Following tables written by publishers.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::table::{self, Following, TIMEOUT, Table};
use bench_core::clock::{Clock as _, SystemClock};
use bench_core::counts::Counts;
use bench_core::durations::Durations;
use bench_core::transport::{Batch, Publish as _};
use bench_delta::maintenance::optimize;
use bench_delta::publish::{CommitPath, Compression, PublishConfig};
use bench_delta::receive::TableStart;
use bench_delta::schema::PartitionColumn;
use bench_delta::{DeltaPublisher, Lake};
use bench_testing::S3;

const PRODUCERS: u16 = 4;
const MESSAGES: u32 = 20_000;

fn settings(producer: u16, partition_by: &[PartitionColumn]) -> PublishConfig {
    let compressions =
        [Compression::None, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    PublishConfig {
        producer,
        commit_interval_ns: 20_000_000,
        commit: if producer == 3 { CommitPath::Std } else { CommitPath::Direct },
        file_bytes_max: 20_000,
        rows_per_group: 300,
        compression: compressions[usize::from(producer) % compressions.len()],
        partition_by: partition_by.to_vec(),
        uploads_max: 8,
        checkpoint_every: Some(10),
        log_retention: Duration::from_hours(1),
        give_up_ns: 30_000_000_000,
    }
}

/// Publishes the numbers up to [`MESSAGES`] as `producer number`.
fn publish(lake: &Lake, producer: u16, partition_by: &[PartitionColumn]) {
    let clock = SystemClock::new();
    let (counts, durations) = (Counts::default(), Durations::default());
    let config = settings(producer, partition_by);
    let publisher = DeltaPublisher::connect(lake, config, clock, &counts, &durations);
    let mut publisher = publisher.expect("connected");
    let (mut batch, mut completions) = (Batch::default(), Vec::new());
    let deadline = Instant::now() + TIMEOUT;
    let mut next = 0;
    while completions.len() < MESSAGES as usize {
        assert!(Instant::now() < deadline, "{} of producer {producer}", completions.len());
        while next < MESSAGES && batch.len() < 500 {
            let text = format!("{producer} {next}");
            let push = |bytes: &mut Vec<u8>, _| bytes.extend_from_slice(text.as_bytes());
            batch.push(next, |_| false, push);
            next += 1;
        }
        publisher.submit(&mut batch).expect("submitted");
        if next == MESSAGES && batch.is_empty() {
            publisher.finish().expect("finished");
        }
        publisher.poll(clock.now_ns() + 2_000_000, &mut completions).expect("polled");
    }
    let failed = completions.iter().find(|completion| !completion.delivery.is_acknowledged());
    assert!(failed.is_none(), "{failed:?}");
}

/// Each producer's numbers in order of arrival.
fn by_producer(following: &Following) -> BTreeMap<u16, Vec<u32>> {
    let mut numbers = BTreeMap::<_, Vec<_>>::new();
    for text in following.texts() {
        let (producer, number) = text.split_once(' ').expect("two numbers");
        let number = number.parse().expect("a number");
        numbers.entry(producer.parse().expect("a number")).or_default().push(number);
    }
    numbers
}

/// Publishes from several threads at once, compacts from time to time, and follows.
fn publish_and_follow(lake: Lake, counts: Counts, partition_by: &[PartitionColumn]) {
    let table = Table::at(lake, counts, None);
    let lake = &table.lake;
    let created = bench_delta::Table::create(lake, partition_by);
    table.runtime.block_on(created).expect("created");
    let mut following = table.follow(TableStart::Beginning);
    let all = usize::from(PRODUCERS) * MESSAGES as usize;
    std::thread::scope(|scope| {
        for producer in 0..PRODUCERS {
            scope.spawn(move || publish(lake, producer, partition_by));
        }
        following.receive(all / 3);
        // delta-rs' committer gives up when other writers keep it from committing.
        table.runtime.block_on(optimize(lake, 1 << 20)).expect("compacted");
        following.receive(all);
    });
    following.receive_to_the_end();
    let expected: Vec<u32> = (0..MESSAGES).collect();
    let found = by_producer(&following);
    assert_eq!(found.len(), usize::from(PRODUCERS));
    for (producer, numbers) in found {
        assert!(numbers == expected, "producer {producer}: {} numbers", numbers.len());
    }
    assert_eq!(following.count("versions_with_removals"), 0);
}

#[test]
fn concurrent_publishing_in_a_folder_is_followed() {
    let folder = tempfile::tempdir().expect("a folder");
    let everything = [PartitionColumn::Producer, PartitionColumn::Date, PartitionColumn::Hour];
    for (name, partition_by) in [("plain", &[][..]), ("partitioned", &everything)] {
        let counts = Counts::default();
        let path = folder.path().join(name);
        std::fs::create_dir(&path).expect("a folder");
        let lake = Lake::folder(&path, &counts).expect("a lake");
        publish_and_follow(lake, counts, partition_by);
    }
}

#[test]
fn concurrent_publishing_on_s3_is_followed() {
    for s3 in S3::each("concurrent_publishing_on_s3_is_followed") {
        let counts = Counts::default();
        publish_and_follow(table::on_s3(&s3, "follow/published", &counts), counts, &[]);
    }
}
