//! A small experiment through the real `kafka-prodcon` and its embedded broker.

use std::io::Write as _;
use std::path::Path;

use crate::fake_tool::{FakeTool, read_json, stderr, stdout};

/// Whether these tools have been built; prints that the test is skipped if not. A test of one package
/// does not build the binaries of another.
pub(crate) fn are_built(tools: &[&str]) -> bool {
    let run_suite = Path::new(assert_cmd::cargo::cargo_bin!("run-suite"));
    let missing = tools.iter().map(|tool| run_suite.with_file_name(tool));
    let Some(missing) = missing.into_iter().find(|tool| !tool.is_file()) else { return true };
    // Written to the stream itself, which the test harness does not capture.
    let line = format!("skipped: {} is not there (cargo build --release)\n", missing.display());
    std::io::stderr().write_all(line.as_bytes()).expect("standard error");
    false
}

/// Writes `NAME.toml`, an experiment of this name on the embedded broker.
fn experiment(folder: &FakeTool, name: &str, body: &str) {
    let question = "Does the whole chain work?";
    let head = format!("name = \"{name}\"\nquestion = \"{question}\"\ntool = \"kafka-prodcon\"");
    folder.write(&format!("{name}.toml"), &format!("{head}\nservices = \"embedded\"\n{body}"));
}

#[test]
fn small_sweep_runs_on_the_embedded_broker() {
    if !are_built(&["kafka-prodcon"]) {
        return;
    }
    let folder = FakeTool::new();
    experiment(
        &folder,
        "small",
        "time_limit = \"30s\"
         [options]\nmessages = 2000\nrate = \"2k/s\"
         [matrix]\nrecord_size = [50, \"1KiB\"]",
    );
    let output = folder
        .run_suite(&["run", "small.toml"])
        .env("KAFKA_BOOTSTRAP_SERVERS", "192.0.2.1:9092")
        .output()
        .expect("run-suite starts");
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}{}", stderr(&output));
    assert!(text.contains("small (2 valid)"), "{text}");
    assert!(text.contains("the client's ceiling on loopback"), "{text}");
    let run = read_json(&folder.result("02-record-size-1KiB/repeat-1/run.json"));
    assert_eq!(run["status"], "complete");
    assert_eq!(run["summary"]["audit"]["lost"], 0);
    assert_eq!(run["summary"]["produced"]["acked"], 2000);
}

#[test]
fn hopeless_runs_end_before_their_time() {
    if !are_built(&["kafka-prodcon"]) {
        return;
    }
    for gate in ["publish.p99 < 1us", "throughput > 100k/s"] {
        let folder = FakeTool::new();
        experiment(
            &folder,
            "hopeless",
            &format!(
                "repeats = 2
                 [options]\nduration = \"32s\"\nrate = \"2k/s\"
                 [gate]\nrequire = [\"publish.p99 < 1h\", \"{gate}\"]\nabort = true"
            ),
        );
        let output = folder.run(&["run", "hopeless.toml"]);
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(4), "{text}{}", stderr(&output));
        assert_eq!(folder.statuses(), ["gate-failed", "not-needed"], "{text}");
        assert!(text.contains(&format!("hopeless: {gate}: FAILED (")), "{text}");
        assert!(text.contains(": repeat 1 failed"), "{text}");
        let run = read_json(&folder.result("01-hopeless/repeat-1/run.json"));
        assert_eq!(run["status"], "incomplete");
        assert!(run["summary"]["elapsed_s"].as_f64().expect("seconds") < 30.0, "{run}");
        // The folder knows it, and nothing is left to run.
        for command in ["report", "resume"] {
            let again = folder.run(&[command, &folder.results_argument()]);
            assert_eq!(again.status.code(), Some(4), "{command}: {}", stderr(&again));
        }
        assert_eq!(folder.statuses(), ["gate-failed", "not-needed"]);
    }
}

#[test]
fn runs_whose_load_grows_are_not_ended_early() {
    if !are_built(&["kafka-prodcon"]) {
        return;
    }
    let folder = FakeTool::new();
    experiment(
        &folder,
        "ramp",
        "[options]\nduration = \"16s\"\nrate = \"8k/s\"\nschedule = \"ramp:100\"
         [gate]\nrequire = [\"throughput > 3k/s\"]\nabort = true",
    );
    let output = folder.run(&["run", "ramp.toml"]);
    let text = stdout(&output) + &stderr(&output);
    assert_eq!(folder.statuses(), ["complete"], "{text}");
    assert!(text.contains("throughput > 3k/s: "), "{text}");
}
