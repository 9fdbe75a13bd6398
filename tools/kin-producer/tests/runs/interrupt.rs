//! Interrupts: collected messages are still sent, and acknowledged ones recorded.

use std::time::Duration;

use bench_record::Status;
use bench_testing::Silent;
use bench_testing::tool::{Running, Sandbox};

use crate::TOOL;
use crate::kinesis::{Kinesis, acked};

#[test]
fn interrupted_runs_send_collected_messages_and_report() {
    for args in ["--rate 2k/s --duration 50s", "--rate 500 --duration 50s -a 1000000 --linger 20s"]
    {
        let (kinesis, sandbox) = (Kinesis::start(true), Sandbox::new(TOOL));
        let args = format!("--create --shards 4 {args}");
        let run = Running::start(kinesis.command(&sandbox, &args));
        std::thread::sleep(Duration::from_secs(3));
        run.interrupt();
        let output = run.end();
        assert_eq!(output.code, 130, "{args}: {output:?}");
        let document = sandbox.document("results");
        assert_eq!(document.status, Status::Incomplete, "{args}");
        let produced = document.summary.and_then(|summary| summary.produced).expect("figures");
        assert_eq!((produced.unresolved, produced.failed), (0, 0), "{args}: {produced:?}");
        assert!(produced.acked > 100 && produced.acked == produced.sent, "{args}: {produced:?}");
        assert!(kinesis.messages("benchmark") == acked(&sandbox), "{args}");
    }
}

#[test]
fn interrupts_while_connecting_leave_no_result() {
    let (silent, sandbox) = (Silent::new(), Sandbox::new(TOOL));
    let mut command = sandbox.command("--create --timeout 1h");
    command.env("AWS_ENDPOINT_URL_KINESIS", silent.url());
    command.env("AWS_ACCESS_KEY_ID", "key").env("AWS_SECRET_ACCESS_KEY", "hush");
    let output = silent.interrupt(command);
    assert_eq!((output.code, output.stdout.as_str()), (130, ""), "{output:?}");
    assert!(output.stderr.contains("error: interrupted while "), "{output:?}");
    assert_eq!(sandbox.entries(), [""; 0]);
}
