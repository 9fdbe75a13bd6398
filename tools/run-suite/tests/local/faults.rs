//! Faults on real brokers: no acknowledged message is lost, duplicates are counted, and stalls show in
//! full.

use bench_stack::StackOptions;
use serde_json::Value;

use crate::sandbox::Sandbox;

/// A run of 100 messages per interval of 100 ms, after a warm-up for the broker's JVM as well.
const HEAD: &str = "name = \"faults\"\nquestion = \"What does it cost?\"\ntool = \"kafka-prodcon\"
services = \"local\"\ntime_limit = \"6m\"
[options]\nrate = \"1k/s\"\nwarm-up = \"4s\"\nlinger = \"10ms\"\ninterval = \"100ms\"\n";

/// The document of a run of 19 s with `HEAD` and `body`.
fn run(sandbox: &Sandbox, body: &str) -> Value {
    run_for(sandbox, 15, body)
}

/// The same for a run that lasts longer than the recovery from its first fault, with the messages
/// that it sends: how long a broker takes to start is up to the machine and what else it does.
fn run_until_recovered(sandbox: &Sandbox, body: &str) -> (Value, u64) {
    for duration_s in [15, 45, 135] {
        let document = run_for(sandbox, duration_s, body);
        if document["faults"][0]["recovery_s"].is_f64() {
            return (document, (4 + duration_s) * 1_000);
        }
        std::fs::remove_dir_all(sandbox.experiment()).expect("removed");
    }
    panic!("the system did not recover in 135 s");
}

fn run_for(sandbox: &Sandbox, duration_s: u64, body: &str) -> Value {
    let duration = format!("duration = \"{duration_s}s\"\n");
    sandbox.write("faults.toml", &format!("{HEAD}{duration}{body}"));
    let text = sandbox.succeed("run faults.toml");
    assert!(text.contains("faults (1 valid)"), "{text}");
    let document = sandbox.json("01-faults/repeat-1/run.json");
    sandbox.assert_clean();
    document
}

fn count(document: &Value, path: &str) -> u64 {
    document.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path}: {document}"))
}

fn figure(document: &Value, path: &str) -> f64 {
    document.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path}: {document}"))
}

#[test]
fn frozen_brokers_stall_messages() {
    let Some(sandbox) = Sandbox::new("a frozen broker", &StackOptions::of(["kafka"])) else {
        return;
    };
    let document = run(&sandbox, "[[fault]]\nat = \"9s\"\nstop = \"kafka\"\nfor = \"5s\"\n");
    assert_eq!(count(&document, "/summary/audit/lost"), 0);
    assert_eq!(count(&document, "/summary/produced/acked"), 19_000);
    let fault = &document["faults"][0];
    let (begin_s, end_s) = (figure(fault, "/begin_s"), figure(fault, "/end_s"));
    let recovery_s = figure(fault, "/recovery_s");
    // On a busy machine run-suite acts later, and the broker needs longer for the backlog; the record
    // has the time.
    let stall_s = end_s - begin_s;
    assert!(begin_s >= 9.0 && stall_s > 4.9, "{fault}");
    assert!(recovery_s > stall_s - 0.1 && begin_s + recovery_s < 19.0, "{fault}");
    // Messages are due evenly over 15 s: one due x s after the start of the stall waits until its end
    // at least, which is stall - x s, and until the recovery at most. So a share of p is slower than
    // the stall less 15 s times p.
    for side in ["publish_latency", "end_to_end_latency"] {
        for (percentile, share) in [("p90", 0.1), ("p95", 0.05), ("p99", 0.01), ("p99_9", 0.001)] {
            let is_s = figure(&document, &format!("/summary/{side}/{percentile}_ns")) / 1e9;
            let (least_s, most_s) = (stall_s - 15.0 * share, recovery_s - 15.0 * share);
            assert!(
                (least_s - 0.2..most_s + 0.5).contains(&is_s),
                "{side} {percentile}: {is_s} s, from {least_s} to {most_s} s expected: {fault}"
            );
        }
        let median_s = figure(&document, &format!("/summary/{side}/p50_ns")) / 1e9;
        assert!(median_s < 0.5, "{side}: the stall does not reach the median: {median_s} s");
    }
    let intervals = sandbox.experiment().join("01-faults/repeat-1/intervals.csv");
    let intervals = std::fs::read_to_string(intervals).expect("intervals");
    let marked = intervals.lines().filter(|line| line.contains("stop kafka")).count() as f64;
    let beyond = marked - stall_s / 0.1;
    assert!((-1.5..4.5).contains(&beyond), "{marked} intervals of 100 ms are marked: {fault}");
}

#[test]
fn killed_broker_of_three_loses_nothing() {
    let Some(sandbox) =
        Sandbox::new("a killed broker", &StackOptions::of([]).with("kafka", "brokers", 3))
    else {
        return;
    };
    let (document, messages) = run_until_recovered(
        &sandbox,
        "acks = \"all\"\nidempotent = true\npartitions = 6\nreplication-factor = 3
[local]\nbrokers = 3\n[local.kafka]\n\"min.insync.replicas\" = 2
[[fault]]\nat = \"8s\"\nkill = \"kafka-2\"\nrestart_after = \"4s\"\n",
    );
    assert_eq!(count(&document, "/summary/audit/lost"), 0);
    assert_eq!(count(&document, "/summary/produced/failed"), 0);
    assert_eq!(count(&document, "/summary/produced/acked"), messages);
    let audit = &document["summary"]["audit"];
    assert!(audit["duplicated"].is_u64(), "{audit}");
    let fault = &document["faults"][0];
    let longest_s = figure(&document, "/summary/publish_latency/max_ns") / 1e9;
    assert!(longest_s > 0.5, "a leader was lost, and that shows: {longest_s} s, {fault}");
    assert!(figure(fault, "/recovery_s") > 0.0, "{fault}");
}

#[test]
fn killed_single_broker_keeps_acknowledged_messages() {
    let Some(sandbox) = Sandbox::new("a lone killed broker", &StackOptions::of(["kafka"])) else {
        return;
    };
    let (document, messages) = run_until_recovered(
        &sandbox,
        "acks = \"all\"\nidempotent = true
[[fault]]\nat = \"7s\"\nkill = \"kafka-1\"\nrestart_after = \"1s\"\n",
    );
    assert_eq!(count(&document, "/summary/audit/lost"), 0);
    assert_eq!(count(&document, "/summary/produced/acked"), messages);
    assert!(figure(&document, "/faults/0/recovery_s") > 1.0, "{}", document["faults"]);
}

#[test]
fn messages_of_a_killed_consumer_reach_others() {
    let Some(sandbox) = Sandbox::new("a killed consumer", &StackOptions::of(["kafka"])) else {
        return;
    };
    let document = run(
        &sandbox,
        "partitions = 4\nconsumers = 2\nconfig = [\"session.timeout.ms=6000\"]
[[fault]]\nat = \"7s\"\nkill = \"consumer-1\"\n",
    );
    assert_eq!(count(&document, "/summary/audit/lost"), 0);
    let audit = &document["summary"]["audit"];
    // The other one receives again what it had received but not committed.
    assert!(figure(audit, "/duplicated") > 0.0, "{audit}");
    let longest_s = figure(&document, "/summary/end_to_end_latency/max_ns") / 1e9;
    assert!(longest_s > 3.0, "its partitions wait until its session is over: {longest_s} s");
}

#[test]
fn network_faults_show_and_lose_nothing() {
    let Some(sandbox) = Sandbox::new("faults of the network", &StackOptions::of(["kafka"])) else {
        return;
    };
    let document = run(
        &sandbox,
        "[[fault]]\nat = \"7s\"\nnetwork = \"kafka\"\nlatency = \"100ms\"\nfor = \"4s\"
[[fault]]\nat = \"14s\"\nnetwork = \"kafka\"\nreset = true\n",
    );
    assert_eq!(count(&document, "/summary/audit/lost"), 0);
    let p90_s = figure(&document, "/summary/publish_latency/p90_ns") / 1e9;
    assert!(p90_s > 0.1, "a quarter of the messages wait for the network: {p90_s} s");
    assert_eq!(document["faults"].as_array().map(Vec::len), Some(2));
}
