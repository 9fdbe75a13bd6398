//! Checkpoints and clean-up during commits.

use std::fs::File;
use std::path::PathBuf;
use std::time::SystemTime;

use deltalake::checkpoints::create_checkpoint;
use deltalake::logstore::object_store::ObjectStore;
use deltalake::parquet::file::reader::FileReader as _;
use deltalake::parquet::file::serialized_reader::SerializedFileReader;

use super::faulty::{Fault, Faulty};
use super::*;
use crate::schema::PartitionColumn;

/// One version per message.
fn config() -> PublishConfig {
    PublishConfig { file_bytes_max: 1, checkpoint_every: Some(10), ..super::config() }
}

/// Publishes messages in a version each, waiting for each commit.
pub(super) fn publish_one_by_one(rig: &Rig, config: PublishConfig, messages: &[Message]) {
    let mut sending = Sending::new(rig.connect(config));
    for message in messages {
        sending.submit(std::slice::from_ref(message)).expect("still writing");
        sending.wait().expect("still writing");
    }
    assert!(sending.end().all_acked(messages.len()));
}

fn log_files(folder: &Path) -> Vec<String> {
    let log = std::fs::read_dir(folder.join("_delta_log")).expect("a log");
    let mut names: Vec<_> =
        log.map(|file| file.expect("a file").file_name().into_string().expect("a name")).collect();
    names.sort();
    names
}

#[test]
fn checkpoints_are_written_during_commits() {
    let folder = tempfile::tempdir().expect("a folder");
    let rig = Rig::in_folder(folder.path());
    rig.create(&config()).expect("a table");
    let messages = messages(0..60);
    publish_one_by_one(&rig, config(), &messages);
    assert_eq!(rig.rows(), expected(3, &messages));
    let written = rig.count("checkpoints");
    assert!((1..=6).contains(&written), "{written} checkpoints");
    assert_eq!(rig.count("checkpoints_failed"), 0);
    let files = log_files(folder.path());
    assert!(files.contains(&"_last_checkpoint".to_owned()), "{files:?}");
    let entries = files.iter().filter_map(|name| name.strip_suffix(".json")).count();
    assert_eq!(entries, 61, "nothing is old enough to be cleaned up: {files:?}");
}

#[test]
fn clean_up_keeps_recent_and_uncheckpointed_entries() {
    let folder = tempfile::tempdir().expect("a folder");
    let rig = Rig::in_folder(folder.path());
    rig.create(&config()).expect("a table");
    let entry = |version: u64| -> PathBuf {
        folder.path().join("_delta_log").join(format!("{version:020}.json"))
    };
    let first = std::fs::read_to_string(entry(0)).expect("an entry");
    let (before, after) = first.split_once("\"createdTime\":").expect("a time");
    let (_, after) = after.split_at(after.find([',', '}']).expect("an end"));
    let old = format!("{before}\"createdTime\":1000{after}");
    std::fs::write(entry(0), old).expect("an entry");
    let no_checkpoints = PublishConfig { checkpoint_every: None, ..config() };
    publish_one_by_one(&rig, no_checkpoints, &messages(0..15));
    let an_hour_ago = SystemTime::now() - Duration::from_hours(1);
    for version in 0..=8 {
        let file = File::options().write(true).open(entry(version)).expect("an entry");
        file.set_modified(an_hour_ago).expect("a time");
    }
    let retention = Duration::from_mins(1);
    let clean = PublishConfig { log_retention: retention, producer: 4, ..config() };
    publish_one_by_one(&rig, clean.clone(), &messages(15..25));
    assert_eq!(rig.count("checkpoints"), 1, "of version 20");
    // Entry 9 is the oldest to keep, and no checkpoint is that old.
    assert_eq!(
        log_files(folder.path()).iter().filter_map(|name| name.strip_suffix(".json")).count(),
        26
    );
    for version in 0..=22 {
        let file = File::options().write(true).open(entry(version)).expect("an entry");
        file.set_modified(an_hour_ago).expect("a time");
    }
    publish_one_by_one(&rig, clean, &messages(25..30));
    assert_eq!(rig.count("checkpoints"), 2, "of version 30");
    let left = log_files(folder.path());
    let left: Vec<_> = left.iter().filter_map(|name| name.strip_suffix(".json")).collect();
    let expected: Vec<_> = (20..=30).map(|version| format!("{version:020}")).collect();
    assert_eq!(left, expected, "the checkpoint before the oldest entry to be kept is of 20");
    assert_eq!(rig.files_of_snapshot().len(), 30);
}

/// Whether we wrote the checkpoint of a version, and its row count.
fn checkpoint(folder: &Path, version: u64) -> (bool, i64) {
    let name = format!("_delta_log/{version:020}.checkpoint.parquet");
    let file = File::open(folder.join(name)).expect("a checkpoint");
    let file = SerializedFileReader::new(file).expect("a Parquet file");
    let metadata = file.metadata().file_metadata();
    let is_ours = metadata.created_by().is_some_and(|name| name.starts_with("bench-delta"));
    (is_ours, metadata.num_rows())
}

/// Removes everything older than the checkpoint of this version.
fn leave_only_checkpoint(folder: &Path, version: u64) {
    for name in log_files(folder) {
        let number = name.split('.').next().and_then(|number| number.parse::<u64>().ok());
        let is_older = number.is_some_and(|number| number < version);
        if is_older || name == format!("{version:020}.json") {
            std::fs::remove_file(folder.join("_delta_log").join(name)).expect("removed");
        }
    }
}

#[test]
fn checkpoints_copy_appends_and_leave_others_to_delta_rs() {
    let folder = tempfile::tempdir().expect("a folder");
    let rig = Rig::in_folder(folder.path());
    rig.create(&config()).expect("a table");
    let no_checkpoints = PublishConfig { checkpoint_every: None, ..config() };
    publish_one_by_one(&rig, no_checkpoints, &messages(0..15));
    let mut table = DeltaTable::new(rig.lake.log_store());
    rig.runtime.block_on(table.load()).expect("a table");
    rig.runtime.block_on(create_checkpoint(&table, None)).expect("a checkpoint of version 15");
    let (is_ours, rows) = checkpoint(folder.path(), 15);
    assert!(!is_ours);

    publish_one_by_one(&rig, config(), &messages(0..5));
    assert_eq!(checkpoint(folder.path(), 20), (true, rows + 5), "what delta-rs wrote and ours");
    rig.runtime.block_on(crate::maintenance::optimize(&rig.lake, 1 << 20)).expect("compacted");
    publish_one_by_one(&rig, config(), &messages(0..9));
    let (is_ours, rows) = checkpoint(folder.path(), 30);
    assert!(!is_ours, "files were removed");
    publish_one_by_one(&rig, config(), &messages(0..10));
    assert_eq!(checkpoint(folder.path(), 40), (true, rows + 10));
    assert_eq!((rig.count("checkpoints"), rig.count("checkpoints_failed")), (3, 0));

    let files = rig.files_of_snapshot();
    assert_eq!(files.len(), 1 + 9 + 10, "a compacted one, and later ones");
    leave_only_checkpoint(folder.path(), 40);
    assert_eq!(rig.files_of_snapshot(), files);
}

#[test]
fn checkpoint_holds_files_of_several_producers() {
    let folder = tempfile::tempdir().expect("a folder");
    let rig = Rig::in_folder(folder.path());
    let partition_by = vec![PartitionColumn::Producer, PartitionColumn::Date];
    let config = PublishConfig { partition_by, ..config() };
    rig.create(&config).expect("a table");
    let mut producers = [1, 2]
        .map(|producer| Sending::new(rig.connect(PublishConfig { producer, ..config.clone() })));
    for message in messages(0..20) {
        for producer in &mut producers {
            producer.submit(std::slice::from_ref(&message)).expect("still writing");
            producer.wait().expect("still writing");
        }
    }
    // Each waits for a checkpoint in progress.
    for producer in producers {
        assert!(producer.end().all_acked(20));
    }
    assert_eq!((rig.count("checkpoints"), rig.count("checkpoints_failed")), (4, 0));
    assert_eq!(checkpoint(folder.path(), 40), (true, 42), "protocol, metadata and files");
    let files = rig.files_of_snapshot();
    leave_only_checkpoint(folder.path(), 40);
    assert_eq!(rig.files_of_snapshot(), files);
}

#[test]
fn failed_checkpoints_are_counted_only() {
    let store = Faulty::new();
    let inner: Arc<dyn ObjectStore> = Arc::new(store.clone());
    let rig = Rig::new(|_| Lake::over(inner));
    rig.create(&config()).expect("a table");
    store.script(|method, path| {
        (method == "PUT" && path.contains("checkpoint")).then_some(Fault::Error)
    });
    let messages = messages(0..30);
    publish_one_by_one(&rig, config(), &messages);
    assert_eq!(rig.rows(), expected(3, &messages));
    assert_eq!(rig.count("checkpoints"), 0);
    assert!(rig.count("checkpoints_failed") > 0);
}

#[test]
fn damaged_entries_prevent_checkpoints() {
    for (entry, is_plain) in [(&b""[..], true), (b"\n", true), (b"", false)] {
        let folder = tempfile::tempdir().expect("a folder");
        let rig = Rig::in_folder(folder.path());
        rig.create(&config()).expect("a table");
        publish_one_by_one(&rig, config(), &messages(0..5));
        if !is_plain {
            // After a compaction, delta-rs writes the checkpoint.
            rig.runtime.block_on(crate::maintenance::optimize(&rig.lake, 1 << 20)).expect("done");
        }
        let mut sending = Sending::new(rig.connect(config()));
        let path = folder.path().join("_delta_log").join(format!("{:020}.json", 3));
        std::fs::write(path, entry).expect("damaged");
        for message in messages(0..10) {
            sending.submit(&[message]).expect("still writing");
            sending.wait().expect("still writing");
        }
        drop(sending.end());
        assert_eq!((rig.count("checkpoints"), rig.count("checkpoints_failed")), (0, 1));
        assert!(!log_files(folder.path()).iter().any(|name| name.contains("checkpoint")));
    }
}
