//! Interrupts: what is collected is still sent, and what was confirmed is told.

use std::process::Stdio;
use std::time::Duration;

use bench_core::results::Status;
use rustix::process::{Pid, Signal, kill_process};

use crate::tool::{Kinesis, Place};

#[test]
fn an_interrupted_run_sends_what_it_has_and_reports() {
    for args in ["--rate 2k/s --duration 50s", "--rate 500 --duration 50s -a 1000000 --linger 20s"]
    {
        let (kinesis, place) = (Kinesis::start(true), Place::new());
        let mut command = place.command_on(&kinesis, &format!("--create --shards 4 {args}"));
        let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
        std::thread::sleep(Duration::from_secs(3));
        let pid = Pid::from_raw(run.id().cast_signed()).expect("a process");
        kill_process(pid, Signal::INT).expect("is told");
        let output = run.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(130), "{args}: {output:?}");
        let document = place.document();
        assert_eq!(document.status, Status::Incomplete, "{args}");
        let produced = document.summary.and_then(|summary| summary.produced).expect("figures");
        assert_eq!((produced.unresolved, produced.failed), (0, 0), "{args}: {produced:?}");
        assert!(produced.acked > 100 && produced.acked == produced.sent, "{args}: {produced:?}");
        assert!(kinesis.messages("benchmark") == place.acked(), "{args}");
    }
}
