//! We follow what Python writes.

use std::path::Path;
use std::time::Duration;

use bench_core::clock::{Clock as _, SystemClock, duration_ns};
use bench_core::counts::Counts;
use bench_core::transport::{Incoming, Receive as _};
use bench_delta::Lake;
use bench_delta::receive::{DeltaReceiver, FollowConfig, FollowMode, TableStart};

use super::{Message, PATIENCE, lake, package};

/// A consumer of the table from its beginning.
fn follower(lake: &Lake) -> DeltaReceiver {
    let config = FollowConfig {
        start: TableStart::Beginning,
        mode: FollowMode::ToEnd,
        poll_interval: Duration::from_millis(10),
        read_ahead_bytes: 1 << 20,
        wait_for_table: Duration::ZERO,
    };
    DeltaReceiver::connect(lake, config, SystemClock::new(), &Counts::default()).expect("a table")
}

/// Receives until the end, or until this many messages have arrived.
fn receive(receiver: &mut DeltaReceiver, at_least: usize) -> Vec<Message> {
    let clock = SystemClock::new();
    let deadline_ns = clock.now_ns() + duration_ns(PATIENCE);
    let mut messages: Vec<Message> = Vec::new();
    while messages.len() < at_least || !receiver.at_end() {
        assert!(clock.now_ns() < deadline_ns, "{} of {at_least}", messages.len());
        let sink = |message: Incoming<'_>| {
            messages.push((message.key.map(<[u8]>::to_vec), message.value.to_vec()));
        };
        receiver.receive(deadline_ns, sink).expect("followed");
    }
    messages
}

fn log_entry(table: &Path, version: u64) -> bool {
    table.join(format!("_delta_log/{version:020}.json")).exists()
}

#[test]
fn tables_by_python_are_followed() {
    if !package::is_there("following tables that Python writes") {
        return;
    }
    // Files keep the type that Python was given, whatever the table's schema says.
    let kinds = ["binary", "large_binary", "binary_view", "string", "large_string", "string_view"];
    for kind in kinds {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let table = temporary.path().join("table");
        let written = package::write(&table, kind);
        let lake = lake(&table);
        let mut receiver = follower(&lake);
        assert!(receive(&mut receiver, written.len()) == written, "{kind}: all rows, in order");
        let appended = package::append(&table, kind);
        let followed = receive(&mut receiver, appended.len());
        assert!(followed == appended, "{kind}: what is appended while it is followed");
    }
}

#[test]
fn checkpoints_by_python_replace_the_log() {
    if !package::is_there("following a table after Python's checkpoint") {
        return;
    }
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let table = temporary.path().join("table");
    let mut written = package::write(&table, "binary");
    let lake = lake(&table);
    let mut before = follower(&lake);
    assert!(receive(&mut before, written.len()) == written, "all rows, in order");

    package::checkpoint(&table);
    assert!(!log_entry(&table, 0), "the log was cleaned up");
    let mut after = follower(&lake);
    assert!(receive(&mut after, written.len()) == written, "from the checkpoint");

    let appended = package::append(&table, "binary");
    for receiver in [&mut before, &mut after] {
        assert!(receive(receiver, appended.len()) == appended, "what came after the checkpoint");
    }
    written.extend(appended);
    assert!(receive(&mut follower(&lake), written.len()) == written, "from the checkpoint again");
}
