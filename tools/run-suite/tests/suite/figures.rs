//! Missing figures, lower bounds and partial verdicts in summaries.

use std::fs;
use std::process::Output;

use serde_json::{Value, json};

use crate::fake_tool::{FakeTool, stderr, stdout};

/// A finished experiment whose runs are valid.
fn finished(body: &str) -> FakeTool {
    let tool = FakeTool::new();
    tool.experiment(body);
    let output = tool.run(&["run", "try.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    tool
}

fn report(tool: &FakeTool, format: &str) -> Output {
    tool.run(&["report", "results", "--output", format])
}

/// The only cell of the report in JSON.
fn cell(tool: &FakeTool) -> Value {
    let summary: Value = serde_json::from_str(&stdout(&report(tool, "json"))).expect("JSON");
    summary["experiments"][0]["cells"][0].clone()
}

/// The lines of a text with single spaces.
fn rows(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// The report of several experiments, which shows single runs.
fn beside_another(tool: &FakeTool) -> String {
    fs::rename(tool.path(&tool.results_argument()), tool.path("results/a")).expect("renamed");
    assert_eq!(tool.run(&["run", "try.toml"]).status.code(), Some(0));
    stdout(&tool.run(&["report", "results"]))
}

#[test]
fn medians_of_some_runs_are_noted() {
    let tool = finished("repeats = 3\n");
    let without_rate = |document: &mut Value| {
        for side in ["consumed", "produced"] {
            document["summary"][side]["rate_msg_per_s"] = Value::Null;
            document["summary"][side]["rate_bytes_per_s"] = Value::Null;
        }
    };
    tool.edit("01-try/repeat-2", without_rate);
    let text = stdout(&report(&tool, "human"));
    assert!(text.contains("try: msg/s: 2 of 3 valid runs have a value"), "{text}");
    let cell_of = cell(&tool);
    assert_eq!(cell_of["valid_runs"], 3);
    assert_eq!(
        cell_of["throughput_msg_per_s"],
        json!({"median": 990.0, "min": 990.0, "max": 990.0, "runs": 2})
    );
    let csv = stdout(&report(&tool, "csv"));
    assert!(
        csv.lines().nth(1).expect("a line").ends_with(",msg/s: 2 of 3 valid runs have a value")
    );

    for repeat in ["01-try/repeat-1", "01-try/repeat-3"] {
        tool.edit(repeat, without_rate);
    }
    let text = stdout(&report(&tool, "human"));
    assert!(rows(&text).iter().any(|row| row == "try - - 1.50 ms 4.20 ms 3 valid"), "{text}");
    assert!(text.contains("try: msg/s: 0 of 3 valid runs have a value"), "{text}");
    assert_eq!(cell(&tool)["throughput_msg_per_s"], Value::Null);
    let csv = stdout(&report(&tool, "csv"));
    assert!(
        csv.lines().nth(1).expect("a line").starts_with("try,try,fake-bench,3,3,,,,,,,"),
        "{csv}"
    );
}

#[test]
fn missing_receive_rates_stay_missing() {
    let tool = finished("");
    tool.edit("01-try/repeat-1", |document| {
        let consumed = &mut document["summary"]["consumed"];
        consumed["rate_msg_per_s"] = Value::Null;
        consumed["rate_bytes_per_s"] = Value::Null;
        document["summary"]["self_check"] = Value::Null;
    });
    let text = beside_another(&tool);
    let row = "try valid, 0 lost - - - 0.50 s 0.25 us 1.00 MB";
    assert!(rows(&text).iter().any(|line| line == row), "{text}");
}

#[test]
fn unacknowledged_messages_mark_lower_bounds() {
    let tool = finished("repeats = 3\n");
    // Above the median, at and below the 99th percentile; that of this run is the median of three.
    tool.edit("01-try/repeat-2", |document| {
        let latency = &mut document["summary"]["end_to_end_latency"];
        latency["unanswered"] = 20.into();
        latency["unanswered_min_ns"] = 4_000_000.into();
    });
    tool.edit("01-try/repeat-3", |document| {
        document["summary"]["end_to_end_latency"]["p99_ns"] = 9_000_000.into();
    });
    tool.edit("01-try/repeat-1", |document| {
        document["summary"]["end_to_end_latency"]["p99_ns"] = 3_000_000.into();
    });
    let text = stdout(&report(&tool, "human"));
    let rows = rows(&text);
    let row = "try 990 99.0 kB/s 1.50 ms >=4.20 ms 3 valid";
    assert!(rows.iter().any(|line| line == row), "{text}");
    assert!(text.contains("3.00 ms to >=9.00 ms"), "{text}");
    assert!(
        text.contains("try repeat 2: 20 end-to-end samples are of unacknowledged messages"),
        "{text}"
    );
    let cell_of = cell(&tool);
    assert_eq!(
        cell_of["end_to_end_p99_ns"]["lower_bounds"],
        json!({"median": true, "min": false, "max": true})
    );
    assert_eq!(cell_of["end_to_end_p50_ns"].get("lower_bounds"), None);
    let csv = stdout(&report(&tool, "csv"));
    let remark = ",\"end-to-end p99: median, max at least that\"";
    assert!(csv.lines().nth(1).expect("a line").ends_with(remark), "{csv}");
}

#[test]
fn run_table_marks_lower_bounds_and_unread() {
    let tool = finished("");
    tool.edit("01-try/repeat-1", |document| {
        let summary = &mut document["summary"];
        summary["publish_latency"]["unanswered"] = 20.into();
        summary["publish_latency"]["unanswered_min_ns"] = 4_200_000.into();
        summary["audit"]["unread"] = 300.into();
        document["verdict"] = json!({"outcome": "invalid", "reasons": ["300 were not read"]});
    });
    let text = beside_another(&tool);
    let rows = rows(&text);
    let row = "try publish 1.50 ms 2.00 ms >=4.20 ms >=5.00 ms >=6.00 ms";
    assert!(rows.iter().any(|line| line == row), "{text}");
    assert!(rows.iter().any(|line| line.starts_with("try INVALID, 0 lost, 300 unread ")), "{text}");
}

#[test]
fn partial_runs_do_not_count_or_repeat() {
    let tool = FakeTool::new();
    tool.behave("b", "partial");
    tool.experiment("[matrix]\nload = [\"a\", \"b\"]");
    for arguments in [["run", "try.toml"], ["report", "results"], ["resume", "results"]] {
        let output = tool.run(&arguments);
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(3), "{text}{}", stderr(&output));
        assert!(text.starts_with("try (1 valid, 1 PARTIAL): "), "{text}");
        assert!(text.contains("try load=b: PARTIAL: the record is not whole"), "{text}");
        assert!(rows(&text).iter().any(|row| row == "b - - - - 1 PARTIAL"), "{text}");
    }
    assert_eq!(tool.statuses(), ["complete", "partial"]);
    assert_eq!(tool.calls().len(), 2);
}

#[test]
fn figures_without_samples_are_not_shown() {
    let tool = finished("");
    tool.edit("01-try/repeat-1", |document| {
        let summary = &mut document["summary"];
        for latency in ["publish_latency", "service_time", "end_to_end_latency", "schedule_lag"] {
            summary[latency]["count"] = 0.into();
            for percentile in ["p50_ns", "p90_ns", "p99_ns", "p99_9_ns", "max_ns"] {
                summary[latency][percentile] = 0.into();
            }
        }
        summary["audit"]["received"] = 0.into();
        summary["resources"]["memory_max_bytes"] = 0.into();
        summary["durations"] = json!({"commit_time": summary["end_to_end_latency"]});
    });
    let csv = stdout(&report(&tool, "csv"));
    let cells: Vec<&str> = csv.lines().nth(1).expect("a line").split(',').collect();
    let header: Vec<&str> = csv.lines().next().expect("a header").split(',').collect();
    for (name, cell) in header.iter().zip(&cells).filter(|(name, _)| name.contains("_ns_")) {
        assert_eq!(*cell, "", "{name}");
    }
    let text = beside_another(&tool);
    let rows = rows(&text);
    let row = "try valid, nothing received - 990 99.0 kB/s 0.50 s 0.25 us -";
    assert!(rows.iter().any(|line| line == row), "{text}");
    assert!(rows.iter().any(|line| line == "try publish - - - - -"), "{text}");
    assert!(!text.contains("commit time"), "{text}");
}
