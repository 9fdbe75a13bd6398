//! Tables that cross to the Python package `deltalake`, as most of its users have it, and back: it
//! reads what we write, while we do, and we follow what it writes.

mod package;
mod read_by_python;
mod written_by_python;

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use bench_core::clock::{Clock as _, InstantNs, SystemClock, duration_ns};
use bench_core::counts::Counts;
use bench_core::durations::Durations;
use bench_core::transport::{Batch, Publish as _, Receive as _};
use bench_delta::{
    CommitPath, Compression, DeltaPublisher, DeltaReceiver, FollowConfig, Lake, PublishConfig,
    TableStart,
};

/// How long anything here may take: many times what it does take.
const PATIENCE: Duration = Duration::from_mins(2);

/// A row as users see it: key and value.
type Message = (Option<Vec<u8>>, Vec<u8>);

fn lake(folder: &Path) -> Lake {
    Lake::folder(folder, &Counts::default()).expect("a folder")
}

/// A producer's message: keys of all kinds, values of many sizes.
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

/// Sends a producer's messages, some at a time with a pause between, and waits until all of them
/// are confirmed.
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
        completion.outcome.unwrap_or_else(|code| panic!("{}", publisher.explain(code)));
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

/// A consumer of the table from its beginning.
fn follower(lake: &Lake) -> DeltaReceiver {
    let config = FollowConfig {
        start: TableStart::Beginning,
        poll_interval: Duration::from_millis(10),
        read_ahead_bytes: 1 << 20,
        wait_for_table: Duration::ZERO,
    };
    DeltaReceiver::connect(lake, config, SystemClock::new(), &Counts::default()).expect("a table")
}

/// What comes until nothing more is there, or so many messages have come.
fn receive(receiver: &mut DeltaReceiver, at_least: usize) -> Vec<Message> {
    let clock = SystemClock::new();
    let deadline_ns: InstantNs = clock.now_ns() + duration_ns(PATIENCE);
    let mut messages: Vec<Message> = Vec::new();
    while messages.len() < at_least || !receiver.at_end() {
        assert!(clock.now_ns() < deadline_ns, "{} of {at_least}", messages.len());
        let sink = |message: bench_core::transport::Incoming<'_>| {
            messages.push((message.key.map(<[u8]>::to_vec), message.value.to_vec()));
        };
        receiver.receive(deadline_ns, sink).expect("followed");
    }
    messages
}
