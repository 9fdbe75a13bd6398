//! The format of data files and tables.

use super::*;
use crate::schema::PartitionColumn;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn rows_match_messages_with_every_compression() {
    use Compression::{Lz4, None as Plain, Snappy, Zstd};
    let messages = messages(0..5_000);
    for (compression, extension) in
        [(Plain, "-c000.parquet"), (Snappy, ".snappy.parquet"), (Lz4, ".lz4raw.parquet")]
            .into_iter()
            .chain([(Zstd, ".zstd.parquet")])
    {
        let folder = folder();
        let rig = Rig::in_folder(folder.path());
        let config = PublishConfig { compression, ..config() };
        rig.create(&config).expect("a table");
        assert!(rig.publish(config, &messages).all_acked(5_000));
        assert_eq!(rig.rows(), expected(3, &messages), "{compression:?}");
        let files: Vec<_> = rig.versions().into_values().flatten().collect();
        assert!(files.iter().all(|file| file.ends_with(extension)), "{files:?}");
        assert_eq!(rig.count("data_files"), files.len() as u64);
    }
}

#[test]
fn files_close_at_size_except_single_large_messages() {
    let folder = folder();
    let rig = Rig::in_folder(folder.path());
    let config = PublishConfig { file_bytes_max: 1_000, commit_interval_ns: SECOND_NS, ..config() };
    rig.create(&config).expect("a table");
    let sizes = [400, 400, 400, 5_000, 100];
    let messages: Vec<Message> = sizes.map(|size| (None, vec![7; size])).into();
    assert!(rig.publish(config, &messages).all_acked(5));
    assert_eq!(rig.rows(), expected(3, &messages));
    let files: Vec<_> = rig.versions().into_values().flatten().collect();
    let rows: Vec<_> = files.iter().map(|file| rig.rows_of(file).len()).collect();
    assert_eq!(rows, [2, 1, 1, 1]);
}

#[test]
fn partition_columns_are_folders_only() {
    use PartitionColumn::{Date, Hour, Producer};
    let messages = messages(0..10);
    for partition_by in [vec![Producer], vec![Date, Hour], vec![Hour, Date, Producer]] {
        let folder = folder();
        let rig = Rig::in_folder(folder.path());
        let config = PublishConfig { partition_by: partition_by.clone(), ..config() };
        rig.create(&config).expect("a table");
        assert!(rig.publish(config, &messages).all_acked(10));
        assert_eq!(rig.rows(), expected(3, &messages), "{partition_by:?}");
        let files: Vec<_> = rig.versions().into_values().flatten().collect();
        let names: Vec<_> = files[0].split('/').filter_map(|part| part.split_once('=')).collect();
        for (name, value) in names.iter().copied() {
            match name {
                "producer" => assert_eq!(value, "3"),
                "hour" => assert!(value.parse::<u8>().is_ok_and(|hour| hour < 24), "{value}"),
                _ => assert!(value.starts_with("20") && value.len() == 10, "{value}"),
            }
        }
        let order: Vec<_> = names.iter().map(|(name, _)| *name).collect();
        assert_eq!(order, crate::schema::partition_names(&partition_by));
    }
}

#[test]
fn both_commit_paths_write_the_same_rows() {
    let messages = messages(0..3_000);
    let rows = [CommitPath::Direct, CommitPath::Std].map(|commit| {
        let folder = folder();
        let rig = Rig::in_folder(folder.path());
        let config = PublishConfig { commit, file_bytes_max: 20_000, ..config() };
        rig.create(&config).expect("a table");
        assert!(rig.publish(config, &messages).all_acked(3_000), "{commit:?}");
        let versions = rig.versions();
        assert!(versions.values().skip(1).all(|files| !files.is_empty()), "{versions:?}");
        assert_eq!(rig.count("commits"), versions.len() as u64 - 1, "{commit:?}");
        rig.rows()
    });
    assert_eq!(rows[0], expected(3, &messages));
    assert_eq!(rows[0], rows[1]);
}

#[test]
fn racing_creators_share_one_table() {
    let folder = folder();
    let rig = Rig::in_folder(folder.path());
    std::thread::scope(|scope| {
        let create = || scope.spawn(|| rig.create(&config()).expect("a table").version());
        let creators: Vec<_> = (0..8).map(|_| create()).collect();
        assert!(creators.into_iter().all(|creator| creator.join().expect("no panic") == 0));
    });
    assert_eq!(rig.versions().len(), 1);
}

#[test]
fn foreign_tables_are_refused_with_differences() {
    let folder = folder();
    let rig = Rig::in_folder(folder.path());
    rig.create(&PublishConfig { partition_by: vec![PartitionColumn::Date], ..config() })
        .expect("a table");
    let error = rig.create(&config()).expect_err("it is partitioned");
    let text = error.to_string();
    assert!(text.contains("column 'date'") && text.contains("by date, not by nothing"), "{text}");
    let connect =
        || DeltaPublisher::connect(&rig.lake, config(), rig.clock, &rig.counts, &rig.durations);
    assert!(matches!(connect(), Err(DeltaError::OtherColumns { .. })));
}

#[test]
fn unsupported_writer_rules_are_refused() {
    let rules = [
        (r#"{"protocol":{"minReaderVersion":1,"minWriterVersion":8}}"#, "", "version 8"),
        (
            r#"{"protocol":{"minReaderVersion":1,"minWriterVersion":7,"writerFeatures":["rowTracking","domainMetadata"]}}"#,
            "",
            "the feature rowTracking",
        ),
        ("", r#""delta.constraints.c":"sequence > 1""#, "the property delta.constraints.c"),
        (
            r#"{"protocol":{"minReaderVersion":1,"minWriterVersion":7,"writerFeatures":["appendOnly","changeDataFeed"]}}"#,
            r#""delta.appendOnly":"true""#,
            "",
        ),
    ];
    for (protocol, property, expected) in rules {
        let folder = folder();
        let rig = Rig::in_folder(folder.path());
        rig.create(&config()).expect("a table");
        let path = folder.path().join("_delta_log/00000000000000000000.json");
        let mut text = std::fs::read_to_string(&path).expect("an entry");
        if !protocol.is_empty() {
            text = text
                .lines()
                .filter(|line| !line.contains("protocol"))
                .collect::<Vec<_>>()
                .join("\n");
            text = format!("{protocol}\n{text}");
        }
        text = text.replace(r#""configuration":{}"#, &format!(r#""configuration":{{{property}}}"#));
        std::fs::write(&path, text).expect("an entry");
        match rig.create(&config()) {
            Ok(_) => assert_eq!(expected, "", "{protocol} {property}"),
            Err(error) => {
                let text = error.to_string();
                assert!(!expected.is_empty() && text.contains(expected), "{text}");
            }
        }
    }
}
