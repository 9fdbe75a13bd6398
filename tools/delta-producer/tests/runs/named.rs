//! Runs on an existing S3: confirmed messages are in the table.

use bench_record::{RunDocument, ServiceOrigin, Status};
use bench_testing::tool::{Sandbox, ToolOutput};

use crate::TOOL;
use crate::tables::{S3, acked, count, folder, messages, messages_as_they_come};

/// Variants of a run, whose tables are all read in the same way.
const WAYS: [&str; 9] = [
    "-n 3000 -p 2",
    "-n 3000 --rate 5k/s --format json -r 300",
    "-n 3001 -p 3 --partition-by producer,hour,date --key zipf:20",
    "-n 3001 --compression zstd --compressibility 0.5 -r uniform:40..2000",
    "-n 3000 --compression lz4 --rows-per-group 1000",
    "-n 3000 --compression snappy --target-file-size 64KiB",
    "-n 3000 --commit std --rate 10k/s",
    "-n 3000 -p 2 --commit std --partition-by producer",
    "-n 5000 --rate 5k/s --checkpoint-every 5",
];

#[test]
fn every_variant_stores_all_messages() {
    let s3 = S3::start();
    for (index, way) in WAYS.iter().enumerate() {
        let sandbox = Sandbox::new(TOOL);
        let output = s3.run(
            &sandbox,
            &format!("--commit-interval 50ms --lake-path s3://bench/t{index} --follow {way}"),
        );
        assert_eq!(output.code, 0, "{way}: {output:?}");
        let document = sandbox.document("results");
        assert_eq!(document.status, Status::Complete, "{way}");
        assert_eq!(document.services[0].origin, ServiceOrigin::External, "{way}");
        let acked = acked(&sandbox);
        assert_eq!(document.options["messages"], acked.len().to_string(), "{way}");
        assert_whole(&document, way);
        assert!(messages(&s3.table(&format!("t{index}"))) == acked, "{way}");
    }
}

#[test]
fn every_variant_works_in_folders() {
    for way in WAYS {
        let sandbox = Sandbox::new(TOOL);
        let output =
            sandbox.run(&format!("--commit-interval 50ms --lake-path a/table --follow {way}"));
        assert_eq!(output.code, 0, "{way}: {output:?}");
        let document = sandbox.document("results");
        let service = &document.services[0];
        assert_eq!((service.name.as_str(), service.origin), ("folder", ServiceOrigin::External));
        assert!(document.warnings.iter().any(|warning| warning.contains("not of S3")), "{way}");
        assert_whole(&document, way);
        assert!(messages(&folder(&sandbox.path().join("a/table"))) == acked(&sandbox), "{way}");
    }
}

/// Asserts that everything acknowledged was followed, once and in order.
fn assert_whole(document: &RunDocument, way: &str) {
    let audit = document.summary.as_ref().and_then(|summary| summary.audit.as_ref());
    let audit = audit.expect("an audit");
    let found = (audit.lost, audit.duplicated, audit.reordered, audit.corrupt, audit.foreign);
    assert_eq!(found, (0, 0, 0, 0, 0), "{way}");
}

#[test]
fn existing_tables_keep_their_partitions() {
    let (s3, sandbox) = (S3::start(), Sandbox::new(TOOL));
    let args = "--lake-path s3://bench/t --commit-interval 50ms -n 100";
    for (more, expected) in [("--partition-by producer", 100), ("", 200), ("-p 2", 300)] {
        let output = s3.run(&sandbox, &format!("{args} {more} --results-dir r{expected}"));
        assert_eq!(output.code, 0, "{more}: {output:?}");
        assert_eq!(messages_as_they_come(&s3.table("t")).len(), expected, "{more}");
        let document = sandbox.document(&format!("r{expected}"));
        assert_eq!(document.options["partition-by"], "producer", "{more}");
    }
    let output = s3.run(&sandbox, &format!("{args} --partition-by date --results-dir other"));
    assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{output:?}");
    for needle in ["partitioned by producer", "s3://bench/t"] {
        assert!(output.stderr.contains(needle), "{needle}: {output:?}");
    }
    assert!(!sandbox.entries().contains(&"other".to_owned()));
}

#[test]
fn buckets_get_a_table_named_after_the_run() {
    let (s3, sandbox) = (S3::start(), Sandbox::new(TOOL));
    let output = s3.run(&sandbox, "-n 100 --commit-interval 50ms");
    assert_eq!(output.code, 0, "{output:?}");
    let document = sandbox.document("results");
    let name = format!("bench-{}", document.run_id);
    assert_eq!(document.options["lake-path"], format!("s3://bench/{name}"));
    assert_eq!(document.options["follow"], "false");
    assert_eq!(messages(&s3.table(&name)).len(), 100);
}

#[test]
fn bucket_is_created_on_request() {
    let s3 = S3::start();
    for (args, code) in [("", 2), ("--create-bucket", 0), ("", 0)] {
        let sandbox = Sandbox::new(TOOL);
        let output = s3.run(&sandbox, &format!("-n 100 --lake-path s3://fresh/t {args}"));
        assert_eq!(output.code, code, "{args}: {output:?}");
        assert_eq!(sandbox.entries().is_empty(), code == 2, "{args}");
    }
}

#[test]
fn minio_keys_apply_to_minio_only() {
    let (s3, sandbox) = (S3::start(), Sandbox::new(TOOL));
    let args = "--lake-path t --s3-backend minio --bucket bench -n 100 --region us-east-1";
    let mut command = sandbox.command(args);
    command.env("AWS_ENDPOINT_URL_S3", s3.server.endpoint_url());
    command.env("MINIO_S3_ACCESS_KEY", s3.server.access_key());
    command.env("MINIO_S3_SECRET_ACCESS_KEY", s3.server.secret_key());
    let output = ToolOutput::of(command);
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(messages(&s3.table("t")).len(), 100);
    assert_eq!(sandbox.document("results").options["lake-path"], "s3://bench/t");
}

#[test]
fn commits_keep_their_interval_and_checkpoints() {
    let (s3, sandbox) = (S3::start(), Sandbox::new(TOOL));
    let args = "--lake-path t --bucket bench --rate 2k/s --duration 3s --commit-interval 20ms \
                --checkpoint-every 20";
    let output = s3.run(&sandbox, args);
    assert_eq!(output.code, 0, "{output:?}");
    let document = sandbox.document("results");
    let commits = count(&document, "commits");
    assert!((50..=151).contains(&commits), "{commits}");
    assert!(count(&document, "checkpoints") >= 1, "{document:?}");
    assert_eq!(count(&document, "checkpoints_failed"), 0);
    let intervals = std::fs::read_to_string(sandbox.run_folder("results").join("intervals.csv"));
    let intervals = intervals.expect("intervals");
    assert!(intervals.lines().next().expect("a header").contains("commit_time"), "{intervals}");
}
