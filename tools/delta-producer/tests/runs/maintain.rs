//! Compaction and vacuum between runs.

use bench_testing::tool::{Sandbox, ToolOutput};

use crate::TOOL;
use crate::tables::{S3, folder, messages_as_they_come};

/// A table of about twenty small files in this folder.
fn table(sandbox: &Sandbox) {
    let args = "--lake-path t --rate 5k/s --duration 1s --commit-interval 50ms";
    let output = sandbox.run(args);
    assert_eq!(output.code, 0, "{output:?}");
}

fn maintain(sandbox: &Sandbox, args: &str) -> ToolOutput {
    sandbox.run(&format!("maintain --lake-path t {args}"))
}

#[test]
fn compaction_merges_files_and_keeps_order() {
    let sandbox = Sandbox::new(TOOL);
    table(&sandbox);
    let lake = folder(&sandbox.path().join("t"));
    let before = messages_as_they_come(&lake);
    let output = maintain(&sandbox, "--optimize --output json");
    assert_eq!(output.code, 0, "{output:?}");
    let report = output.json();
    assert_eq!(
        (&report["schema_version"], &report["optimized"]["files_added"]),
        (&1.into(), &1.into())
    );
    assert!(report["optimized"]["files_removed"].as_u64() > Some(10), "{output:?}");
    assert!(messages_as_they_come(&lake) == before);
    let again = maintain(&sandbox, "--optimize");
    assert!(again.code == 0 && again.stdout.contains("nothing to do"), "{again:?}");
    // Files are kept for seven days.
    for args in ["--vacuum --dry-run", "--vacuum --yes", "--vacuum"] {
        let output = maintain(&sandbox, args);
        assert!(
            output.code == 0 && output.stdout.contains("vacuumed: 0 files"),
            "{args}: {output:?}"
        );
    }
    let output = maintain(&sandbox, "--vacuum --retention 1h --yes");
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("deletedFileRetentionDuration"), "{output:?}");
}

#[test]
fn files_are_removed_only_on_confirmation() {
    let sandbox = Sandbox::new(TOOL);
    table(&sandbox);
    shorten_retention(&sandbox);
    let output = maintain(&sandbox, "--optimize");
    assert_eq!(output.code, 0, "{output:?}");
    let files = || {
        let entries = std::fs::read_dir(sandbox.path().join("t")).expect("a folder").flatten();
        entries.filter(|entry| entry.path().extension().is_some()).count()
    };
    let before = files();
    let output = maintain(&sandbox, "--vacuum --retention 0s --dry-run --output csv");
    assert_eq!((output.code, files()), (0, before), "{output:?}");
    assert_eq!(output.stdout.lines().count(), before, "a header, and all files but the new one");
    let output = maintain(&sandbox, "--vacuum --retention 0s");
    assert_eq!((output.code, files()), (2, before), "no terminal to ask: {output:?}");
    assert!(output.stderr.contains("--yes"), "{output:?}");
    let output = maintain(&sandbox, "--vacuum --retention 0s --yes");
    assert_eq!((output.code, files()), (0, 1), "{output:?}");
    assert_eq!(messages_as_they_come(&folder(&sandbox.path().join("t"))).len(), 5_000);
}

/// Makes the table allow immediate removal of files.
fn shorten_retention(sandbox: &Sandbox) {
    let first = sandbox.path().join("t/_delta_log/00000000000000000000.json");
    let entry = std::fs::read_to_string(&first).expect("an entry");
    let property = r#""configuration":{"delta.deletedFileRetentionDuration":"interval 0 seconds"}"#;
    let changed = entry.replace(r#""configuration":{}"#, property);
    assert_ne!(changed, entry);
    std::fs::write(&first, changed).expect("written");
}

#[test]
fn foreign_tables_need_force() {
    let sandbox = Sandbox::new(TOOL);
    table(&sandbox);
    let first = sandbox.path().join("t/_delta_log/00000000000000000000.json");
    let entry = std::fs::read_to_string(&first).expect("an entry");
    std::fs::write(&first, entry.replace("bench_messages", "precious")).expect("written");
    for args in ["--optimize", "--vacuum --yes", "--vacuum --dry-run"] {
        let output = maintain(&sandbox, args);
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{args}: {output:?}");
        for needle in ["did not create", "--force"] {
            assert!(output.stderr.contains(needle), "{args}: {output:?}");
        }
    }
    let output = maintain(&sandbox, "--optimize --force");
    assert_eq!(output.code, 0, "{output:?}");
}

#[test]
fn missing_tables_are_reported() {
    let (s3, sandbox) = (S3::start(), Sandbox::new(TOOL));
    for (args, needle) in [
        ("maintain --lake-path s3://bench/nothing --optimize", "s3://bench/nothing"),
        ("maintain --lake-path s3://nowhere/t --optimize", "bucket 'nowhere'"),
        ("maintain --lake-path nothing --vacuum --dry-run", "nothing"),
    ] {
        let output = s3.run(&sandbox, args);
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{args}: {output:?}");
        assert!(output.stderr.contains(needle), "{args}: {output:?}");
    }
    assert_eq!(sandbox.entries(), [""; 0]);
}

#[test]
fn damaged_tables_are_left_unchanged() {
    for gap in [false, true] {
        let sandbox = Sandbox::new(TOOL);
        table(&sandbox);
        let entry = sandbox.path().join("t/_delta_log/00000000000000000003.json");
        let message = if gap {
            std::fs::remove_file(&entry).expect("removed");
            "version 3 is missing from the log of file:///"
        } else {
            std::fs::write(&entry, "").expect("emptied");
            "version 3 of file:///"
        };
        let log = || std::fs::read_dir(sandbox.path().join("t/_delta_log")).expect("a log").count();
        let before = log();
        for args in ["--optimize", "--vacuum --yes", "--vacuum --dry-run"] {
            let refused = maintain(&sandbox, args);
            assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{args}: {refused:?}");
            assert!(refused.stderr.contains(message), "{args}: {refused:?}");
            assert_eq!(refused.stderr.lines().count(), 1, "{args}: {refused:?}");
        }
        assert_eq!(log(), before);
    }
}
