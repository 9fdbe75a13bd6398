//! Following tables: where it begins, what it reads and how it ends.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::table::{self, Table, all, columns, config, file_of, numbered, text};
use bench_delta::receive::{FollowConfig, TableStart};
use deltalake::arrow::array::{
    ArrayRef, BinaryArray, BinaryViewArray, DictionaryArray, FixedSizeBinaryArray,
    LargeBinaryArray, LargeStringArray, RecordBatch, StringArray, StringViewArray,
};
use deltalake::arrow::datatypes::Int32Type;
use deltalake::kernel::PrimitiveType;
use deltalake::parquet::basic::Compression;
use deltalake::parquet::file::properties::WriterProperties;
use deltalake::writer::{DeltaWriter as _, RecordBatchWriter};
use serde_json::json;

#[test]
fn rows_arrive_in_version_and_file_order() {
    let mut table = Table::create();
    let plain = WriterProperties::default();
    let mut following = table.follow(TableStart::Beginning);
    following.receive_to_the_end();
    assert!(following.received.is_empty());
    table.append_files(&[0..10, 10..5_000, 5_000..5_001], &plain);
    for first in (5_001..6_001).step_by(10) {
        table.append(first..first + 10);
    }
    following.receive(6_001);
    assert_eq!(following.numbers(), all(0..6_001));
    let keys: Vec<_> = following.received.iter().map(|(key, _)| key.as_deref()).collect();
    assert_eq!(&keys[6..9], [Some(&b"6"[..]), Some(b"0"), Some(b"1")]);
    following.receive_to_the_end();
    assert_eq!((following.count("versions_read"), following.count("files_read")), (102, 103));
    assert!(following.count("log_polls_empty") > 0);
    assert_eq!(table.numbers_from(TableStart::Beginning), all(0..6_001), "all at once");
}

#[test]
fn following_begins_at_the_requested_start() {
    let mut table = Table::create();
    table.append(0..10);
    table.append(10..20);
    std::thread::sleep(Duration::from_millis(20));
    let between = SystemTime::now();
    std::thread::sleep(Duration::from_millis(20));
    table.append(20..30);
    assert_eq!(table.numbers_from(TableStart::Version(2)), all(10..30));
    assert_eq!(table.numbers_from(TableStart::Timestamp(between)), all(20..30));
    assert_eq!(table.numbers_from(TableStart::Timestamp(SystemTime::UNIX_EPOCH)), all(0..30));

    let mut at_end = table.follow(TableStart::End);
    let mut next = table.follow(TableStart::Version(4));
    let mut since = table.follow(TableStart::Timestamp(SystemTime::now()));
    table.append(30..40);
    table.append(40..50);
    at_end.receive(20);
    assert_eq!(at_end.numbers(), all(30..50));
    for following in [&mut next, &mut since] {
        following.receive(20);
        assert_eq!(following.numbers(), all(30..50));
    }
}

#[test]
fn missing_tables_are_waited_for() {
    let mut table = Table::nowhere();
    for start in [TableStart::Beginning, TableStart::End, TableStart::Version(3)] {
        let error = table.try_follow(&config(start)).err().expect("no table").to_string();
        assert!(error.contains("there is no Delta table at file:///"), "{error}");
        assert!(error.contains("--wait-for-table"), "{error}");
    }
    let shortly =
        FollowConfig { wait_for_table: Duration::from_millis(50), ..config(TableStart::Beginning) };
    let error = table.try_follow(&shortly).expect("connected").receive_to_the_error();
    assert!(error.contains("after 50ms"), "{error}");

    let wait_for_table = Duration::from_mins(1);
    let patiently = |start| FollowConfig { wait_for_table, ..config(start) };
    let mut from_end = table.try_follow(&patiently(TableStart::End)).expect("connected");
    let mut from_two = table.try_follow(&patiently(TableStart::Version(2))).expect("connected");
    from_end.receive_once().expect("nothing yet");
    assert!(!from_end.is_at_end());
    table.make(&[("value", PrimitiveType::Binary)], &[]);
    table.append(0..10);
    table.append(10..20);
    from_end.receive(20);
    assert_eq!(from_end.numbers(), all(0..20), "the table was empty when following began");
    from_two.receive(10);
    assert_eq!(from_two.numbers(), all(10..20));
}

#[test]
fn truncated_logs_are_read_from_state() {
    let mut table = Table::create();
    for first in (0..100).step_by(10) {
        table.append(first..first + 10);
    }
    table.checkpoint();
    table.append(100..110);
    table.append(110..120);
    assert_eq!(table.clean_up(), 10, "versions 0 to 9");
    assert_eq!(table.numbers_from(TableStart::Beginning), all(0..120));
    assert_eq!(table.numbers_from(TableStart::Version(11)), all(100..120));

    let error = table.try_follow(&config(TableStart::Version(4))).err().expect("gone").to_string();
    assert!(error.contains("versions 4 to 9 of file:///"), "{error}");
    assert!(error.contains("--from version:10"), "{error}");
    let long_ago = config(TableStart::Timestamp(SystemTime::UNIX_EPOCH));
    let error = table.try_follow(&long_ago).err().expect("gone").to_string();
    assert!(error.contains("begins with version 10, committed at 20"), "{error}");
}

#[test]
fn clean_up_of_read_versions_is_harmless() {
    let mut table = Table::create();
    let mut following = table.follow(TableStart::Beginning);
    for round in 0..5 {
        let first = round * 100;
        for first in (first..first + 100).step_by(10) {
            table.append(first..first + 10);
        }
        following.receive(usize::try_from(first + 100).expect("small"));
        table.checkpoint();
        assert!(table.clean_up() > 0);
        following.receive_to_the_end();
        // Long enough for a check whether the log continues elsewhere.
        let deadline = std::time::Instant::now() + Duration::from_millis(1_200);
        following.receive_until(|_| std::time::Instant::now() > deadline);
    }
    table.append(500..510);
    following.receive(510);
    assert_eq!(following.numbers(), all(0..510));
}

/// A stalled follower with little read-ahead, which has received nothing, and a table of large
/// files.
fn held_up(table: &mut Table) -> table::Following {
    let stored = WriterProperties::builder().set_dictionary_enabled(false).build();
    for first in (0..100_000).step_by(1_000) {
        table.append_as(first..first + 1_000, &stored);
    }
    let little = FollowConfig { read_ahead_bytes: 64 << 10, ..config(TableStart::Version(1)) };
    table.try_follow(&little).expect("connected")
}

#[test]
fn clean_up_of_unread_versions_is_reported() {
    let mut table = Table::create();
    let mut following = held_up(&mut table);
    table.checkpoint();
    assert_eq!(table.clean_up(), 100);
    let error = following.receive_to_the_error();
    assert!(error.contains("to 99 of file:///"), "{error}");
    assert!(error.contains("cleaned up before they were read"), "{error}");
    assert!(error.contains("--from version:100"), "{error}");
    let read = following.numbers();
    let count = read.0.len() as u64;
    assert!((1..100_000).contains(&count), "{count} read");
    assert_eq!(read, all(0..count), "what came before is not lost");
}

#[test]
fn removed_unread_data_files_are_reported() {
    let mut table = Table::create();
    let mut following = held_up(&mut table);
    table.remove("part-00100.parquet");
    let error = following.receive_to_the_error();
    assert!(error.contains("data file part-00100.parquet of file:///"), "{error}");
    assert!(error.contains("in version 100, was removed before it was read"), "{error}");
    assert!(error.contains("--from version:101") && error.contains("--retention"), "{error}");
    assert_eq!(following.numbers(), all(0..99_000));
    table.append(100_000..100_010);
    assert_eq!(table.numbers_from(TableStart::Version(101)), all(100_000..100_010));
}

#[test]
fn clean_up_differs_from_a_recreated_table() {
    for hint in [None, Some(&br#"{"version":1,"size":2}"#[..]), Some(b"{")] {
        let mut table = Table::create();
        for first in (0..50).step_by(10) {
            table.append(first..first + 10);
        }
        let mut following = table.follow(TableStart::Beginning);
        following.receive_to_the_end();
        table.checkpoint();
        for version in 0..=5 {
            table.remove(&format!("_delta_log/{version:020}.json"));
        }
        match hint {
            Some(hint) => table.put("_delta_log/_last_checkpoint", hint),
            None => table.remove("_delta_log/_last_checkpoint"),
        }
        // Long enough for a check whether the log continues elsewhere.
        let deadline = std::time::Instant::now() + Duration::from_millis(1_200);
        following.receive_until(|_| std::time::Instant::now() > deadline);
        table.append(50..60);
        following.receive(60);
        assert_eq!(following.numbers(), all(0..60));
    }
}

#[test]
fn overtaken_readers_can_follow_the_remedy() {
    let mut table = Table::create();
    let mut following = held_up(&mut table);
    table.checkpoint();
    // Only the checkpoint is left, and the hint is useless.
    for version in 0..=100 {
        table.remove(&format!("_delta_log/{version:020}.json"));
    }
    table.put("_delta_log/_last_checkpoint", br#"{"version":7,"size":9}"#);
    let error = following.receive_to_the_error();
    assert!(error.contains("to 100 of file:///"), "{error}");
    assert!(error.contains("cleaned up before they were read"), "{error}");
    assert!(error.contains("--from version:101") && error.contains("--from beginning"), "{error}");
    assert!(error.contains("--log-retention"), "{error}");
    assert_eq!(table.numbers_from(TableStart::Beginning), all(0..100_000));
    let mut again = table.follow(TableStart::Version(101));
    table.append(100_000..100_010);
    again.receive(10);
}

#[test]
fn truncated_tables_without_hint_are_waited_for() {
    let mut table = Table::create();
    table.append(0..10);
    table.checkpoint();
    let moved = table.get("_delta_log/00000000000000000001.checkpoint.parquet");
    let gone = [
        "_last_checkpoint",
        "00000000000000000000.json",
        "00000000000000000001.json",
        "00000000000000000001.checkpoint.parquet",
    ];
    for name in &gone {
        table.remove(&format!("_delta_log/{name}"));
    }
    let waiting =
        FollowConfig { wait_for_table: Duration::from_mins(1), ..config(TableStart::Beginning) };
    let mut following = table.try_follow(&waiting).expect("still waiting");
    table.put("_delta_log/00000000000000000001.checkpoint.parquet", &moved);
    following.receive(10);
    assert_eq!(following.numbers(), all(0..10));
}

#[test]
fn recreated_tables_are_detected() {
    let mut table = Table::create();
    for first in (0..50).step_by(10) {
        table.append(first..first + 10);
    }
    let mut following = table.follow(TableStart::Beginning);
    following.receive_to_the_end();
    for version in 0..6 {
        table.remove(&format!("_delta_log/{version:020}.json"));
    }
    table.make(&[("value", PrimitiveType::Binary)], &[]);
    let error = following.receive_to_the_error();
    assert!(error.contains("version 5 of file:///"), "{error}");
    assert!(error.contains("deleted or recreated"), "{error}");
}

#[test]
fn large_files_are_read_by_row_groups() {
    let mut table = Table::create();
    let many = WriterProperties::builder()
        .set_max_row_group_row_count(Some(500))
        .set_dictionary_enabled(false)
        .set_compression(Compression::LZ4_RAW)
        .build();
    table.append_files(&[0..100_000, 100_000..200_000], &many);
    let little = FollowConfig { read_ahead_bytes: 256 << 10, ..config(TableStart::Beginning) };
    let mut following = table.try_follow(&little).expect("connected");
    following.receive_to_the_end();
    assert_eq!(following.numbers(), all(0..200_000));
    assert_eq!(following.count("files_read"), 2);
    let one = WriterProperties::builder().set_max_row_group_row_count(None).build();
    table.append_as(200_000..300_000, &one);
    following.receive(300_000);
    assert_eq!(following.numbers(), all(0..300_000), "a row group larger than the read-ahead");
}

/// The messages read from a file with these columns.
fn texts_of(batch: &RecordBatch) -> (Vec<String>, Vec<Option<Vec<u8>>>) {
    let mut table = Table::nowhere();
    table.make(&[("value", PrimitiveType::String)], &[]);
    table.append_batches(std::slice::from_ref(batch), &WriterProperties::default());
    let mut following = table.follow(TableStart::Beginning);
    following.receive_to_the_end();
    let texts = following.texts().into_iter().map(str::to_owned).collect();
    (texts, following.received.iter().map(|(key, _)| key.clone()).collect())
}

#[test]
fn all_byte_and_text_types_are_messages() {
    let rows = ["", "a message longer than a view holds by itself", "ü"];
    let bytes = rows.map(str::as_bytes);
    let columns_of: [ArrayRef; 8] = [
        Arc::new(BinaryArray::from_iter_values(bytes)),
        Arc::new(LargeBinaryArray::from_iter_values(bytes)),
        Arc::new(BinaryViewArray::from_iter_values(bytes)),
        Arc::new(StringArray::from_iter_values(rows)),
        Arc::new(LargeStringArray::from_iter_values(rows)),
        Arc::new(StringViewArray::from_iter_values(rows)),
        Arc::new(rows.into_iter().collect::<DictionaryArray<Int32Type>>()),
        text(rows.map(Some)),
    ];
    for values in columns_of {
        let kind = values.data_type().clone();
        let (texts, keys) = texts_of(&columns([("value", values)]));
        assert_eq!(texts, rows, "{kind}");
        assert_eq!(keys, [None, None, None], "no column, no key");
    }
    let fixed = FixedSizeBinaryArray::try_from_iter([b"abc", b"def"].into_iter());
    let fixed: ArrayRef = Arc::new(fixed.expect("of one length"));
    let (texts, keys) = texts_of(&columns([("value", Arc::clone(&fixed)), ("key", fixed)]));
    assert_eq!(texts, ["abc", "def"]);
    assert_eq!(keys, [Some(b"abc".to_vec()), Some(b"def".to_vec())]);
    let numbers: ArrayRef = Arc::new(deltalake::arrow::array::Int64Array::from(vec![1, 2]));
    let (_, keys) = texts_of(&columns([("key", numbers), ("value", text([Some("a"), None]))]));
    assert_eq!(keys, [None], "numbers are not keys, and null is not a message");
}

#[test]
fn rows_without_value_are_counted_and_skipped() {
    let mut table = Table::nowhere();
    table.make(&[("key", PrimitiveType::String), ("value", PrimitiveType::String)], &[]);
    let keyed = text([Some("k"), None, Some(""), None]);
    let values = text([Some("1"), None, Some("2"), None]);
    let older = columns([("key", text([Some("from before there were values"); 3]))]);
    let plain = WriterProperties::default();
    table.append_batches(&[older, columns([("key", keyed), ("value", values)])], &plain);
    let mut following = table.follow(TableStart::Beginning);
    following.receive_to_the_end();
    let received: Vec<_> =
        following.received.iter().map(|(key, value)| (key.as_deref(), &value[..])).collect();
    assert_eq!(received, [(Some(&b"k"[..]), &b"1"[..]), (Some(b""), b"2")]);
    assert_eq!(following.count("rows_without_value"), 5);
}

#[test]
fn foreign_tables_with_partitions_and_checkpoints_are_followed() {
    let table = Table::nowhere();
    let columns_of = [
        ("day", PrimitiveType::String),
        ("value", PrimitiveType::String),
        ("other", PrimitiveType::Long),
    ];
    table.make(&columns_of, &["day"]);
    let mut following = table.follow(TableStart::Beginning);
    for round in 0..12_u64 {
        let mut loaded = table.load();
        let codec = if round % 2 == 0 { Compression::SNAPPY } else { Compression::UNCOMPRESSED };
        let properties = WriterProperties::builder().set_compression(codec).build();
        let writer = RecordBatchWriter::for_table(&loaded).expect("a writer");
        let mut writer = writer.with_writer_properties(properties);
        let days = text([Some("a b/c%d"), Some("2"), Some("a b/c%d")]);
        let number = |place: u64| (round * 3 + place).to_string();
        let values = [number(0), number(2), number(1)];
        let others: ArrayRef = Arc::new(deltalake::arrow::array::Int64Array::from(vec![7, 8, 9]));
        let values: ArrayRef = Arc::new(StringArray::from_iter_values(values));
        let batch = columns([("day", days), ("value", values), ("other", others)]);
        table.runtime.block_on(writer.write(batch)).expect("written");
        table.runtime.block_on(writer.flush_and_commit(&mut loaded)).expect("committed");
        if round == 5 {
            table.checkpoint();
        }
    }
    following.receive(36);
    let mut numbers = following.numbers();
    numbers.0.sort_unstable();
    assert_eq!(numbers, all(0..36));
    assert_eq!(following.count("files_read"), 24);
    table.checkpoint();
    assert_eq!(table.clean_up(), 12 + 1, "entries, and the first checkpoint");
    let mut later = table.numbers_from(TableStart::Beginning);
    later.0.sort_unstable();
    assert_eq!(later, all(0..36));
}

#[test]
fn harmless_table_changes_are_followed() {
    let mut table = Table::create();
    let mut following = table.follow(TableStart::Beginning);
    table.append(0..10);
    let schema = json!({"type": "struct", "fields": [
        {"name": "extra", "type": "date", "nullable": true, "metadata": {}},
        {"name": "value", "type": "binary", "nullable": true, "metadata": {}},
    ]});
    let metadata = json!({"metaData": {
        "id": "x", "format": {"provider": "parquet", "options": {}},
        "schemaString": schema.to_string(), "partitionColumns": [], "configuration": {},
    }});
    let protocol = json!({"protocol": {
        "minReaderVersion": 3, "minWriterVersion": 7,
        "readerFeatures": ["timestampNtz", "v2Checkpoint"], "writerFeatures": [],
    }});
    table.commit(&[metadata, protocol, json!({"txn": {"appId": "a", "version": 1}})]);
    table.append(10..20);
    let moved = json!({"remove": {"path": "part-00001.parquet", "dataChange": false}});
    let mut compacted = table.put_file(&file_of(&numbered(0..20), &WriterProperties::default()));
    compacted["add"]["dataChange"] = json!(false);
    table.commit(&[moved, compacted]);
    table.append(20..30);
    following.receive(30);
    assert_eq!(following.numbers(), all(0..30));
    assert_eq!(following.count("versions_with_removals"), 0);

    let deleted = json!({"remove": {"path": "part-00002.parquet", "dataChange": true}});
    let kept = table.put_file(&file_of(&numbered(30..33), &WriterProperties::default()));
    table.commit(&[deleted, kept]);
    following.receive(33);
    assert_eq!(following.count("versions_with_removals"), 1);
}

#[test]
fn unsupported_changes_are_refused_when_reached() {
    let feature = json!({"protocol": {
        "minReaderVersion": 3, "minWriterVersion": 7,
        "readerFeatures": ["catalogManaged"], "writerFeatures": ["catalogManaged"],
    }});
    let schema = r#"{"type":"struct","fields":[{"name":"message","type":"binary"}]}"#;
    let renamed = json!({"metaData": {"id": "x", "schemaString": schema}});
    let deletions = json!({"add": {
        "path": "part-00001.parquet", "size": 10, "partitionValues": {}, "dataChange": true,
        "modificationTime": 1, "deletionVector": {"storageType": "u", "pathOrInlineDv": "x"},
    }});
    let outside = json!({"add": {
        "path": "s3://elsewhere/x.parquet", "size": 10, "partitionValues": {},
        "dataChange": true, "modificationTime": 1,
    }});
    for (action, message) in [
        (feature, "does not support: catalogManaged"),
        (renamed, "no column 'value'"),
        (deletions, "has a deletion vector"),
        (outside, "is outside the table"),
    ] {
        let mut table = Table::create();
        let mut following = table.follow(TableStart::Beginning);
        table.append(0..10);
        table.commit(&[action]);
        table.append(10..20);
        let error = following.receive_to_the_error();
        assert!(error.contains("version 2 of file:///") && error.contains(message), "{error}");
        assert_eq!(following.numbers(), all(0..10), "{message}");
    }
    let table = Table::nowhere();
    table.make(&[("text", PrimitiveType::String)], &[]);
    let error = table.try_follow(&config(TableStart::End)).err().expect("refused").to_string();
    assert!(error.contains("no column 'value'"), "{error}");
    let error = table.follow(TableStart::Beginning).receive_to_the_error();
    assert!(error.contains("no column 'value'"), "{error}");
}

#[test]
fn column_names_ignore_case() {
    let table = &mut Table::nowhere();
    table.make(&[("Value", PrimitiveType::String), ("KEY", PrimitiveType::String)], &[]);
    let rows = columns([("Value", text([Some("a"), Some("b")])), ("KEY", text([None, Some("k")]))]);
    table.append_batches(&[rows], &WriterProperties::default());
    let mut following = table.follow(TableStart::Beginning);
    following.receive(2);
    assert_eq!(following.texts(), ["a", "b"]);
    let opened = table.runtime.block_on(bench_delta::Table::open(&table.lake));
    let refused = opened.expect("opened").expect("there").check(&[]).expect_err("refused");
    let refused = refused.to_string();
    assert!(refused.contains("column 'Value' should be named 'value'"), "{refused}");
    assert!(refused.ends_with("use another table with --lake-path"), "{refused}");
}

#[test]
fn schema_change_remedies_work() {
    let schema = |field: &str| {
        let schema = format!(r#"{{"type":"struct","fields":[{field}]}}"#);
        json!({"metaData": {
            "id": "x", "format": {"provider": "parquet", "options": {}},
            "schemaString": schema, "partitionColumns": [], "configuration": {},
        }})
    };
    let value = r#"{"name":"value","type":"binary","nullable":true,"metadata":{}}"#;
    for bad in [
        r#"{"name":"text","type":"binary","nullable":true,"metadata":{}}"#,
        r#"{"name":"value","type":"long","nullable":true,"metadata":{}}"#,
    ] {
        let mut table = Table::create();
        let mut following = table.follow(TableStart::Beginning);
        table.append(0..10);
        table.commit(&[schema(bad)]);
        let error = following.receive_to_the_error();
        assert!(error.contains("version 2 of file:///"), "{error}");
        assert!(error.contains("--lake-path") && error.contains("--from version:N"), "{error}");
        let refused = table.try_follow(&config(TableStart::End)).err().expect("refused");
        assert!(refused.to_string().contains("--from version:N"), "{refused}");
        let mended = table.commit(&[schema(value)]);
        table.append(10..20);
        assert_eq!(table.numbers_from(TableStart::Version(mended)), all(10..20));
    }
}

#[test]
fn broken_files_are_reported() {
    let whole = file_of(&numbered(0..50_000), &WriterProperties::default());
    let mut scrambled = whole.clone();
    let end = scrambled.len() - 2_000;
    for byte in &mut scrambled[4..end] {
        *byte ^= 0x5a;
    }
    let cut = &whole[..whole.len() / 2];
    let numbers: ArrayRef = Arc::new(deltalake::arrow::array::Int64Array::from(vec![1, 2]));
    let other_type = file_of(&columns([("value", numbers)]), &WriterProperties::default());
    for read_ahead_bytes in [64 << 20, 16 << 10] {
        for (bytes, message) in [
            (&scrambled[..], ""),
            (cut, ""),
            (b"PAR1", ""),
            (b"", ""),
            (&other_type, "has type Int64"),
        ] {
            let mut table = Table::create();
            let add = table.put_file(bytes);
            table.commit(&[add]);
            let held = FollowConfig { read_ahead_bytes, ..config(TableStart::Beginning) };
            let error = table.try_follow(&held).expect("connected").receive_to_the_error();
            assert!(error.contains("data file part-00001.parquet of file:///"), "{error}");
            assert!(
                error.contains("in version 1, is unreadable") && error.contains(message),
                "{error}"
            );
        }
    }
    let table = Table::create();
    table.put("_delta_log/00000000000000000001.json", b"{\"add\":{\"path\":");
    let error = table.try_follow(&config(TableStart::Beginning)).err().expect("broken").to_string();
    assert!(error.contains("version 1 of file:///"), "{error}");
    assert!(error.contains("unreadable log entry: line 1"), "{error}");
}
