//! Locations and files whose names URLs encode.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::table::{self, Table, all, on_s3};
use bench_core::counts::Counts;
use bench_delta::Lake;
use bench_delta::maintenance::{optimize, vacuum};
use bench_delta::receive::TableStart;
use bench_testing::S3;
use deltalake::kernel::PrimitiveType;
use deltalake::parquet::file::properties::WriterProperties;
use serde_json::json;

/// Names that are encoded in URLs.
const NAMES: [&str; 13] = [
    "a%20b", "a b", "a%2520b", "a%2Fb", "a/b", "50%", "x+y", "zwölf", "z%C3%B6", "%2e%2e", "~",
    "a&b=c;d", "'q'",
];

/// A selection for servers, where each takes many requests.
const KEYS: [&str; 6] = ["a%20b", "a b", "a%2520b", "50%", "x+y", "zwölf/a&b=c;d"];

/// Names that only folders can have.
const FOLDER_NAMES: [&str; 3] = ["a#1?", "back\\slash", "*"];

/// Creates a table with delta-rs, and writes, follows and compacts it.
fn use_table(lake: Lake, counts: Counts, first: u64) {
    let uri = lake.uri().to_owned();
    let mut table = Table::at(lake, counts, None);
    table.make(&[("key", PrimitiveType::Binary), ("value", PrimitiveType::Binary)], &[]);
    for place in 0..3 {
        table.append(first + place * 10..first + place * 10 + 10);
    }
    table.checkpoint();
    table.append(first + 30..first + 40);
    let rows = all(first..first + 40);
    assert_eq!(table.numbers_from(TableStart::Beginning), rows, "{uri}");
    assert_eq!(table.numbers_from(TableStart::Version(4)), all(first + 30..first + 40), "{uri}");
    let done = table.runtime.block_on(optimize(&table.lake, 1 << 20)).expect(&uri);
    assert_eq!((done.version, done.files_removed), (Some(5), 4), "{uri}");
    let gone = table.runtime.block_on(vacuum(&table.lake, Duration::ZERO, false)).expect(&uri);
    assert_eq!(gone.files.len(), 4, "{uri}");
    table.clean_up();
    assert_eq!(table.numbers_from(TableStart::Beginning), rows, "{uri}");
    let opened = table.runtime.block_on(bench_delta::Table::open(&table.lake)).expect(&uri);
    assert_eq!(opened.expect("a table").version(), table.load().version().expect("loaded"));
}

/// The names of the folders below `at`, without tables' own.
fn folders(at: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(at).expect("a folder");
    entries.map(|entry| entry.expect("one").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn folder_names_are_used_as_given() {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, first) in NAMES.iter().chain(&FOLDER_NAMES).zip((0..).step_by(100)) {
        let counts = Counts::default();
        let folder = dir.path().join(name);
        use_table(Lake::folder(&folder, &counts).expect("a lake"), counts, first);
        assert!(folder.join("_delta_log").is_dir(), "{name}");
    }
    let mut expected: BTreeSet<_> =
        NAMES.iter().chain(&FOLDER_NAMES).map(|name| (*name).to_owned()).collect();
    expected.remove("a/b");
    expected.insert("a".to_owned());
    assert_eq!(folders(dir.path()), expected, "and no others");
}

#[test]
fn object_keys_are_used_as_given() {
    for s3 in S3::each("object_keys_are_used_as_given") {
        for (name, first) in KEYS.iter().zip((0..).step_by(100)) {
            let counts = Counts::default();
            use_table(on_s3(&s3, &format!("names/{name}"), &counts), counts, first);
        }
    }
}

#[test]
fn file_paths_are_decoded_once() {
    let paths = [
        ("day=1%252F2/a.parquet", "day=1%2F2/a.parquet"),
        ("day=a%20b/b.parquet", "day=a b/b.parquet"),
        ("day=a%2520b/c.parquet", "day=a%20b/c.parquet"),
        ("day=10%253A00/d%23e%3Ff%25.parquet", "day=10%3A00/d#e?f%.parquet"),
        ("z%C3%B6/a+b.parquet", "zö/a+b.parquet"),
        ("day=%F0%9F%A6%80/x%5Ey.parquet", "day=🦀/x^y.parquet"),
    ];
    let servers = S3::each("files_are_what_the_log_says");
    let mut tables = vec![Table::create()];
    for s3 in &servers {
        let counts = Counts::default();
        let table = Table::at(on_s3(s3, "names/files", &counts), counts, None);
        table.make(&[("key", PrimitiveType::Binary), ("value", PrimitiveType::Binary)], &[]);
        tables.push(table);
    }
    for mut table in tables {
        let plain = WriterProperties::default();
        for ((uri, path), first) in paths.iter().zip((0..).step_by(10)) {
            let file = table::file_of(&table::numbered(first..first + 10), &plain);
            let mut add = table.put_file(&file);
            table.put_raw(path, &file);
            add["add"]["path"] = json!(uri);
            table.commit(&[add]);
        }
        assert_eq!(table.numbers_from(TableStart::Beginning), all(0..60));
        table.checkpoint();
        table.clean_up();
        assert_eq!(table.numbers_from(TableStart::Beginning), all(0..60), "from its state");
        let done = table.runtime.block_on(optimize(&table.lake, 1 << 20)).expect("compacted");
        assert_eq!((done.files_removed, done.files_added), (6, 1));
        let gone = table.runtime.block_on(vacuum(&table.lake, Duration::ZERO, false));
        assert_eq!(gone.expect("vacuumed").files.len(), 6);
        assert_eq!(table.numbers_from(TableStart::Beginning), all(0..60), "compacted");
    }
}
