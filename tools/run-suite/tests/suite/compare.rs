//! Comparisons of cells and of experiments, from their folders.

use std::process::Output;

use serde_json::{Value, json};

use crate::fake_tool::{FakeTool, edit_document, stderr, stdout};

/// An experiment of the cells a and b, whose 99th percentiles are these, in milliseconds.
fn measured(order: &str, a: &[f64], b: &[f64]) -> FakeTool {
    let tool = FakeTool::new();
    tool.experiment(&format!(
        "repeats = {}\norder = \"{order}\"\nseed = 7\n[matrix]\nload = [\"a\", \"b\"]",
        a.len()
    ));
    let output = tool.run(&["run", "try.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for (cell, values) in [("01-load-a", a), ("02-load-b", b)] {
        for (repeat, ms) in (1..).zip(values) {
            tool.edit(&format!("{cell}/repeat-{repeat}"), |document| {
                let latency = &mut document["summary"]["end_to_end_latency"];
                latency["count"] = 1_000_000.into();
                latency["p99_ns"] = json!(nanoseconds(*ms));
            });
        }
    }
    tool
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few million")]
fn nanoseconds(ms: f64) -> u64 {
    (ms * 1e6).round() as u64
}

fn compare(tool: &FakeTool, arguments: &[&str]) -> Output {
    tool.run(&[&["compare"], arguments].concat())
}

/// The figure of this name in the only comparison.
fn figure(tool: &FakeTool, arguments: &[&str], name: &str) -> Value {
    let output = compare(tool, &[arguments, &["--output", "json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let comparison: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(comparison["cells"].as_array().expect("cells").len(), 1);
    let figures = comparison["cells"][0]["figures"].as_array().expect("figures");
    let figure = figures.iter().find(|figure| figure["figure"] == name);
    figure.unwrap_or_else(|| panic!("no {name}: {comparison:#}")).clone()
}

/// The lines of a text with single spaces.
fn rows(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

const A: [f64; 6] = [10.0, 11.0, 9.0, 10.5, 9.5, 10.0];

#[test]
fn cells_in_blocks_are_compared_pair_by_pair() {
    // A fifth slower in every block, whatever the block.
    let b = A.map(|ms| ms * 1.2);
    let tool = measured("blocks", &A, &b);
    let found = figure(&tool, &["results"], "end_to_end.p99");
    assert_eq!((&found["verdict"], &found["primary"]), (&json!("slower"), &json!(true)));
    assert!((found["change"]["ratio"].as_f64().expect("a ratio") - 1.2).abs() < 1e-4, "{found}");
    assert_eq!(found["p_sign_flip"], json!(2.0 / 64.0));
    assert_eq!(found["a"]["values"].as_array().expect("values").len(), 6);
    assert_eq!(figure(&tool, &["results"], "throughput")["verdict"], "same");
    let text = stdout(&compare(&tool, &["results"]));
    let rows = rows(&text);
    assert!(text.starts_with("A: load=a (6 valid runs) "), "{text}");
    assert!(
        rows.iter().any(|row| row == "* end-to-end p99 10.0 ms 12.0 ms 1.200 slower"),
        "{text}"
    );
    assert!(
        rows.iter().any(|row| row == "* throughput 990 msg/s 990 msg/s 1.000 the same within 5 %"),
        "{text}"
    );
    assert!(!text.contains("no test") && !text.contains("differences:"), "{text}");
}

#[test]
fn differing_surroundings_are_listed() {
    let tool = measured("blocks", &A, &A);
    for repeat in 1..=6 {
        tool.edit(&format!("02-load-b/repeat-{repeat}"), |document| {
            document["versions"]["librdkafka"] = "2.12.0".into();
            document["options"]["linger"] = "5ms".into();
            // Differs from run to run, as names of topics do.
            document["options"]["topic"] = format!("t{repeat}").into();
            document["host"]["settings"] = json!({"governor": "powersave"});
        });
    }
    let text = stdout(&compare(&tool, &["results"]));
    for line in [
        "option linger: A none, B 5ms",
        "version of librdkafka: A none, B 2.12.0",
        "host governor: A none, B powersave",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains("topic") && !text.contains("different machines"), "{text}");
    for repeat in 1..=6 {
        tool.edit(&format!("02-load-b/repeat-{repeat}"), |document| {
            document["host"]["name"] = "other".into();
        });
    }
    let text = stdout(&compare(&tool, &["results"]));
    assert!(text.contains("the sides ran on different machines"), "{text}");
}

#[test]
fn sides_in_a_row_are_marked_as_no_test() {
    let b = A.map(|ms| ms * 1.2);
    let tool = measured("grouped", &A, &b);
    let text = stdout(&compare(&tool, &["results"]));
    assert!(text.contains("one after the other: no test"), "{text}");
    assert!(text.contains("all repeats of a cell ran in a row"), "{text}");
    assert_eq!(figure(&tool, &["results"], "end_to_end.p99")["p_sign_flip"], Value::Null);
}

#[test]
fn experiments_are_compared_cell_by_cell() {
    let tool = measured("blocks", &A, &A);
    std::fs::rename(tool.path(&tool.results_argument()), tool.path("before")).expect("renamed");
    let output = tool.run(&["run", "try.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let after = tool.results_argument();
    let text = stdout(&compare(&tool, &["before", &after]));
    assert!(text.contains("the sides were recorded at different times"), "{text}");
    assert_eq!(text.matches("A: load=").count(), 2, "{text}");
    // A cell alone is compared with any other.
    let cell = format!("{after}/02-load-b");
    let text = stdout(&compare(&tool, &["before/01-load-a", &cell]));
    assert!(text.contains("A: load=a") && text.contains("B: load=b"), "{text}");
}

#[test]
fn few_or_noisy_runs_decide_nothing() {
    let noisy = measured("blocks", &[10.0, 12.0, 9.0], &[12.0, 10.0, 11.0]);
    let found = figure(&noisy, &["results"], "end_to_end.p99");
    assert_eq!(found["verdict"], "undecided");
    assert!(found["more_repeats"].is_u64(), "{found}");
    let text = stdout(&compare(&noisy, &["results"]));
    assert!(text.contains("undecided, about "), "{text}");
    let single = measured("blocks", &[10.0], &[20.0]);
    assert_eq!(figure(&single, &["results"], "end_to_end.p99")["verdict"], "too-few-runs");
}

#[test]
fn figures_that_rest_on_too_little_are_not_judged() {
    let tool = measured("blocks", &A, &A.map(|ms| ms * 1.2));
    tool.edit("02-load-b/repeat-2", |document| {
        let latency = &mut document["summary"]["end_to_end_latency"];
        latency["unanswered"] = 20.into();
        latency["unanswered_min_ns"] = 2_000_000.into();
    });
    assert_eq!(figure(&tool, &["results"], "end_to_end.p99")["verdict"], "lower-bound");
    tool.edit("02-load-b/repeat-2", |document| {
        let latency = &mut document["summary"]["end_to_end_latency"];
        latency["unanswered"] = 0.into();
        latency["count"] = 1900.into();
    });
    assert_eq!(figure(&tool, &["results"], "end_to_end.p99")["verdict"], "too-few-samples");
    assert_eq!(figure(&tool, &["results"], "end_to_end.p50")["verdict"], "same");
}

#[test]
fn invalid_runs_are_left_out_and_named() {
    let tool = measured("blocks", &A, &A);
    tool.edit("01-load-a/repeat-3", |document| {
        document["verdict"] = json!({"outcome": "invalid", "reasons": ["3 were lost"]});
    });
    let found = figure(&tool, &["results"], "end_to_end.p99");
    assert_eq!(found["change"]["runs"], 5, "the pairs that are whole");
    let text = stdout(&compare(&tool, &["results"]));
    assert!(text.contains("A: repeats without a valid result are left out: 3"), "{text}");
}

#[test]
fn stand_ins_are_not_compared_with_real_servers() {
    let tool = measured("blocks", &A, &A);
    std::fs::rename(tool.path(&tool.results_argument()), tool.path("before")).expect("renamed");
    assert_eq!(tool.run(&["run", "try.toml"]).status.code(), Some(0));
    let after = tool.results_argument();
    for cell in ["01-load-a", "02-load-b"] {
        for repeat in 1..=6 {
            let run = tool.path(&format!("{after}/{cell}/repeat-{repeat}"));
            edit_document(&run, |document| {
                document["services"][0]["origin"] = "external".into();
            });
        }
    }
    let output = compare(&tool, &["before", &after]);
    assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
    assert!(stderr(&output).contains("the client's ceiling"), "{}", stderr(&output));
}

#[test]
fn declared_figures_are_primary() {
    let tool = FakeTool::new();
    tool.experiment("repeats = 3\nprimary = [\"publish.p50\"]\n[matrix]\nload = [\"a\", \"b\"]");
    assert_eq!(tool.run(&["run", "try.toml"]).status.code(), Some(0));
    assert_eq!(figure(&tool, &["results"], "publish.p50")["primary"], true);
    assert_eq!(figure(&tool, &["results"], "end_to_end.p50")["primary"], false);
    let given = ["results", "--primary", "end_to_end.p50"];
    assert_eq!(figure(&tool, &given, "publish.p50")["primary"], false);
    assert_eq!(figure(&tool, &given, "end_to_end.p50")["primary"], true);
}

#[test]
fn comparisons_come_as_csv_and_markdown() {
    let tool = measured("blocks", &A, &A.map(|ms| ms * 1.2));
    let csv = stdout(&compare(&tool, &["results", "--output", "csv"]));
    let mut lines = csv.lines();
    assert!(lines.next().expect("a header").starts_with("a,b,pairing,figure,primary,"));
    let p99 = lines.find(|line| line.contains(",end_to_end.p99,")).expect("a row");
    assert!(p99.ends_with(",slower,"), "{p99}");
    let markdown = stdout(&compare(&tool, &["results", "--markdown"]));
    assert!(markdown.starts_with("### load=b against load=a\n"), "{markdown}");
    assert!(markdown.contains("|---|---:|---:|---:|---|\n"), "{markdown}");
    assert!(markdown.contains("| slower |"), "{markdown}");
}

#[test]
fn bad_arguments_are_refused_with_a_remedy() {
    let tool = measured("blocks", &[10.0, 10.0], &[10.0, 10.0]);
    let refused = |arguments: &[&str], part: &str| {
        let output = compare(&tool, arguments);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    };
    refused(&["nowhere"], "A: nowhere: is neither the folder of an experiment");
    refused(&["results", "--primary", "p98"], "--primary: no figure is called `p98`");
    refused(&["results", "--confidence", "20%"], "--confidence: ");
    refused(&["results", "--margin", "much"], "--margin");
    let cell = format!("{}/01-load-a", tool.results_argument());
    let text = stdout(&compare(&tool, &[&cell]));
    assert!(text.contains("B: load=b"), "the other cells: {text}");
}

#[test]
fn text_leaves_out_percentiles_that_do_not_differ() {
    let tool = FakeTool::new();
    tool.experiment("repeats = 3\n[matrix]\nload = [\"a\", \"b\"]");
    assert_eq!(tool.run(&["run", "try.toml"]).status.code(), Some(0));
    for repeat in 1..=3 {
        tool.edit(&format!("02-load-b/repeat-{repeat}"), |document| {
            document["summary"]["end_to_end_latency"]["p90_ns"] = json!(9_000_000 + repeat * 1_000);
        });
    }
    for format in [&[][..], &["--markdown"]] {
        let short = stdout(&tool.run(&[&["compare", "results"], format].concat()));
        assert!(short.contains("end-to-end p99") && short.contains("publish p50"), "{short}");
        assert!(short.contains("end-to-end p90"), "it differs: {short}");
        assert!(!short.contains("publish p90"), "{short}");
        assert!(short.contains("other percentiles, of which no difference is shown"), "{short}");
        let all = stdout(&tool.run(&[&["compare", "results", "--all"], format].concat()));
        assert!(all.contains("publish p90") && all.contains("p99.99"), "{all}");
        assert!(!all.contains("other percentiles"), "{all}");
    }
}
