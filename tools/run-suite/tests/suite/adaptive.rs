//! Experiments that repeat their cells until enough is known.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::fake_tool::{FakeTool, read_json, stderr, stdout};

/// How many runs have each status.
fn tally(tool: &FakeTool) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    for status in tool.statuses() {
        *tally.entry(status).or_default() += 1;
    }
    tally
}

fn expect(tool: &FakeTool, expected: &[(&str, usize)]) {
    let expected = expected.iter().map(|(status, count)| ((*status).to_owned(), *count)).collect();
    assert_eq!(tally(tool), expected);
}

#[test]
fn precise_figures_need_no_more_repeats() {
    let tool = FakeTool::new();
    let until = "until = \"end_to_end.p99 ±5%\"";
    tool.experiment(&format!(
        "repeats = {{ min = 3, max = 9, {until} }}\n[matrix]\nload = [\"a\", \"b\"]"
    ));
    let dry = stdout(&tool.run(&["run", "try.toml", "--dry-run"]));
    assert!(dry.contains("at most 18 runs"), "{dry}");
    let output = tool.run(&["run", "try.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    expect(&tool, &[("complete", 6), ("not-needed", 12)]);
    assert_eq!(tool.calls().len(), 6);
    let text = stdout(&output);
    assert!(text.starts_with("try (6 valid): "), "{text}");
    assert!(!text.contains("not needed") && !text.contains("left out"), "{text}");
    // Nothing is left to do.
    let resumed = tool.run(&["resume", "results"]);
    assert_eq!((resumed.status.code(), tool.calls().len()), (Some(0), 6));
    assert_eq!(stdout(&tool.run(&["report", "results"])), text);
}

#[test]
fn varying_figures_take_all_repeats() {
    let tool = FakeTool::new();
    tool.behave("b", "vary");
    let until = "until = \"end_to_end.p99 ±5%\"";
    tool.experiment(&format!(
        "repeats = {{ min = 2, max = 6, {until} }}\n[matrix]\nload = [\"a\", \"b\", \"c\"]"
    ));
    let output = tool.run(&["run", "try.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    expect(&tool, &[("complete", 18)]);
}

#[test]
fn values_that_may_be_larger_in_truth_are_never_precise() {
    for (percentile, runs) in [("p99", 4), ("p50", 2)] {
        let tool = FakeTool::new();
        tool.behave("a", "unanswered");
        let until = format!("until = \"end_to_end.{percentile} ±5%\"");
        tool.experiment(&format!(
            "repeats = {{ min = 2, max = 4, {until} }}\n[matrix]\nload = [\"a\"]"
        ));
        let output = tool.run(&["run", "try.toml"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(tool.calls().len(), runs, "{percentile}");
    }
}

#[test]
fn decided_comparisons_need_no_more_repeats() {
    let tool = FakeTool::new();
    for load in ["1", "2"] {
        tool.behave(load, "by-load");
    }
    tool.experiment(
        "repeats = { min = 5, max = 20, until = \"decided\" }\n[matrix]\nload = [1, 2]",
    );
    let output = tool.run(&["run", "try.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    expect(&tool, &[("complete", 10), ("not-needed", 30)]);
    let text = stdout(&tool.run(&["compare", "results"]));
    assert!(text.contains("looked up to 3 times"), "{text}");
    assert!(text.contains("98.33 % interval"), "{text}");
    assert!(text.contains("* end-to-end p99"), "{text}");
}

/// run-suite is killed again and again, and resumed.
#[test]
fn killed_and_resumed_experiments_end_as_undisturbed_ones() {
    let loads: Vec<String> = (1..=12).map(|load| load.to_string()).collect();
    let body = format!(
        "seed = 5\norder = \"blocks\"\nrepeats = {{ min = 2, max = 4, until = \"decided\" }}
         [matrix]\nload = [{}]",
        loads.join(", ")
    );
    let experiment = || {
        let tool = FakeTool::new();
        for load in &loads {
            tool.behave(load, "by-load");
        }
        tool.experiment(&body);
        tool
    };
    let undisturbed = experiment();
    assert_eq!(undisturbed.run(&["run", "try.toml"]).status.code(), Some(0));
    let killed = experiment();
    let mut kills = 0;
    let mut arguments = vec!["run", "try.toml"];
    for wait_ms in [700, 310, 530, 190, 870, 440, 260, 610, 60_000] {
        let mut command = killed.run_suite(&arguments);
        let mut child =
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("run-suite starts");
        let mut waited_ms = 0;
        let ended = loop {
            if let Some(status) = child.try_wait().expect("a status") {
                break Some(status);
            }
            if waited_ms >= wait_ms {
                break None;
            }
            thread::sleep(Duration::from_millis(10));
            waited_ms += 10;
        };
        if let Some(status) = ended {
            assert_eq!(status.code(), Some(0));
            break;
        }
        child.kill().expect("killed");
        child.wait().expect("ended");
        kills += 1;
        if killed.results().is_some_and(|_| killed.result("experiment.json").exists()) {
            arguments = vec!["resume", "results"];
        }
    }
    assert!(kills >= 3, "{kills}");
    assert_eq!(tally(&killed), tally(&undisturbed));
    // A run whose end was recorded is not made again.
    let mut finished: BTreeMap<String, usize> = BTreeMap::new();
    for call in killed.calls() {
        let run = call.split_whitespace().nth(1).expect("a folder").to_owned();
        *finished.entry(run).or_default() += 1;
    }
    let again: usize = finished.values().map(|calls| calls - 1).sum();
    assert!(again <= kills, "each kill cuts at most one run short: {finished:?}");
    let conclusions = |tool: &FakeTool| -> Vec<Value> {
        let output = tool.run(&["compare", "results", "--output", "json"]);
        let comparison: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
        let cells = comparison["cells"].as_array().expect("cells").clone();
        cells.into_iter().map(|mut cell| cell["figures"].take()).collect()
    };
    assert_eq!(conclusions(&killed), conclusions(&undisturbed));
    let order = |tool: &FakeTool| read_json(&tool.result("experiment.json"))["plan"]["runs"].take();
    assert_eq!(order(&killed), order(&undisturbed));
}
