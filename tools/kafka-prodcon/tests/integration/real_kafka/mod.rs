//! The tool on real Kafka: behaviour that stand-ins cannot show.

mod answers;
mod cluster;
mod groups;
mod landing;
mod requests;
mod rights;
mod security;
mod topics;
mod transactions;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use bench_kafka::admin::Admin;
use bench_kafka::config::KafkaConfig;
use bench_record::{AuditSummary, Produced, RunDocument, VerdictOutcome};
use bench_testing::tool::{Sandbox, ToolOutput};
use bench_testing::{BROKER_TIMEOUT, TestStack};

const TOOL: &str = env!("CARGO_BIN_EXE_kafka-prodcon");

/// A cluster, and a folder to run the tool in.
struct Bench {
    kafka: TestStack,
    admin: Admin,
    sandbox: Sandbox,
}

impl Bench {
    /// On a broker shared with other tests; `None` if `test` is skipped.
    fn shared(test: &str) -> Option<Self> {
        Some(Self::on(bench_testing::broker(test)?))
    }

    fn on(kafka: TestStack) -> Self {
        let mut config = KafkaConfig::new();
        config.set("bootstrap.servers", kafka.bootstrap_servers());
        let admin = Admin::connect(&config, BROKER_TIMEOUT).expect("the broker answers");
        Self { kafka, admin, sandbox: Sandbox::new(TOOL) }
    }

    /// Creates a topic with a unique name.
    fn topic(&self, partitions: u32, replication: u32, settings: &[(&str, &str)]) -> String {
        let name = unused_name();
        let settings = settings.iter().map(|(key, value)| ((*key).into(), (*value).into()));
        let settings: BTreeMap<String, String> = settings.collect();
        let created = self.admin.create_topic(&name, partitions, Some(replication), &settings);
        created.expect("created");
        name
    }

    /// Runs the tool; `args` are separated by blanks.
    fn run(&self, args: &str) -> ToolOutput {
        let servers = self.kafka.bootstrap_servers();
        let mut command = self.sandbox.command(&format!("{args} --bootstrap-servers {servers}"));
        command.envs(self.kafka.environment().iter().cloned());
        ToolOutput::of(command)
    }

    /// Runs the tool, which must exit with `code`, and reads the document below `results`.
    fn measure(&self, args: &str, results: &str, code: i32) -> RunDocument {
        let output = self.run(&format!("{args} --results-dir {results}"));
        assert_eq!(output.code, code, "{args}: {output:?}");
        self.sandbox.document(results)
    }

    /// Drains `topic`, checked against the run below `results`.
    fn drain_from_run(&self, args: &str, topic: &str, results: &str, code: i32) -> RunDocument {
        let folder = self.sandbox.run_folder(results);
        let args = format!("drain --topic {topic} --from-run {} {args}", folder.display());
        self.measure(&args, &unused_name(), code)
    }

    /// The number of offsets in each partition of a topic.
    fn offsets(&self, topic: &str) -> Vec<u64> {
        let all = self.admin.watermarks(topic).expect("watermarks");
        all.iter().map(bench_kafka::admin::PartitionWatermarks::offsets).collect()
    }
}

/// A unique name for a topic or a folder.
fn unused_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("bench-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn audit(document: &RunDocument) -> &AuditSummary {
    let summary = document.summary.as_ref().expect("figures");
    summary.audit.as_ref().expect("an audit")
}

fn produced(document: &RunDocument) -> &Produced {
    let summary = document.summary.as_ref().expect("figures");
    summary.produced.as_ref().expect("it produced")
}

fn reasons(document: &RunDocument) -> &[String] {
    let verdict = document.verdict.as_ref().expect("a verdict");
    assert_eq!(verdict.outcome == VerdictOutcome::Valid, verdict.reasons.is_empty());
    &verdict.reasons
}
