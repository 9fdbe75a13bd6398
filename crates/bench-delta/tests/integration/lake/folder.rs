//! Tables in folders.

use std::collections::BTreeMap;
use std::path::Path as FilePath;

use bench_core::counts::Counts;
use bench_delta::{Access, DeltaError, Lake, lake};
use deltalake::DeltaTableBuilder;
use deltalake::kernel::{DataType, PrimitiveType, StructField};
use deltalake::logstore::object_store::path::Path;
use deltalake::logstore::object_store::{ObjectStoreExt as _, PutPayload};
use deltalake::operations::create::CreateBuilder;
use futures_util::StreamExt as _;

use super::race::race;

const WRITE: Access = Access::Write { create_bucket: false };

/// The counts that are not 0.
fn counted(counts: &Counts) -> BTreeMap<String, u64> {
    counts.read().into_iter().filter(|(_, count)| *count > 0).collect()
}

fn expected(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
    counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

fn files(folder: &FilePath) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let name = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    entries.map(|entry| name(entry.expect("an entry"))).collect()
}

#[tokio::test]
async fn folder_operations_are_counted_as_requests() {
    let dir = tempfile::tempdir().expect("a folder");
    let counts = Counts::default();
    let lake = Lake::folder(&dir.path().join("table"), &counts).expect("a lake");
    assert!(counts.read().values().all(|count| *count == 0) && counts.read().len() == 8);
    let (a, b) = (Path::from("_delta_log/a"), Path::from("b"));
    lake.store().put(&a, PutPayload::from_static(b"0123456789")).await.expect("written");
    lake.store().copy(&a, &b).await.expect("copied");
    let read = lake.store().get(&a).await.expect("found").bytes().await.expect("read");
    assert_eq!(read, "0123456789");
    let part = lake.store().get_range(&b, 2..5).await.expect("read");
    assert_eq!(part, "234");
    assert_eq!(lake.store().head(&b).await.expect("found").size, 10);
    lake.store().get(&Path::from("missing")).await.expect_err("is missing");
    let listed: Vec<_> = lake.store().list(None).collect().await;
    assert_eq!(listed.len(), 2);
    lake.store().delete(&b).await.expect("deleted");
    assert!(dir.path().join("table/_delta_log/a").is_file(), "the store is rooted at the table");
    let requests = expected(&[
        ("put_requests", 2),
        ("get_requests", 3),
        ("head_requests", 1),
        ("list_requests", 1),
        ("delete_requests", 1),
        ("bytes_written", 10),
        ("bytes_read", 13),
    ]);
    assert_eq!(counted(&counts), requests);
}

#[tokio::test]
async fn delta_rs_requests_are_counted() {
    let dir = tempfile::tempdir().expect("a folder");
    for name in ["table", "a b", "50%", "zwölf", "a#1?"] {
        let counts = Counts::default();
        let folder = dir.path().join(name);
        let lake = Lake::folder(&folder, &counts).expect("a lake");
        let column = StructField::new("value", DataType::Primitive(PrimitiveType::Binary), false);
        CreateBuilder::new()
            .with_log_store(lake.log_store())
            .with_columns([column])
            .await
            .expect("a table");
        let first = Path::from("_delta_log/00000000000000000000.json");
        let entry = lake.store().get(&first).await.expect("an entry").bytes().await.expect("whole");
        assert!(String::from_utf8_lossy(&entry).contains("\"metaData\""), "{name}");
        assert!(folder.join(first.as_ref()).is_file(), "{name}");
        assert!(counts.read()["put_requests"] > 0, "{name}: {:?}", counts.read());
        let before = counts.read();
        let mut table = deltalake::DeltaTable::new(lake.log_store());
        table.load().await.expect("loaded");
        assert_eq!(table.version(), Some(0), "{name}");
        assert!(counts.read()["get_requests"] > before["get_requests"], "{name}");
        assert!(lake.uri().starts_with("file:///"), "{}", lake.uri());
        let by_uri = DeltaTableBuilder::from_url(lake.uri().parse().expect("a URL"));
        let by_uri = by_uri.expect("a builder").load().await.expect("others find it there");
        assert_eq!(by_uri.version(), Some(0), "{name}");
    }
}

#[test]
fn store_works_on_every_kind_of_runtime() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = Lake::folder(dir.path(), &Counts::default()).expect("a lake");
    let mut kinds = [
        tokio::runtime::Builder::new_current_thread(),
        tokio::runtime::Builder::new_multi_thread(),
    ];
    for (number, kind) in kinds.iter_mut().enumerate() {
        let runtime = kind.enable_all().build().expect("a runtime");
        let path = Path::from(format!("{number}"));
        runtime.block_on(lake.store().put(&path, "x".into())).expect("written");
    }
    assert_eq!(files(dir.path()).len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_eight_creators_wins() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = Lake::folder(dir.path(), &Counts::default()).expect("a lake");
    race(&lake, 300).await;
}

#[tokio::test]
async fn checking_a_folder_changes_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let new = dir.path().join("a/b");
    lake::prepare_folder(&new, Access::Read).await.expect("the table may come later");
    assert!(!new.exists());
    lake::prepare_folder(&new, WRITE).await.expect("a folder");
    assert_eq!(files(dir.path()), Vec::<String>::new(), "the first write creates it");
    std::fs::create_dir_all(&new).expect("made");
    lake::prepare_folder(&new, WRITE).await.expect("a folder");
    assert_eq!(files(&new), Vec::<String>::new());
    lake::prepare_folder(&new, Access::Read).await.expect("a folder");
}

#[tokio::test]
async fn files_are_refused_as_folders() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("file");
    std::fs::write(&file, b"x").expect("written");
    for access in [Access::Read, WRITE] {
        let error = lake::prepare_folder(&file, access).await.expect_err("is a file");
        assert!(matches!(error, DeltaError::NotAFolder { .. }) && error.is_usage(), "{error}");
        assert!(error.to_string().contains("file is a file; use a folder"), "{error}");
        let below = file.join("table");
        let error = lake::prepare_folder(&below, access).await.expect_err("is below a file");
        assert!(matches!(error, DeltaError::Folder { .. }), "{error}");
    }
    assert_eq!(std::fs::read(&file).expect("untouched"), b"x");
}

#[tokio::test]
async fn read_only_folders_are_refused_for_writing() {
    // Nobody creates files there, not even root.
    let error = lake::prepare_folder(FilePath::new("/proc/self"), WRITE).await;
    let error = error.expect_err("nothing can be written there");
    assert!(error.to_string().starts_with("failed to write to the folder /proc/self"), "{error}");
    let dir = tempfile::tempdir().expect("a folder");
    let link = dir.path().join("link");
    std::os::unix::fs::symlink("nowhere", &link).expect("linked");
    let error = lake::prepare_folder(&link, WRITE).await.expect_err("a link to nowhere");
    assert!(error.to_string().starts_with("failed to write to the folder /"), "{error}");
    assert_eq!(files(dir.path()), ["link"]);
    let error = lake::prepare_folder(FilePath::new("/proc/self/table"), WRITE).await;
    let error = error.expect_err("nothing can be created there");
    assert!(error.to_string().starts_with("failed to create the folder /proc/self"), "{error}");
}
