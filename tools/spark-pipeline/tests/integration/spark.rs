//! Runs through real Kafka and real Spark, started for the test; prints why if they cannot be.

use std::process::Command;

use bench_record::{RunDocument, ServiceOrigin, Status};
use bench_testing::tool::{Running, Sandbox, ToolOutput, until};

use crate::{Spark, TOOL};

fn count(document: &RunDocument, name: &str) -> u64 {
    document.summary.as_ref().expect("figures").counts[name]
}

#[test]
fn events_pass_the_job_and_are_measured() {
    let Some(spark) = Spark::for_test("events through Spark") else { return };
    let sandbox = Sandbox::new(TOOL);
    let args = "--topic measured --rate 500/s --duration 8s --trigger 0 --drain-timeout 30s";
    let output = spark.run(&sandbox, args);
    assert_eq!(output.code, 0, "{output:?}");
    let document = sandbox.document("results");
    let services: Vec<_> =
        document.services.iter().map(|one| (one.name.as_str(), one.origin)).collect();
    assert_eq!(services, [("kafka", ServiceOrigin::Local), ("spark", ServiceOrigin::Local)]);
    let summary = document.summary.as_ref().expect("figures");
    let audit = summary.audit.as_ref().expect("an audit");
    assert_eq!((audit.received, audit.lost, audit.duplicated), (4_000, 0, 0));
    assert_eq!((audit.reordered, audit.corrupt, audit.foreign), (0, 0, 0));
    assert!(count(&document, "batches") > 0);
    assert_eq!(count(&document, "driver_starts"), 1);
    let table = std::fs::read_to_string(sandbox.run_folder("results").join("batches.csv"));
    let table = table.expect("a table of batches");
    let head = "batch_id,epoch_sec,batch_events,mean_latency_ms,p50_latency_ms,p95_latency_ms,";
    assert!(table.starts_with(head), "{table}");
    let events: u64 =
        table.lines().skip(1).filter_map(|row| row.split(',').nth(2)?.parse::<u64>().ok()).sum();
    assert_eq!(events, 4_001, "all events, and the probe");
}

#[test]
fn killed_drivers_lose_nothing() {
    let Some(spark) = Spark::for_test("killing a driver") else { return };
    let sandbox = Sandbox::new(TOOL);
    let args = "--topic killed --work join --rate 500/s --duration 10s --trigger 0 --drain-timeout 60s \
                --kill-driver 4s+1s";
    let output = spark.run(&sandbox, args);
    assert_eq!(output.code, 0, "{output:?}");
    let document = sandbox.document("results");
    let summary = document.summary.as_ref().expect("figures");
    let audit = summary.audit.as_ref().expect("an audit");
    assert_eq!((audit.lost, audit.corrupt), (0, 0), "{audit:?}");
    assert_eq!(count(&document, "driver_starts"), 2);
}

#[test]
fn real_time_mode_passes_events_on_as_they_come() {
    let Some(spark) = Spark::for_test("real-time mode") else { return };
    let sandbox = Sandbox::new(TOOL);
    let args = "--topic at-once --partitions 2 --trigger real-time --rate 300/s --warm-up 3s \
                --duration 5s --drain-timeout 30s";
    let mut command = spark.command(&sandbox, args);
    command.env("SPARK_MASTER", "local[2]");
    let output = ToolOutput::of(command);
    assert_eq!(output.code, 0, "{output:?}");
    let document = sandbox.document("results");
    let summary = document.summary.as_ref().expect("figures");
    let audit = summary.audit.as_ref().expect("an audit");
    assert_eq!((audit.received, audit.lost, audit.duplicated), (2_400, 0, 0));
    // Milliseconds on an idle machine; its checkpoints, and so batches, are a minute apart.
    let latency = summary.end_to_end_latency.as_ref().expect("latency");
    assert!(latency.p50_ns < 10_000_000_000, "{latency:?}");
}

#[test]
fn interrupts_end_the_job() {
    let Some(spark) = Spark::for_test("interrupting a job") else { return };
    let sandbox = Sandbox::new(TOOL);
    let args = "--topic interrupted --sink none --rate 100/s --duration 10m --trigger 0";
    let tool = Running::start(spark.command(&sandbox, args));
    let has_run = || {
        std::fs::read_dir(sandbox.path().join("results"))
            .is_ok_and(|mut runs| runs.next().is_some())
    };
    until("there is a run", has_run);
    let report = sandbox.run_folder("results").join("batches.jsonl");
    until("batches run", || {
        std::fs::read_to_string(&report).is_ok_and(|report| report.matches("\"batch\"").count() > 2)
    });
    tool.interrupt();
    let output = tool.end();
    assert_eq!(output.code, 130, "{output:?}");
    assert_eq!(sandbox.document("results").status, Status::Incomplete);
    let folder = sandbox.run_folder("results").display().to_string();
    let listed = Command::new("ps").args(["-eo", "args"]).output().expect("runs").stdout;
    assert!(!String::from_utf8_lossy(&listed).contains(&folder), "the job still runs");
}
