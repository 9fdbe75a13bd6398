//! Gates: what an experiment must show.

use std::fs;

use serde_json::{Value, json};

use crate::fake_tool::{FakeTool, stderr, stdout};

/// A finished experiment of the cells a and b, each run three times, with some variation.
fn finished(gates: &str) -> (FakeTool, Option<i32>, String) {
    let tool = FakeTool::new();
    tool.experiment(&format!("repeats = 3\n[matrix]\nload = [\"a\", \"b\"]\n{gates}"));
    let output = tool.run(&["run", "try.toml"]);
    let text = stdout(&output) + &stderr(&output);
    (tool, output.status.code(), text)
}

/// Gives the runs of a cell these 99th percentiles, in milliseconds.
fn vary(tool: &FakeTool, cell: &str, values_ms: [u64; 3]) {
    for (repeat, ms) in (1..).zip(values_ms) {
        tool.edit(&format!("{cell}/repeat-{repeat}"), |document| {
            document["summary"]["end_to_end_latency"]["p99_ns"] = json!(ms * 1_000_000);
        });
    }
}

#[test]
fn gates_of_the_file_decide_the_exit_code() {
    let (_, code, text) = finished("[gate]\nrequire = [\"end_to_end.p99 < 20ms\"]");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("gates:\n  load=a: end_to_end.p99 < 20ms: passed, 4.20 ms"), "{text}");
    let (tool, code, text) = finished("[gate]\nrequire = [\"end_to_end.p99 < 4ms\"]");
    assert_eq!(code, Some(4), "{text}");
    assert!(text.contains("FAILED, 4.20 ms"), "{text}");
    assert_eq!(tool.run(&["report", "results"]).status.code(), Some(4), "the folder knows it");
}

#[test]
fn undecided_gates_are_told_and_fail_on_request() {
    let (tool, _, _) = finished("");
    vary(&tool, "01-load-a", [4, 5, 6]);
    let gate = ["report", "results", "--gate", "end_to_end.p99 < 6ms"];
    let output = tool.run(&gate);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("load=a: end_to_end.p99 < 6ms: undecided, 5.00 ms"), "{text}");
    assert!(text.contains("a part of the interval is beyond it"), "{text}");
    assert!(text.contains("load=b: end_to_end.p99 < 6ms: passed"), "{text}");
    for more in [vec!["--undecided", "fail"], vec!["--strict"]] {
        let output = tool.run(&[&gate[..], &more].concat());
        assert_eq!(output.status.code(), Some(4), "{}", stdout(&output));
    }
}

#[test]
fn values_that_may_be_larger_in_truth_pass_no_upper_bound() {
    let (tool, _, _) = finished("");
    vary(&tool, "01-load-a", [4, 4, 4]);
    tool.edit("01-load-a/repeat-2", |document| {
        let latency = &mut document["summary"]["end_to_end_latency"];
        latency["unanswered"] = json!(2_000);
        latency["unanswered_min_ns"] = json!(3_000_000);
    });
    let text = |gate: &str| stdout(&tool.run(&["report", "results", "--gate", gate]));
    let below = text("end_to_end.p99 < 20ms");
    assert!(below.contains("load=a: end_to_end.p99 < 20ms: undecided, >=4.00 ms"), "{below}");
    assert!(below.contains("(4.00 ms or more)"), "{below}");
    assert!(below.contains("load=b: end_to_end.p99 < 20ms: passed"), "{below}");
    // The rest of the distribution is exact.
    assert!(text("end_to_end.p50 < 20ms").contains("load=a: end_to_end.p50 < 20ms: passed"));
    assert!(text("end_to_end.p99 < 3ms").contains("load=a: end_to_end.p99 < 3ms: FAILED"));
    assert!(text("end_to_end.p99 > 3ms").contains("load=a: end_to_end.p99 > 3ms: passed"));
}

#[test]
fn changes_of_values_that_may_be_larger_in_truth_are_undecided() {
    let (tool, _, _) = finished("");
    fs::rename(tool.path(&tool.results_argument()), tool.path("before")).expect("renamed");
    assert_eq!(tool.run(&["run", "try.toml"]).status.code(), Some(0));
    let text = |gate: &str| {
        stdout(&tool.run(&["report", "results", "--baseline", "before", "--gate", gate]))
    };
    let gate = "load=a: end_to_end.p99 < +10%";
    assert!(text("end_to_end.p99 < +10%").contains(&format!("{gate}: passed")));
    tool.edit("01-load-a/repeat-1", |document| {
        let latency = &mut document["summary"]["end_to_end_latency"];
        latency["unanswered"] = json!(2_000);
        latency["unanswered_min_ns"] = json!(3_000_000);
    });
    let larger = text("end_to_end.p99 < +10%");
    assert!(larger.contains(&format!("{gate}: undecided, >=")), "{larger}");
    // The baseline may be larger in truth, and the change smaller.
    fs::rename(tool.path(&tool.results_argument()), tool.path("after")).expect("renamed");
    let output =
        tool.run(&["report", "before", "--baseline", "after", "--gate", "end_to_end.p99 > -10%"]);
    let smaller = stdout(&output);
    assert!(smaller.contains("load=a: end_to_end.p99 > -10%: undecided"), "{smaller}");
    assert!(smaller.contains("load=b: end_to_end.p99 > -10%: passed"), "{smaller}");
}

#[test]
fn percentiles_of_few_samples_pass_nothing() {
    let (tool, _, _) = finished("");
    tool.edit("01-load-a/repeat-3", |document| {
        document["summary"]["end_to_end_latency"]["count"] = json!(1_500);
    });
    let output = tool.run(&["report", "results", "--gate", "end_to_end.p99 < 20ms"]);
    let text = stdout(&output);
    assert!(text.contains("load=a: end_to_end.p99 < 20ms: undecided, 4.20 ms"), "{text}");
    assert!(text.contains("too few samples beyond the percentile"), "{text}");
    assert!(text.contains("load=b: end_to_end.p99 < 20ms: passed"), "{text}");
}

#[test]
fn changes_are_counted_from_the_baseline() {
    let (tool, _, _) = finished("");
    vary(&tool, "01-load-a", [10, 11, 10]);
    fs::rename(tool.path(&tool.results_argument()), tool.path("before")).expect("renamed");
    let run = |gate: &str| {
        let _ = fs::remove_dir_all(tool.path("results"));
        tool.run(&["run", "try.toml", "--baseline", "before", "--gate", gate])
    };
    let output = run("end_to_end.p99 < +10%");
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert!(stdout(&output).contains("load=a: end_to_end.p99 < +10%: passed, -5"));
    let output = run("end_to_end.p99 > -10%");
    assert_eq!(output.status.code(), Some(4), "{}", stdout(&output));
    fs::remove_dir_all(tool.path("before")).expect("removed");
    let output = tool.run(&["report", "results"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("the baseline is gone"), "{}", stdout(&output));
}

#[test]
fn hopeless_experiments_end_early_on_request() {
    let gate = "[gate]\nrequire = [\"end_to_end.p99 < 4ms\"]\nabort = true";
    let (tool, code, text) = finished(gate);
    assert_eq!(code, Some(4), "{text}");
    // The second repeat of the first cell shows it.
    assert_eq!(tool.calls().len(), 3, "{text}");
    assert!(text.contains("the rest of try is left out"), "{text}");
}

#[test]
fn github_gets_a_summary_and_annotations() {
    let (tool, _, _) = finished("");
    let mut command = tool.run_suite(&["report", "results", "--gate", "end_to_end.p99 < 4ms"]);
    let output = command
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_STEP_SUMMARY", tool.path("summary.md"))
        .output()
        .expect("run-suite starts");
    assert_eq!(output.status.code(), Some(4));
    let lines = stderr(&output);
    let annotation = "::error title=gate::try load=a: end_to_end.p99 < 4ms: FAILED, 4.20 ms";
    assert!(lines.lines().any(|line| line.starts_with(annotation)), "{lines}");
    let summary = fs::read_to_string(tool.path("summary.md")).expect("written");
    assert!(summary.contains("| load=b | end\\_to\\_end.p99 &lt; 4ms | FAILED"), "{summary}");
}

#[test]
fn junit_has_runs_and_gates() {
    let (tool, _, _) = finished("");
    tool.edit("02-load-b/repeat-2", |document| {
        document["verdict"] = json!({"outcome": "invalid", "reasons": ["3 <were> lost"]});
    });
    let output =
        tool.run(&["report", "results", "--gate", "end_to_end.p99 < 4ms", "--junit", "junit.xml"]);
    assert_eq!(output.status.code(), Some(3), "an invalid run weighs more");
    let xml = fs::read_to_string(tool.path("junit.xml")).expect("written");
    assert!(xml.contains("tests=\"8\""), "{xml}");
    assert!(xml.contains("failures=\"2\"") && xml.contains("errors=\"1\""), "{xml}");
    assert!(xml.contains("3 &lt;were"), "{xml}");
    let summary = tool.run(&["report", "results", "--gate", "throughput > 1", "--output", "json"]);
    let summary: Value = serde_json::from_str(&stdout(&summary)).expect("JSON");
    assert_eq!(summary["experiments"][0]["gates"][0]["outcome"], "passed");
}

#[test]
fn bad_gates_are_refused_before_anything_runs() {
    let tool = FakeTool::new();
    tool.experiment("");
    for (arguments, part) in [
        (["--gate", "p98 < 1ms"], "--gate: no figure is called `p98`"),
        (["--gate", "throughput > -5%"], "--baseline: `throughput > -5%` is a change"),
        (["--baseline", "nowhere"], "--baseline: nowhere is not the folder"),
        (["--undecided", "perhaps"], "--undecided"),
    ] {
        let output = tool.run(&[&["run", "try.toml"], &arguments[..]].concat());
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
    tool.experiment("[gate]\nrequire = [\"throughput\"]");
    let output = tool.run(&["run", "try.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("[gate]: `throughput`: has neither < nor >"));
    assert_eq!(tool.results(), None);
}
