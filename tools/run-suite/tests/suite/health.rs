//! What was wrong with a run is told wherever its figures are.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;

use crate::fake_tool::{FakeTool, stderr, stdout};
use crate::real_tool::are_built;

/// A finished run whose intervals have these end-to-end 99th percentiles, in milliseconds.
fn run_of(p99_ms: &[u64]) -> FakeTool {
    let tool = FakeTool::new();
    let row = |(second, ms): (u64, &u64)| {
        // Wavers a little, as any system does.
        let ns = ms * 1_000_000 + (second * 7919 % 13) * 10_000;
        format!("{second},{},1000,1000,1000,{ns},{ns}", second + 1)
    };
    let rows: Vec<String> = (0..).zip(p99_ms).map(row).collect();
    tool.schedule(1, &rows);
    tool.experiment("");
    let output = tool.run(&["run", "try.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    tool
}

/// The kind of each flag, and its note.
fn flags(tool: &FakeTool) -> Vec<(String, String)> {
    let report = stdout(&tool.run(&["report", "results", "--output", "json"]));
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let flags = report["experiments"][0]["cells"][0]["runs"][0]["flags"].clone();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let flags = flags.as_array().expect("flags").iter();
    flags.map(|flag| (text(&flag["kind"]), text(&flag["note"]))).collect()
}

#[test]
fn steady_runs_have_no_flags() {
    assert_eq!(flags(&run_of(&[5; 61])), []);
}

#[test]
fn runs_that_are_still_warming_up_are_flagged() {
    let levels: Vec<u64> = (0..61).map(|second| if second < 20 { 9 } else { 5 }).collect();
    let tool = run_of(&levels);
    let found = flags(&tool);
    assert_eq!(found[0].0, "warm-up");
    assert!(found[0].1.contains("end-to-end p99 was not steady before "), "{found:?}");
    let text = stdout(&tool.run(&["report", "results"]));
    assert!(text.contains("use a longer --warm-up"), "{text}");
    let kept = std::fs::read_to_string(tool.result("01-try/repeat-1/analysis.json")).expect("kept");
    assert!(kept.contains("\"warm-up\""), "{kept}");
}

#[test]
fn runs_on_another_machine_are_flagged() {
    let tool = FakeTool::new();
    tool.experiment("repeats = 3\n[matrix]\nload = [\"a\", \"b\"]");
    assert_eq!(tool.run(&["run", "try.toml"]).status.code(), Some(0));
    tool.edit("01-load-a/repeat-2", |document| {
        document["host"]["cpus"] = 4.into();
        document["host"]["settings"]["governor"] = "powersave".into();
    });
    let note = "its machine differs from that of repeat 1: processors 4 instead of 2, governor \
                powersave instead of unknown";
    let text = stdout(&tool.run(&["report", "results"]));
    assert_eq!(text.matches(note).count(), 1, "{text}");
    let report = stdout(&tool.run(&["report", "results", "--output", "json"]));
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let runs = &report["experiments"][0]["cells"][0]["runs"];
    assert_eq!(runs[1]["flags"][0]["kind"], "machine");
    let compared = stdout(&tool.run(&["compare", &tool.results_argument()]));
    assert!(compared.contains(note), "{compared}");
}

#[test]
fn steps_are_found_within_two_intervals() {
    let levels: Vec<u64> = (0..61).map(|second| if second < 40 { 5 } else { 25 }).collect();
    let tool = run_of(&levels);
    let found = flags(&tool);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "step");
    let note = "end-to-end p99 changed from 5.06 ms to 25.1 ms at 40.0 s";
    assert_eq!(found[0].1, note);
    // Of a run with faults they are what was asked for.
    tool.edit("01-try/repeat-1", |document| {
        document["run_id"] = "0000000002".into();
        document["faults"] = serde_json::json!([{"action": "kill", "target": "kafka-1",
            "setting": null, "begin_s": 25.0, "end_s": null, "recovery_s": null,
            "unrecovered": null, "disturbed_again": 0, "band": null}]);
    });
    let text = std::fs::read_to_string(tool.result("experiment.json")).expect("a state");
    let state: Value = serde_json::from_str(&text).expect("JSON");
    let run_id = state["runs"][0]["run_ids"][0].as_str().expect("an id").to_owned();
    std::fs::write(tool.result("experiment.json"), text.replace(&run_id, "0000000002"))
        .expect("written");
    let found = flags(&tool);
    assert!(found.iter().all(|(kind, _)| kind == "fault"), "{found:?}");
    assert!(found[0].1.contains("kill kafka-1"), "{found:?}");
}

#[test]
fn flagged_runs_are_excluded_on_request_and_counted() {
    let levels: Vec<u64> = (0..61).map(|second| if second < 40 { 5 } else { 25 }).collect();
    let tool = run_of(&levels);
    let text = stdout(&tool.run(&["report", "results"]));
    assert!(text.starts_with("try (1 valid): "), "{text}");
    let output = tool.run(&["report", "results", "--exclude-flagged"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.starts_with("try (1 flagged): "), "{text}");
    assert!(text.contains("1 run is left out of all medians and ranges: try (flagged)"), "{text}");
}

/// Processes that run-suite has not started count as others.
#[test]
fn busy_machines_are_flagged() {
    if !are_built(&["kafka-prodcon", "embedded-kafka"]) {
        return;
    }
    let tool = FakeTool::new();
    tool.write(
        "small.toml",
        "name = \"small\"\nquestion = \"Is it busy?\"\ntool = \"kafka-prodcon\"
         services = \"embedded\"\n[options]\nduration = \"4s\"\nrate = \"1k/s\"",
    );
    let is_over = Arc::new(AtomicBool::new(false));
    let half = thread::available_parallelism().expect("a number").get().div_ceil(2);
    let load: Vec<_> = (0..half)
        .map(|_| {
            let is_over = Arc::clone(&is_over);
            thread::spawn(move || {
                let mut number = 1_u64;
                while !is_over.load(Ordering::Relaxed) {
                    number = std::hint::black_box(number.wrapping_mul(31).wrapping_add(7));
                }
            })
        })
        .collect();
    let output = tool.run(&["run", "small.toml"]);
    is_over.store(true, Ordering::Relaxed);
    for thread in load {
        thread.join().expect("ended");
    }
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}{}", stderr(&output));
    assert!(text.contains("other processes took "), "{text}");
}
