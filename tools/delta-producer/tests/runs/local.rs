//! A real S3 server on this machine.

use bench_record::ServiceOrigin;
use bench_stack::StackOptions;
use bench_testing::tool::{Sandbox, ToolOutput};

use crate::TOOL;
use crate::tables::{acked, count};

#[test]
fn racing_writers_on_a_real_server_store_once() {
    let options = StackOptions::of(["s3"]);
    let Some(stack) = bench_testing::local("eight writers on a real S3 server", &options) else {
        return;
    };
    for (commit, duration_s) in [("direct", 4), ("std", 3)] {
        let sandbox = Sandbox::new(TOOL);
        let args = format!(
            "-p 8 --rate 16k/s --duration {duration_s}s --commit-interval 50ms --commit {commit} \
             --follow --exactly-once"
        );
        let mut command = sandbox.command(&args);
        command.envs(stack.environment().iter().cloned());
        let output = ToolOutput::of(command);
        assert_eq!(output.code, 0, "{commit}: {output:?}");
        let document = sandbox.document("results");
        let service = &document.services[0];
        assert_eq!((service.name.as_str(), service.origin), ("s3", ServiceOrigin::Local));
        let acked = acked(&sandbox).len();
        assert_eq!(acked, 16_000 * duration_s, "{commit}");
        assert!(count(&document, "commit_conflicts") > 0, "{commit}: nobody raced");
        let audit = document.summary.and_then(|summary| summary.audit).expect("an audit");
        let found = (audit.lost, audit.duplicated, audit.reordered, audit.corrupt, audit.foreign);
        assert_eq!((audit.received, found), (acked as u64, (0, 0, 0, 0, 0)), "{commit}");
    }
}
