//! Tables whose log or files are damaged: damage is never skipped.

use std::time::{Duration, SystemTime};

use crate::table::{Table, all, config, file_of, numbered, on_s3};
use bench_core::counts::Counts;
use bench_core::transport::Receive as _;
use bench_delta::maintenance::{optimize, vacuum};
use bench_delta::receive::{FollowConfig, FollowMode, TableStart};
use bench_testing::S3;
use deltalake::kernel::PrimitiveType;
use deltalake::parquet::file::properties::WriterProperties;
use serde_json::json;

fn entry(version: u64) -> String {
    format!("_delta_log/{version:020}.json")
}

/// A table with ten numbers in each of the versions 1 to 5.
fn filled(mut table: Table) -> Table {
    for first in (0..50).step_by(10) {
        table.append(first..first + 10);
    }
    table
}

/// Every existing start, followed and read to the end.
fn starts() -> impl Iterator<Item = FollowConfig> {
    let starts = [
        TableStart::Beginning,
        TableStart::Version(0),
        TableStart::Version(5),
        TableStart::Version(6),
        TableStart::End,
        TableStart::Timestamp(SystemTime::UNIX_EPOCH),
    ];
    starts.into_iter().flat_map(|start| {
        let reading = FollowConfig { mode: FollowMode::ToEnd, ..config(start) };
        [config(start), reading]
    })
}

/// The error of following, at once or later.
fn failure(table: &Table, config: &FollowConfig) -> String {
    match table.try_follow(config) {
        Ok(mut following) => following.receive_to_the_error(),
        Err(error) => error.to_string(),
    }
}

/// Asserts that every reader and writer refuses the table, each with one sentence.
fn assert_damaged(table: &Table, message: &str) {
    for config in starts() {
        let error = failure(table, &config);
        assert!(error.contains(message) && error.len() < 400, "{config:?}: {message}: {error}");
    }
    let opened = table.runtime.block_on(bench_delta::Table::open(&table.lake));
    let optimized = table.runtime.block_on(optimize(&table.lake, 1 << 20)).map(drop);
    let vacuumed = table.runtime.block_on(vacuum(&table.lake, Duration::ZERO, true)).map(drop);
    for outcome in [opened.map(drop), optimized, vacuumed] {
        let error = outcome.expect_err(message);
        assert!(error.to_string().contains(message) && !error.is_usage(), "{message}: {error}");
    }
}

const DAMAGED: [(&[u8], &str); 7] = [
    (b"", "it is empty"),
    (b"\n\n", "it contains no action"),
    (b"{}", "it contains no action"),
    (b"{\"commitInfo\":{}}\n{\"add\":{\"path\":\"part", "line 2: EOF while parsing"),
    (b"\0\0\0\0\0\0\0\0", "line 1 is not a JSON object"),
    (b"<html>not found</html>", "line 1 is not a JSON object"),
    (b"[1]", "line 1 is not a JSON object"),
];

#[test]
fn damaged_entries_are_reported_by_all() {
    for version in [3, 5] {
        for (bytes, problem) in DAMAGED {
            let table = filled(Table::create());
            table.put(&entry(version), bytes);
            let message = format!("version {version} of file:///");
            assert_damaged(&table, &message);
            let error = failure(&table, &config(TableStart::Beginning));
            assert!(error.contains(problem) && error.contains(&entry(version)), "{error}");
        }
    }
}

#[test]
fn gaps_are_reported_by_all() {
    for (missing, message) in [
        (&[3][..], "version 3 is missing from the log of file:///"),
        (&[0], "version 0 is missing"),
        (&[0, 1, 2], "versions 0 to 2 are missing"),
        (&[2, 4], "version 2 is missing"),
    ] {
        let table = filled(Table::create());
        for version in missing {
            table.remove(&entry(*version));
        }
        assert_damaged(&table, message);
    }
}

#[test]
fn damage_on_s3_is_reported_by_all() {
    for s3 in S3::each("damage_on_s3_is_reported_by_all") {
        let create = |prefix: &str| {
            let counts = Counts::default();
            let table = Table::at(on_s3(&s3, prefix, &counts), counts, None);
            table.make(&[("key", PrimitiveType::Binary), ("value", PrimitiveType::Binary)], &[]);
            filled(table)
        };
        let gap = create("damage/gap");
        gap.remove(&entry(3));
        assert_damaged(&gap, "version 3 is missing from the log of s3://");
        let empty = create("damage/empty");
        empty.put(&entry(5), b"");
        assert_damaged(&empty, "version 5 of s3://");
    }
}

#[test]
fn entries_without_files_are_valid() {
    let mut table = filled(Table::create());
    table.commit(&[]);
    table.commit(&[json!({"somethingNew": {"x": 1}})]);
    table.append(50..60);
    assert_eq!(table.numbers_from(TableStart::Beginning), all(0..60));
    assert_eq!(table.numbers_from(TableStart::Version(5)), all(40..60));
    table.runtime.block_on(optimize(&table.lake, 1 << 20)).expect("compacted");
}

#[test]
fn gaps_are_reported_while_following() {
    let mut table = filled(Table::create());
    let mut following = table.follow(TableStart::Beginning);
    following.receive_to_the_end();
    let add = table.put_file(&file_of(&numbered(50..60), &WriterProperties::default()));
    // Version 6 never existed.
    table.put(&entry(7), add.to_string().as_bytes());
    let begun = std::time::Instant::now();
    let error = following.receive_to_the_error();
    assert!(error.contains("version 6 is missing from the log"), "{error}");
    assert!(error.contains("version 7 exists"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert_eq!(following.numbers(), all(0..50));
}

#[test]
fn end_is_reported_only_once_confirmed() {
    let table = filled(Table::create());
    let reading = FollowConfig { mode: FollowMode::ToEnd, ..config(TableStart::Beginning) };
    let before = table.counts.read()["list_requests"];
    let mut following = table.try_follow(&reading).expect("connected");
    following.receive_to_the_end();
    assert_eq!(following.numbers(), all(0..50));
    let lists = table.counts.read()["list_requests"] - before;
    assert_eq!(lists, 2, "one to start and one to confirm the end");
}

#[test]
fn checkpointed_versions_may_be_missing() {
    let mut table = filled(Table::create());
    table.checkpoint();
    table.append(50..60);
    table.put(&entry(2), b"");
    table.remove(&entry(3));
    table.remove(&entry(5));
    assert_eq!(table.numbers_from(TableStart::Beginning), all(0..60), "from the table's state");
    assert_eq!(table.numbers_from(TableStart::Version(6)), all(50..60));
    let error = failure(&table, &config(TableStart::Version(3)));
    assert!(error.contains("versions 3 to 5 of file:///"), "{error}");
    assert!(error.contains("--from version:6"), "{error}");
    table.runtime.block_on(optimize(&table.lake, 1 << 20)).expect("compacted");
    table.remove(&entry(6));
    assert_damaged(&table, "version 6 is missing");
}

#[test]
fn damaged_checkpoints_are_reported() {
    let checkpoint = "_delta_log/00000000000000000005.checkpoint.parquet";
    let message = "checkpoint 5 of file:///";
    for bytes in [&b""[..], b"PAR1 and no more"] {
        let mut table = filled(Table::create());
        table.checkpoint();
        table.append(50..60);
        table.put(checkpoint, bytes);
        assert_eq!(table.numbers_from(TableStart::Beginning), all(0..60), "not needed");
        for start in [TableStart::End, TableStart::Version(2)] {
            let error = failure(&table, &config(start));
            assert!(error.contains(message) && error.len() < 400, "{start:?} {message}: {error}");
        }
        let opened = table.runtime.block_on(bench_delta::Table::open(&table.lake));
        let error = opened.expect_err("damaged").to_string();
        assert!(error.contains(message), "{error}");
        let optimized = table.runtime.block_on(optimize(&table.lake, 1 << 20));
        let error = optimized.expect_err("damaged").to_string();
        assert!(error.contains(message), "{error}");
        for version in 0..=5 {
            table.remove(&entry(version));
        }
        let error = failure(&table, &config(TableStart::Beginning));
        assert!(error.contains(message), "{message}: {error}");
    }
}

#[test]
fn missing_checkpoint_and_entries_are_a_gap() {
    let mut table = filled(Table::create());
    table.checkpoint();
    table.append(50..60);
    table.remove("_delta_log/00000000000000000005.checkpoint.parquet");
    for version in 0..=5 {
        table.remove(&entry(version));
    }
    assert_damaged(&table, "versions 0 to 5 are missing");
}

/// False contents of `_last_checkpoint`, for a table with a checkpoint of version 5.
const STALE_HINTS: [&[u8]; 10] = [
    br#"{"version":3,"size":5}"#,
    br#"{"version":999,"size":5}"#,
    br#"{"version":5,"size":7,"parts":3}"#,
    br#"{"version":5,"size":7,"sizeInBytes":1}"#,
    br#"{"version":5,"size":7,"v2Checkpoint":{"path":"x.parquet","sizeInBytes":1,"modificationTime":1}}"#,
    br#"{"version":-1,"size":7}"#,
    br#"{"version":"#,
    b"<html>not found</html>",
    b"\0\0\0\0",
    b"",
];

#[test]
fn stale_hints_are_ignored() {
    for hint in STALE_HINTS {
        for is_cleaned_up in [false, true] {
            let mut table = filled(Table::create());
            table.checkpoint();
            table.append(50..60);
            if is_cleaned_up {
                (0..=5).for_each(|version| table.remove(&entry(version)));
            }
            table.put("_delta_log/_last_checkpoint", hint);
            let message = String::from_utf8_lossy(hint);
            assert_eq!(table.numbers_from(TableStart::Beginning), all(0..60), "{message}");
            assert_eq!(table.numbers_from(TableStart::Version(6)), all(50..60), "{message}");
            let mut end = table.follow(TableStart::End);
            table.append(60..70);
            end.receive(10);
            let opened = table.runtime.block_on(bench_delta::Table::open(&table.lake));
            assert_eq!(opened.expect(&message).expect("there").version(), 7, "{message}");
            table.runtime.block_on(optimize(&table.lake, 1 << 20)).expect(&message);
            let vacuumed = vacuum(&table.lake, Duration::from_hours(24 * 7), true);
            table.runtime.block_on(vacuumed).expect(&message);
        }
    }
}

#[test]
fn files_differing_from_the_log_are_reported() {
    let plain = WriterProperties::builder().set_dictionary_enabled(false).build();
    let whole = file_of(&numbered(0..50_000), &plain);
    let fewer = file_of(&numbered(0..49_999), &plain);
    for read_ahead_bytes in [64 << 20, 128 << 10] {
        for (bytes, message) in [
            (Some(&fewer[..]), "it has 49999 rows, but the log says 50000"),
            (Some(&whole[..whole.len() / 2]), "bytes, but the log says"),
            (Some(&b""[..]), "it has 0 bytes, but the log says"),
            (None, "was removed before it was read"),
        ] {
            let mut table = Table::create();
            let stored = bytes == Some(&fewer[..]);
            let mut add = table.put_file(if stored { &fewer } else { &whole });
            add["add"]["stats"] = json!("{\"numRecords\":50000}");
            table.commit(&[add]);
            match bytes {
                Some(bytes) => table.put("part-00001.parquet", bytes),
                None => table.remove("part-00001.parquet"),
            }
            let held = FollowConfig { read_ahead_bytes, ..config(TableStart::Version(1)) };
            let begun = std::time::Instant::now();
            let error = table.try_follow(&held).expect("connected").receive_to_the_error();
            assert!(error.contains(message), "{message}: {error}");
            assert!(error.contains("part-00001.parquet of file:///"), "{error}");
            assert!(error.contains("in version 1"), "{error}");
            assert!(begun.elapsed() < Duration::from_secs(10), "it is not retried");
        }
    }
}

#[test]
fn compaction_does_not_hide_missing_rows() {
    let mut table = Table::create();
    table.append(0..10);
    let mut add = table.put_file(&file_of(&numbered(10..20), &WriterProperties::default()));
    add["add"]["stats"] = json!("{\"numRecords\":11}");
    table.commit(&[add]);
    let error = table.runtime.block_on(optimize(&table.lake, 1 << 20)).expect_err("damaged");
    let error = error.to_string();
    assert!(error.contains("part-00002.parquet"), "{error}");
    assert!(error.contains("10 rows, but the log says 11"), "{error}");
    assert_eq!(table.load().version(), Some(2), "nothing was committed");
}

#[test]
fn impossible_starts_list_existing_versions() {
    let mut table = filled(Table::create());
    let hour = Duration::from_hours(1);
    std::thread::sleep(Duration::from_millis(20));
    let now = SystemTime::now();
    let reading = |start| FollowConfig { mode: FollowMode::ToEnd, ..config(start) };
    for (config, message) in [
        (reading(TableStart::Version(99)), "has versions 0 to 5"),
        (reading(TableStart::Version(6)), "--from version:6 and --follow"),
        (config(TableStart::Version(7)), "has versions 0 to 5"),
        (config(TableStart::Version(99)), "there is no version 99 of file:///"),
        (reading(TableStart::End), "there is nothing to read from the end"),
        (reading(TableStart::Timestamp(now + hour)), "the newest is version 5, committed at 20"),
        (config(TableStart::Timestamp(now + hour)), "the newest is version 5, committed at 20"),
        (reading(TableStart::Timestamp(now)), "the newest is version 5, committed at 20"),
    ] {
        let error = table.try_follow(&config).err().expect(message);
        assert!(error.is_usage() && error.to_string().contains(message), "{message}: {error}");
    }
    let mut next = table.follow(TableStart::Version(6));
    let mut since = table.follow(TableStart::Timestamp(SystemTime::now()));
    table.append(50..60);
    for following in [&mut next, &mut since] {
        following.receive(10);
        assert_eq!(following.numbers(), all(50..60));
    }
}

#[test]
fn followers_know_whether_they_are_behind() {
    let mut table = Table::create();
    let stored = WriterProperties::builder().set_dictionary_enabled(false).build();
    for first in (0..40_000).step_by(1_000) {
        table.append_as(first..first + 1_000, &stored);
    }
    let little = FollowConfig { read_ahead_bytes: 64 << 10, ..config(TableStart::Beginning) };
    let mut following = table.try_follow(&little).expect("connected");
    assert!(following.receiver.is_behind(), "listed versions are unread");
    following.receive(39_000);
    assert!(following.receiver.is_behind(), "the last file is unread");
    following.receive_to_the_end();
    assert!(!following.receiver.is_behind());
    table.append(40_000..40_010);
    following.receive_until(|following| following.received.len() == 40_010);
    following.receive_to_the_end();
    assert!(!following.receiver.is_behind());

    let nowhere = Table::nowhere();
    let waiting = FollowConfig { wait_for_table: Duration::from_mins(1), ..little };
    let following = nowhere.try_follow(&waiting).expect("connected");
    assert!(!following.receiver.is_behind(), "nothing is known to be unread");
}
