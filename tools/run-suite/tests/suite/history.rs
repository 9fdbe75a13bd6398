//! The same cells over many experiments.

use std::fs;

use serde_json::{Value, json};

use crate::fake_tool::{FakeTool, edit_document, read_json, stderr, stdout};

/// Experiments of three runs each, made one day after the other, with these 99th percentiles in
/// milliseconds.
fn experiments(values_ms: &[u64]) -> FakeTool {
    let tool = FakeTool::new();
    tool.experiment("repeats = 3\n");
    for (day, ms) in (1..).zip(values_ms) {
        assert_eq!(tool.run(&["run", "try.toml"]).status.code(), Some(0));
        let folder = tool.path(&format!("all/{day}"));
        fs::create_dir_all(tool.path("all")).expect("created");
        fs::rename(tool.path(&tool.results_argument()), &folder).expect("renamed");
        let mut state = read_json(&folder.join("experiment.json"));
        state["created_at"] = json!(format!("2026-11-{day:02}T08:00:00Z"));
        fs::write(folder.join("experiment.json"), state.to_string()).expect("written");
        for repeat in 1..=3 {
            edit_document(&folder.join(format!("01-try/repeat-{repeat}")), |document| {
                let p99_ns = ms * 1_000_000 + repeat * 10_000;
                document["summary"]["end_to_end_latency"]["p99_ns"] = json!(p99_ns);
            });
        }
    }
    tool
}

#[test]
fn changes_are_found_where_they_happened() {
    let tool = experiments(&[10, 10, 10, 12, 12, 12]);
    let text = stdout(&tool.run(&["history", "all"]));
    let changed: Vec<&str> = text.lines().filter(|line| line.contains("changed by")).collect();
    assert_eq!(changed.len(), 1, "{text}");
    assert!(changed[0].contains("2026-11-04") && changed[0].contains("+19.96 %"), "{text}");
    let output = tool.run(&["history", "all", "--margin", "30%"]);
    assert!(stdout(&output).contains("no change found"), "{}", stdout(&output));
    let json = tool.run(&["history", "all", "--figure", "end_to_end.p99", "--output", "json"]);
    let json: Value = serde_json::from_str(&stdout(&json)).expect("JSON");
    let points = json["series"][0]["points"].as_array().expect("points");
    let changed = points.iter().filter(|point| !point["change"].is_null()).count();
    assert_eq!((points.len(), changed), (6, 1), "{json}");
}

#[test]
fn values_that_may_be_larger_in_truth_are_marked() {
    let tool = experiments(&[10, 10]);
    edit_document(&tool.path("all/2/01-try/repeat-1"), |document| {
        let latency = &mut document["summary"]["end_to_end_latency"];
        latency["unanswered"] = json!(2_000);
        latency["unanswered_min_ns"] = json!(3_000_000);
    });
    let text = stdout(&tool.run(&["history", "all", "--figure", "end_to_end.p99"]));
    let line = |day: &str| text.lines().find(|line| line.contains(day)).expect("a line").to_owned();
    assert!(!line("2026-11-01").contains(">="), "{text}");
    assert!(line("2026-11-02").contains(">=10.0 ms to >=10.0 ms"), "{text}");
}

#[test]
fn csv_has_a_row_per_experiment_and_a_column_per_series() {
    let tool = experiments(&[10, 20]);
    let csv = stdout(&tool.run(&["history", "all", "--output", "csv"]));
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "time,folder,try try throughput,try try end_to_end.p99");
    assert_eq!(lines[1], "2026-11-01T08:00:00Z,all/1,990,10020000");
    assert_eq!(lines[2], "2026-11-02T08:00:00Z,all/2,990,20020000");
}

#[test]
fn bad_arguments_are_refused_with_a_remedy() {
    let tool = FakeTool::new();
    let output = tool.run(&["history", "nowhere"]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(stderr(&output).contains("nowhere"), "{}", stderr(&output));
    let output = tool.run(&["history"]);
    assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
    tool.experiment("");
    assert_eq!(tool.run(&["run", "try.toml"]).status.code(), Some(0));
    let output = tool.run(&["history", "results", "--figure", "p98"]);
    assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
}
