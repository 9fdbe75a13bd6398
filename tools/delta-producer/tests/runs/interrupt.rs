//! Interrupts: collected messages are still committed, and confirmed ones reported.

use std::time::Duration;

use bench_record::Status;
use bench_testing::Silent;
use bench_testing::tool::{Running, Sandbox, until};

use crate::TOOL;
use crate::tables::{S3, acked, messages};

#[test]
fn interrupted_runs_commit_and_report() {
    for args in ["--follow", "--commit std", "--commit-interval 30s -p 2"] {
        let (s3, sandbox) = (S3::start(), Sandbox::new(TOOL));
        let args = format!("--lake-path s3://bench/t --rate 2k/s --duration 60s {args}");
        let run = Running::start(s3.command(&sandbox, &args));
        until("it has a folder", || sandbox.entries() == ["results"]);
        std::thread::sleep(Duration::from_secs(3));
        run.interrupt();
        let output = run.end();
        assert_eq!(output.code, 130, "{args}: {output:?}");
        let document = sandbox.document("results");
        assert_eq!(document.status, Status::Incomplete, "{args}");
        let produced = document.summary.and_then(|summary| summary.produced).expect("figures");
        assert_eq!((produced.unresolved, produced.failed), (0, 0), "{args}: {produced:?}");
        assert!(produced.acked > 1_000 && produced.acked == produced.sent, "{args}: {produced:?}");
        assert!(messages(&s3.table("t")) == acked(&sandbox), "{args}");
    }
}

#[test]
fn early_interrupts_leave_no_result() {
    let sandbox = Sandbox::new(TOOL);
    let silent = Silent::new();
    let mut command = sandbox.command("--lake-path s3://bench/t --timeout 1h");
    command.env("AWS_ENDPOINT_URL_S3", silent.url()).env("AWS_REGION", "us-east-1");
    command.env("AWS_ACCESS_KEY_ID", "key").env("AWS_SECRET_ACCESS_KEY", "secret");
    let output = silent.interrupt(command);
    assert_eq!((output.code, output.stdout.as_str()), (130, ""), "{output:?}");
    assert!(output.stderr.contains("error: interrupted while "), "{output:?}");
    assert_eq!(sandbox.entries(), [""; 0]);
}
