//! Compaction and vacuum between runs.

use bench_testing::tool::{Place, Said};

use crate::TOOL;
use crate::tables::{S3, folder, messages_as_they_come};

/// A table of about twenty small files in this folder.
fn table(place: &Place) {
    let args = "--lake-path t --rate 5k/s --duration 1s --commit-interval 50ms";
    let said = place.run(args);
    assert_eq!(said.code, 0, "{said:?}");
}

fn maintain(place: &Place, args: &str) -> Said {
    place.run(&format!("maintain --lake-path t {args}"))
}

#[test]
fn compaction_merges_files_and_keeps_order() {
    let place = Place::new(TOOL);
    table(&place);
    let lake = folder(&place.path().join("t"));
    let before = messages_as_they_come(&lake);
    let said = maintain(&place, "--optimize --output json");
    assert_eq!(said.code, 0, "{said:?}");
    let report = said.json();
    assert_eq!(
        (&report["schema_version"], &report["optimized"]["files_added"]),
        (&1.into(), &1.into())
    );
    assert!(report["optimized"]["files_removed"].as_u64() > Some(10), "{said:?}");
    assert!(messages_as_they_come(&lake) == before);
    let again = maintain(&place, "--optimize");
    assert!(again.code == 0 && again.stdout.contains("nothing to do"), "{again:?}");
    // Files are kept for seven days.
    for args in ["--vacuum --dry-run", "--vacuum --yes", "--vacuum"] {
        let said = maintain(&place, args);
        assert!(said.code == 0 && said.stdout.contains("vacuumed: 0 files"), "{args}: {said:?}");
    }
    let said = maintain(&place, "--vacuum --retention 1h --yes");
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("deletedFileRetentionDuration"), "{said:?}");
}

#[test]
fn files_are_removed_only_on_confirmation() {
    let place = Place::new(TOOL);
    table(&place);
    shorten_retention(&place);
    let said = maintain(&place, "--optimize");
    assert_eq!(said.code, 0, "{said:?}");
    let files = || {
        let entries = std::fs::read_dir(place.path().join("t")).expect("a folder").flatten();
        entries.filter(|entry| entry.path().extension().is_some()).count()
    };
    let before = files();
    let said = maintain(&place, "--vacuum --retention 0s --dry-run --output csv");
    assert_eq!((said.code, files()), (0, before), "{said:?}");
    assert_eq!(said.stdout.lines().count(), before, "a header, and all files but the new one");
    let said = maintain(&place, "--vacuum --retention 0s");
    assert_eq!((said.code, files()), (2, before), "no terminal to ask: {said:?}");
    assert!(said.stderr.contains("--yes"), "{said:?}");
    let said = maintain(&place, "--vacuum --retention 0s --yes");
    assert_eq!((said.code, files()), (0, 1), "{said:?}");
    assert_eq!(messages_as_they_come(&folder(&place.path().join("t"))).len(), 5_000);
}

/// Makes the table allow immediate removal of files.
fn shorten_retention(place: &Place) {
    let first = place.path().join("t/_delta_log/00000000000000000000.json");
    let entry = std::fs::read_to_string(&first).expect("an entry");
    let property = r#""configuration":{"delta.deletedFileRetentionDuration":"interval 0 seconds"}"#;
    let changed = entry.replace(r#""configuration":{}"#, property);
    assert_ne!(changed, entry);
    std::fs::write(&first, changed).expect("written");
}

#[test]
fn foreign_tables_need_force() {
    let place = Place::new(TOOL);
    table(&place);
    let first = place.path().join("t/_delta_log/00000000000000000000.json");
    let entry = std::fs::read_to_string(&first).expect("an entry");
    std::fs::write(&first, entry.replace("bench_messages", "precious")).expect("written");
    for args in ["--optimize", "--vacuum --yes", "--vacuum --dry-run"] {
        let said = maintain(&place, args);
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{args}: {said:?}");
        for needle in ["did not create", "--force"] {
            assert!(said.stderr.contains(needle), "{args}: {said:?}");
        }
    }
    let said = maintain(&place, "--optimize --force");
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn missing_tables_are_reported() {
    let (s3, place) = (S3::start(), Place::new(TOOL));
    for (args, needle) in [
        ("maintain --lake-path s3://bench/nothing --optimize", "s3://bench/nothing"),
        ("maintain --lake-path s3://nowhere/t --optimize", "bucket 'nowhere'"),
        ("maintain --lake-path nothing --vacuum --dry-run", "nothing"),
    ] {
        let said = s3.run(&place, args);
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{args}: {said:?}");
        assert!(said.stderr.contains(needle), "{args}: {said:?}");
    }
    assert_eq!(place.entries(), [""; 0]);
}

#[test]
fn damaged_tables_are_left_unchanged() {
    for gap in [false, true] {
        let place = Place::new(TOOL);
        table(&place);
        let entry = place.path().join("t/_delta_log/00000000000000000003.json");
        let said = if gap {
            std::fs::remove_file(&entry).expect("removed");
            "version 3 is missing from the log of file:///"
        } else {
            std::fs::write(&entry, "").expect("emptied");
            "version 3 of file:///"
        };
        let log = || std::fs::read_dir(place.path().join("t/_delta_log")).expect("a log").count();
        let before = log();
        for args in ["--optimize", "--vacuum --yes", "--vacuum --dry-run"] {
            let refused = maintain(&place, args);
            assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{args}: {refused:?}");
            assert!(refused.stderr.contains(said), "{args}: {refused:?}");
            assert_eq!(refused.stderr.lines().count(), 1, "{args}: {refused:?}");
        }
        assert_eq!(log(), before);
    }
}
