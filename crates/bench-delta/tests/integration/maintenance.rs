//! Compaction and vacuum, and their effect on followers.

use std::time::Duration;

use crate::table::{Table, all, columns, numbered, text};
use bench_delta::maintenance::{Optimized, optimize, vacuum};
use bench_delta::receive::TableStart;
use deltalake::DeltaTable;
use deltalake::arrow::array::RecordBatch;
use deltalake::kernel::PrimitiveType;
use deltalake::logstore::object_store::ObjectStoreExt as _;
use deltalake::parquet::basic::Compression;
use deltalake::parquet::file::metadata::{ParquetMetaDataReader, RowGroupMetaData};
use deltalake::parquet::file::properties::WriterProperties;
use deltalake::writer::{DeltaWriter as _, RecordBatchWriter};

/// Larger than any of the small files here.
const TARGET_BYTES: u64 = 1 << 20;

fn compacted(table: &Table, target_bytes: u64) -> Optimized {
    table.runtime.block_on(optimize(&table.lake, target_bytes)).expect("compacted")
}

fn vacuumed(table: &Table) -> Vec<String> {
    let done = vacuum(&table.lake, Duration::ZERO, false);
    table.runtime.block_on(done).expect("vacuumed").files
}

/// Sizes of the table's files.
fn sizes(table: &Table) -> Vec<i64> {
    let loaded = table.load();
    let state = loaded.snapshot().expect("loaded");
    state.log_data().iter().map(|file| file.size()).collect()
}

#[test]
fn compaction_keeps_rows_and_order() {
    let mut table = Table::create();
    let stored = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_compression(Compression::LZ4_RAW)
        .build();
    for first in (0..1_000).step_by(10) {
        table.append_files(&[first..first + 3, first + 3..first + 10], &stored);
    }
    let mut following = table.follow(TableStart::Beginning);
    following.receive(1_000);
    let done = compacted(&table, TARGET_BYTES);
    assert_eq!((done.version, done.files_removed, done.files_added), (Some(101), 200, 1));
    assert_eq!(sizes(&table), [i64::try_from(done.bytes_added).expect("small")]);
    assert!(done.bytes_added < done.bytes_removed);
    assert_eq!(compacted(&table, TARGET_BYTES), Optimized::default(), "there is nothing to do");
    table.append(1_000..1_010);

    let before = table.numbers_from(TableStart::Beginning);
    assert_eq!(before, all(0..1_010), "the files are still there");
    let dry = table.runtime.block_on(vacuum(&table.lake, Duration::ZERO, true)).expect("looked");
    assert_eq!((dry.files.len(), dry.dry_run), (200, true));
    assert_eq!(table.numbers_from(TableStart::Version(1)), all(0..1_010));
    assert_eq!(vacuumed(&table).len(), 200);
    assert_eq!(table.numbers_from(TableStart::Beginning), all(0..1_010), "from what is left");

    following.receive(1_010);
    following.receive_to_the_end();
    assert_eq!(following.numbers(), all(0..1_010));
    let error = table.follow(TableStart::Version(50)).receive_to_the_error();
    assert!(error.contains("was removed before it was read"), "{error}");
}

#[test]
fn order_survives_repeated_compaction() {
    let mut table = Table::create();
    let large = 40_000;
    let mut next = 0;
    for round in 0..4 {
        for _ in 0..5 {
            table.append(next..next + 20);
            next += 20;
        }
        table.append(next..next + large);
        next += large;
        table.append(next..next + 20);
        next += 20;
        let done = compacted(&table, 64 << 10);
        assert!(done.files_removed > done.files_added, "{round}: {done:?}");
        vacuumed(&table);
        table.checkpoint();
        table.clean_up();
        assert_eq!(table.numbers_from(TableStart::Beginning), all(0..next), "{round}");
    }
}

#[test]
fn maintenance_does_not_disturb_followers() {
    let mut table = Table::create();
    let mut following = table.follow(TableStart::Beginning);
    std::thread::scope(|scope| {
        let (lake, runtime) = (table.lake.clone(), tokio::runtime::Runtime::new());
        let runtime = runtime.expect("a runtime");
        let keeper = scope.spawn(move || {
            let mut done = 0;
            for _ in 0..8 {
                // Whether there was anything to merge depends on timing.
                done +=
                    runtime.block_on(optimize(&lake, TARGET_BYTES)).expect("kept").files_removed;
                std::thread::sleep(Duration::from_millis(50));
            }
            done
        });
        for first in (0..4_000).step_by(10) {
            table.append(first..first + 10);
        }
        assert!(keeper.join().expect("the thread ends") > 0);
    });
    following.receive(4_000);
    compacted(&table, TARGET_BYTES);
    assert!(!vacuumed(&table).is_empty());
    following.receive_to_the_end();
    assert_eq!(following.numbers(), all(0..4_000));
    assert_eq!(table.numbers_from(TableStart::Beginning), all(0..4_000));
}

#[test]
fn only_one_of_several_compactions_succeeds() {
    let mut table = Table::create();
    for round in 0..5 {
        let first = round * 200;
        for first in (first..first + 200).step_by(10) {
            table.append(first..first + 10);
        }
        let lake = &table.lake;
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let one = || {
                let runtime = tokio::runtime::Runtime::new().expect("a runtime");
                runtime.block_on(optimize(lake, TARGET_BYTES))
            };
            let all: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
            all.into_iter().map(|one| one.join().expect("the thread ends")).collect()
        });
        let did = outcomes.iter().filter(|done| matches!(done, Ok(done) if done.version.is_some()));
        assert_eq!(did.count(), 1, "{outcomes:?}");
        for error in outcomes.into_iter().filter_map(Result::err) {
            let error = error.to_string();
            assert!(error.contains("as well; retry when no other writer"), "{error}");
        }
        vacuumed(&table);
        assert_eq!(sizes(&table).len(), 1, "the others left nothing in the table");
        assert_eq!(table.numbers_from(TableStart::Beginning), all(0..first + 200));
    }
}

fn write(table: &Table, loaded: &mut DeltaTable, batch: RecordBatch) {
    let mut writer = RecordBatchWriter::for_table(loaded).expect("a writer");
    table.runtime.block_on(writer.write(batch)).expect("written");
    table.runtime.block_on(writer.flush_and_commit(loaded)).expect("committed");
}

#[test]
fn partitions_and_schemas_are_merged_separately() {
    let table = Table::nowhere();
    table.make(&[("day", PrimitiveType::String), ("value", PrimitiveType::String)], &["day"]);
    let mut loaded = table.load();
    let days = ["1/2", "a b", "1/2", "a b", "1/2"];
    for (number, day) in days.into_iter().enumerate() {
        let value = number.to_string();
        let batch = columns([("day", text([Some(day)])), ("value", text([Some(&value)]))]);
        write(&table, &mut loaded, batch);
    }
    let done = compacted(&table, TARGET_BYTES);
    assert_eq!((done.files_removed, done.files_added), (5, 2));
    vacuumed(&table);
    let mut numbers = table.numbers_from(TableStart::Beginning);
    numbers.0.sort_unstable();
    assert_eq!(numbers, all(0..5));
    let state = table.load();
    let state = state.snapshot().expect("loaded");
    let mut found: Vec<_> = state
        .log_data()
        .iter()
        .map(|file| (file.partition_values_map()["day"].clone(), file.num_records()))
        .collect();
    found.sort();
    let expected = [("1/2", 3), ("a b", 2)];
    assert_eq!(found, expected.map(|(day, rows)| (Some(day.to_owned()), Some(rows))));

    let mut mixed = Table::create();
    mixed.append(0..10);
    mixed.append(10..20);
    let values = columns([("value", text([Some("20")]))]);
    mixed.append_batches(&[values.clone(), values], &WriterProperties::default());
    let done = compacted(&mixed, TARGET_BYTES);
    assert_eq!((done.files_removed, done.files_added), (4, 2), "one file for each kind of columns");
    vacuumed(&mixed);
    let mut expected = all(0..21);
    expected.0.push(20);
    assert_eq!(mixed.numbers_from(TableStart::Beginning), expected);
}

#[test]
fn rows_per_group_are_bounded() {
    let mut table = Table::create();
    let plain = WriterProperties::default();
    for first in (0..400_000).step_by(100_000) {
        table.append_batches(&[numbered(first..first + 100_000)], &plain);
    }
    let done = compacted(&table, 1 << 30);
    assert_eq!((done.files_removed, done.files_added), (4, 1));
    let state = table.load();
    let file = state.snapshot().expect("loaded").log_data().iter().next().expect("a file");
    assert_eq!(file.num_records(), Some(400_000));
    let bytes = async { table.lake.store().get(&file.object_store_path()).await?.bytes().await };
    let bytes = table.runtime.block_on(bytes).expect("read");
    let footer = ParquetMetaDataReader::new().parse_and_finish(&bytes).expect("a footer");
    let rows: Vec<i64> = footer.row_groups().iter().map(RowGroupMetaData::num_rows).collect();
    assert_eq!(rows, [131_072, 131_072, 131_072, 6_784]);
    vacuumed(&table);
    assert_eq!(table.numbers_from(TableStart::Beginning), all(0..400_000));
}

#[test]
fn impossible_maintenance_is_refused() {
    let nowhere = Table::nowhere();
    let error = nowhere.runtime.block_on(optimize(&nowhere.lake, TARGET_BYTES)).expect_err("none");
    assert!(error.to_string().contains("there is no Delta table at file:///"), "{error}");
    let none = vacuum(&nowhere.lake, Duration::ZERO, true);
    let error = nowhere.runtime.block_on(none).expect_err("none");
    assert!(error.to_string().contains("there is no Delta table at file:///"), "{error}");

    let mut careful = Table::nowhere();
    let create = DeltaTable::new(careful.lake.log_store()).create().with_column(
        "value",
        deltalake::kernel::DataType::BINARY,
        true,
        None,
    );
    careful.runtime.block_on(async { create.await }).expect("created");
    careful.append(0..10);
    careful.append(10..20);
    compacted(&careful, TARGET_BYTES);
    let soon = vacuum(&careful.lake, Duration::from_hours(1), false);
    let error = careful.runtime.block_on(soon).expect_err("too soon").to_string();
    assert!(
        error.contains("a retention of 3600s") && error.contains("files for 604800s"),
        "{error}"
    );
    let week = vacuum(&careful.lake, Duration::from_hours(7 * 24), false);
    assert_eq!(careful.runtime.block_on(week).expect("vacuumed").files, [""; 0]);
    assert_eq!(careful.numbers_from(TableStart::Version(1)), all(0..20), "the old files are there");
}
