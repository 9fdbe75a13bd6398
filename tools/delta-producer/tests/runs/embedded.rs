//! Runs with no service set.

use bench_record::{AuditBasis, ServiceOrigin, Status};
use bench_testing::tool::Sandbox;

use crate::TOOL;
use crate::tables::{acked, count};

#[test]
fn embedded_s3_is_the_labelled_default() {
    let sandbox = Sandbox::new(TOOL);
    let output = sandbox.run("--rate 5k/s --duration 2s --commit-interval 100ms");
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output:?}");
    assert_eq!(sandbox.entries(), ["results"]);
    let heading: Vec<_> = output.stdout.lines().take(3).collect();
    assert!(heading[1].starts_with("s3: embedded (s3s "), "{output:?}");
    assert!(heading[2].contains("not the performance of s3"), "{output:?}");
    for needle in ["publish latency", "end-to-end latency", "commit time", "upload time"] {
        assert!(output.stdout.contains(needle), "{needle}: {output:?}");
    }
    let document = sandbox.document("results");
    assert_eq!((document.status, acked(&sandbox).len()), (Status::Complete, 10_000));
    let [service] = &document.services[..] else { panic!("{:?}", document.services) };
    assert_eq!((service.name.as_str(), service.origin), ("s3", ServiceOrigin::Embedded));
    for (option, value) in [
        ("commit", "direct"),
        ("commit-interval", "100ms"),
        ("poll-interval", "5ms"),
        ("follow", "true"),
        ("duration", "2000ms"),
        ("record-size", "100"),
        ("compression", "none"),
        ("checkpoint-every", "100"),
    ] {
        assert_eq!(document.options[option], value, "{option}");
    }
    let table = format!("s3://bench/bench-{}", document.run_id);
    assert_eq!(document.options["lake-path"], table);
    assert_eq!(
        document.versions.keys().collect::<Vec<_>>(),
        ["deltalake", "object_store", "parquet"]
    );
    let commits = count(&document, "commits");
    assert!((10..=40).contains(&commits), "{commits} commits in two seconds");
    assert!(count(&document, "put_requests") >= 2 * commits);
    assert!(count(&document, "get_requests") >= commits);
    assert!(count(&document, "bytes_written") > 1_000_000);
    let summary = document.summary.expect("figures");
    assert_eq!(summary.durations["commit_time"].count, commits);
    let audit = summary.audit.expect("an audit");
    assert_eq!((audit.against, audit.received), (AuditBasis::Acked, 10_000));
    assert_eq!((audit.lost, audit.duplicated, audit.reordered, audit.corrupt), (0, 0, 0, 0));
}

#[test]
fn old_command_lines_still_run() {
    for args in [
        "--rate 1000 --seconds-to-stream 1 --autocommit-duration-ms 100",
        "--rate=1000 --seconds_to_stream=1 --autocommit_duration_ms=100",
        "--lake-path old --rate 1000 --seconds-to-stream 1 --autocommit-duration-ms 100",
        "--lake_path old --rate 1000 --seconds-to-stream 1",
    ] {
        let sandbox = Sandbox::new(TOOL);
        let output = sandbox.run(args);
        assert_eq!(output.code, 0, "{args}: {output:?}");
        let document = sandbox.document("results");
        assert_eq!(acked(&sandbox).len(), 1_000, "{args}");
        assert_eq!(document.options["duration"], "1000ms", "{args}");
        let interval = if args.ends_with("100") { "100ms" } else { "1000ms" };
        assert_eq!(document.options["commit-interval"], interval, "{args}");
        assert_eq!(sandbox.path().join("old/_delta_log").is_dir(), args.contains("old"), "{args}");
    }
}

#[test]
fn unpaced_runs_are_audited() {
    let sandbox = Sandbox::new(TOOL);
    let output = sandbox.run("-n 300k -p 2 --commit-interval 50ms --exactly-once");
    assert_eq!(output.code, 0, "{output:?}");
    let document = sandbox.document("results");
    assert_eq!(document.options["messages"], "300000");
    let audit = document.summary.and_then(|summary| summary.audit).expect("an audit");
    assert_eq!((audit.received, audit.lost, audit.duplicated), (300_000, 0, 0));
}

#[test]
fn embedded_runs_may_skip_following() {
    let sandbox = Sandbox::new(TOOL);
    let output = sandbox.run("-n 1000 --commit-interval 50ms --no-follow");
    assert_eq!(output.code, 0, "{output:?}");
    let document = sandbox.document("results");
    assert_eq!(document.options["follow"], "false");
    assert!(!document.options.contains_key("poll-interval"));
    assert!(document.summary.expect("figures").consumed.is_none());
}
