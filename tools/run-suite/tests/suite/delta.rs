//! Delta tables used as queues: the sweep over rates, and a chain of the two tools.

use std::fs;

use serde_json::Value;

use crate::fake_tool::{FakeTool, read_json, stderr, stdout};
use crate::real_tool::are_built;

/// Arguments of a sweep in two steps.
const SWEEP: [&str; 9] = [
    "delta-sweep",
    "--range-start=500",
    "--range-end=1000",
    "--range-step=500",
    "--seconds-to-stream=3",
    "--autocommit-duration-ms=100",
    "--",
    "--record-size",
    "100",
];

/// The lines of a table as numbers, without the header, which is checked.
fn latencies(csv: &str) -> Vec<Vec<f64>> {
    let (header, lines) = csv.split_once('\n').expect("a header");
    assert_eq!(header, "time_from_start,p50,p75,p85,p95,p99");
    let numbers = |line: &str| {
        line.split(',').map(|cell| cell.parse().expect("a number")).collect::<Vec<f64>>()
    };
    lines.lines().map(numbers).collect()
}

#[test]
fn delta_sweeps_write_latencies_per_rate() {
    if !are_built(&["delta-producer"]) {
        return;
    }
    let folder = FakeTool::new();
    let output = folder.run(&SWEEP);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}{}", stderr(&output));
    assert!(text.contains("delta-sweep (2 valid)"), "{text}");
    assert!(text.contains("commit time p50"), "{text}");
    assert!(text.contains("benchmark-results (latencies over time)"), "{text}");
    for (cell, rate) in [("01-rate-500", 500), ("02-rate-1000", 1_000)] {
        let csv = fs::read_to_string(folder.path(&format!("benchmark-results/delta-{rate}.csv")));
        let latencies = latencies(&csv.expect("a table"));
        assert!((3..=6).contains(&latencies.len()), "{latencies:?}");
        for (line, second) in latencies.iter().zip(1_u32..) {
            assert!((line[0] - f64::from(second)).abs() < 1e-9, "{line:?}");
            assert!(line[1..].is_sorted() && line[1] > 0.0, "{line:?}");
        }
        let run = read_json(&folder.result(&format!("{cell}/repeat-1/run.json")));
        assert_eq!(run["summary"]["audit"]["lost"], 0);
        assert_eq!(run["summary"]["produced"]["acked"], 3 * rate);
        assert_eq!(run["services"][0]["origin"], "embedded");
        let commits = run["summary"]["durations"]["commit_time"]["count"].as_u64();
        assert!(commits.is_some_and(|commits| commits >= 10), "{commits:?}");
        let intervals = folder.result(&format!("{cell}/repeat-1/intervals.csv"));
        let intervals = fs::read_to_string(intervals).expect("readable");
        assert!(intervals.contains(",commit_time_count,commit_time_p50_ns,"), "{intervals}");
    }
    tables_that_are_missing_are_written_again(&folder);
}

fn tables_that_are_missing_are_written_again(sweep: &FakeTool) {
    let (folder, table) = ("benchmark-results", "benchmark-results/delta-500.csv");
    let before = fs::read(sweep.path(table)).expect("a table");
    let resume = || sweep.run(&["resume", &sweep.results_argument()]);
    fs::remove_dir_all(sweep.path(folder)).expect("removed");
    fs::write(sweep.path(folder), "in the way").expect("written");
    let output = resume();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("make room for it, then resume"), "{}", stderr(&output));
    assert!(stdout(&output).contains("delta-sweep (2 valid)"), "it still reports");
    fs::remove_file(sweep.path(folder)).expect("removed");
    let output = resume();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(fs::read(sweep.path(table)).expect("a table"), before);
}

#[test]
fn wrong_ranges_are_refused_first() {
    let folder = FakeTool::new();
    for (range, problem) in [
        (["0", "10", "5"], "--range-start: must be more than 0"),
        (["10", "5", "5"], "--range-end: 5 is below"),
        (["5", "10", "0"], "--range-step: must be at least 1"),
        (["1", "10000000", "1"], "--range-step: the range has more than 10000 values"),
    ] {
        let [start, end, step] = range;
        let range = ["--range-start", start, "--range-end", end, "--range-step", step];
        let output = folder.run(&[&["delta-sweep"][..], &range].concat());
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(problem), "{}", stderr(&output));
    }
    assert_eq!(folder.results(), None);
    assert!(!folder.path("benchmark-results").exists());
}

#[test]
fn rates_have_tables_of_their_own() {
    if !are_built(&["delta-producer"]) {
        return;
    }
    let folder = FakeTool::new();
    let mut arguments = SWEEP.to_vec();
    arguments.insert(1, "--lake-path=s3://bucket/sweep");
    arguments.insert(1, "--dry-run");
    let text = stdout(&folder.run(&arguments));
    for run in ["1_1", "2_1"] {
        let option = format!("--lake-path=s3://bucket/sweep/delta_sweep_{run}_");
        assert!(text.contains(&option), "{text}");
    }
    assert_eq!(folder.results(), None);
}

#[test]
fn delta_experiments_have_valid_options() {
    if !are_built(&["delta-producer", "delta-consumer"]) {
        return;
    }
    let folder = FakeTool::new();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../experiments");
    let mut seen = 0;
    for entry in fs::read_dir(root).expect("experiments") {
        let path = entry.expect("readable").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("delta-") {
            let output = folder.run(&["run", "--dry-run", &path.display().to_string()]);
            assert_eq!(output.status.code(), Some(0), "{name}: {}", stderr(&output));
            seen += 1;
        }
    }
    assert!(seen >= 7, "{seen} experiments");
}

#[test]
fn second_tool_reads_the_table_of_the_first() {
    if !are_built(&["delta-producer", "delta-consumer"]) {
        return;
    }
    let folder = FakeTool::new();
    folder.write(
        "later.toml",
        "name = \"later\"\nquestion = \"Is all there?\"\ntool = \"delta-producer\"
         services = \"embedded\"\ntime_limit = \"60s\"
         [options]\nno-follow = true\nmessages = 2000\nrate = \"2k/s\"\ncommit-interval = \"100ms\"
         [then]\ntool = \"delta-consumer\"",
    );
    let output = folder.run(&["run", "later.toml"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}{}", stderr(&output));
    let run: Value = read_json(&folder.result("01-later/repeat-1/then/run.json"));
    assert_eq!(run["summary"]["audit"]["received"], 2000);
    assert_eq!(run["summary"]["audit"]["lost"], 0);
    assert_eq!(run["summary"]["audit"]["against"], "acked");
}
