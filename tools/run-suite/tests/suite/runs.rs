//! Experiments that run to their end, and files that cannot be run.

use std::fs;

use crate::fake_tool::{FakeTool, read_json, stderr, stdout};

/// Two cells of two repeats.
const SWEEP: &str = "repeats = 2\n[options]\nfast = true\n[matrix]\nload_name = [\"a\", \"b\"]\n";

#[test]
fn dry_run_lists_runs_and_starts_nothing() {
    let tool = FakeTool::new();
    tool.experiment("repeats = 2\n[options]\nduration = \"30s\"\n[matrix]\nload = [\"a\", \"b\"]");
    let output = tool.run(&["run", "try.toml", "--dry-run"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "try: Does it work?");
    assert_eq!(lines[2], "   1  load=a repeat 1");
    assert_eq!(
        lines[3],
        "      fake-bench --run-dir RESULTS/try/01-load-a/repeat-1 --duration=30s --load=a \
         --output json"
    );
    assert_eq!(lines[4], "   2  load=b repeat 1");
    assert_eq!(lines[6], "   3  load=a repeat 2");
    assert_eq!(lines[11], "4 runs, about 120 s plus the time to start and drain");
    assert!(tool.calls().is_empty());
    assert_eq!(tool.results(), None);
}

#[test]
fn report_reproduces_the_summary() {
    let tool = FakeTool::new();
    tool.experiment(SWEEP);
    let output = tool.run_suite(&["run", "try.toml"]).output().expect("run-suite starts");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
    assert_eq!(
        tool.calls(),
        [("01-load-a", 1), ("02-load-b", 1), ("01-load-a", 2), ("02-load-b", 2)].map(
            |(cell, repeat)| format!(
                "--run-dir {cell}/repeat-{repeat} --fast --load={} --output json services=embedded",
                &cell[8..]
            )
        )
    );
    assert_eq!(tool.statuses(), ["complete"; 4]);
    assert!(tool.result("01-load-a/repeat-2/run.json").is_file());
    assert!(tool.result("01-load-a/repeat-2.log").is_file());
    assert_eq!(
        fs::read_to_string(tool.result("experiment.toml")).expect("a copy"),
        fs::read_to_string(tool.path("try.toml")).expect("the file")
    );

    let text = stdout(&output);
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(
        rows.contains(&vec!["a", "990", "99.0", "kB/s", "1.50", "ms", "4.20", "ms", "2", "valid"])
    );
    assert!(text.contains("1.50-1.50 ms"), "{text}");
    assert!(text.contains("the client's ceiling on loopback"), "{text}");
    assert!(text.contains("never averaged"), "{text}");
    let report = tool.run(&["report", &tool.results_argument()]);
    assert_eq!(stdout(&report), text);
}

#[test]
fn reports_come_as_json_and_csv() {
    let tool = FakeTool::new();
    tool.experiment(SWEEP);
    let output = tool.run(&["run", "try.toml", "--output", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let summary: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let experiment = &summary["experiments"][0];
    assert_eq!(experiment["columns"], serde_json::json!(["load"]));
    assert_eq!(experiment["cells"][1]["values"], serde_json::json!(["b"]));
    assert_eq!(experiment["cells"][1]["end_to_end_p99_ns"]["median"], 4_200_000);
    assert_eq!(experiment["cells"][1]["runs"][1]["figures"]["produced"]["acked"], 1000);
    let csv = stdout(&tool.run(&["report", &tool.results_argument(), "--output", "csv"]));
    let lines: Vec<&str> = csv.lines().collect();
    assert!(
        lines[0]
            .starts_with("experiment,cell,tool,load,runs,valid_runs,throughput_msg_per_s_median")
    );
    assert!(lines[2].starts_with("try,load=b,fake-bench,b,2,2,990,990,990,99000,"), "{csv}");
    assert_eq!(lines.len(), 3);
}

#[test]
fn invalid_runs_exit_with_3_and_do_not_count() {
    let tool = FakeTool::new();
    tool.behave("b", "invalid");
    tool.experiment(SWEEP);
    let output = tool.run(&["run", "try.toml"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert_eq!(tool.statuses(), ["complete", "invalid", "complete", "invalid"]);
    let text = stdout(&output);
    let row: Vec<&str> = text
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("b "))
        .map(|line| line.split_whitespace().collect())
        .expect("a row for b");
    assert_eq!(row, ["b", "-", "-", "-", "-", "2", "INVALID"]);
    assert!(text.contains("INVALID: 3 acknowledged messages were lost"), "{text}");
}

#[test]
fn failed_runs_exit_with_1_and_show_the_last_line() {
    let tool = FakeTool::new();
    tool.behave("a", "fail");
    tool.behave("b", "invalid");
    tool.experiment("[matrix]\nload = [\"a\", \"b\", \"c\"]");
    let output = tool.run(&["run", "try.toml"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(tool.statuses(), ["failed", "invalid", "complete"]);
    let problem = "ended with exit code 1: the broker is gone";
    let told = format!("{}{}", stdout(&output), stderr(&output));
    assert_eq!(told.matches(problem).count(), 1, "once: {told}");
    // Without a report for people, the log has it.
    let output = tool.run(&["resume", &tool.results_argument(), "--output", "json"]);
    assert_eq!(stderr(&output).matches(problem).count(), 1, "{}", stderr(&output));

    // The failed run is repeated in a clean folder; the others are kept.
    tool.behave("a", "good");
    let output = tool.run(&["resume", &tool.results_argument()]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert_eq!(tool.statuses(), ["complete", "invalid", "complete"]);
    assert_eq!(tool.calls().len(), 5);
    assert!(tool.result("01-load-a/repeat-1.aside-2/run.json").is_file());
}

#[test]
fn wrong_services_end_the_experiment() {
    let tool = FakeTool::new();
    tool.experiment("services = \"external\"\n[matrix]\nload = [\"a\", \"b\"]");
    let output = tool.run_suite(&["run", "try.toml"]).output().expect("run-suite starts");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(tool.statuses(), ["failed", "pending"], "the next would go wrong, too");
    let error = stderr(&output);
    assert!(error.contains("asks for external services, the run used embedded kafka"), "{error}");
    assert!(error.contains(&format!("run-suite resume {}", tool.results_argument())), "{error}");
    assert!(tool.calls()[0].ends_with("services=external"));
}

#[test]
fn unreadable_experiment_files_are_named() {
    let tool = FakeTool::new();
    for (file, cause) in [
        ("missing.toml", "cannot be read: no such file or folder; "),
        (".", "cannot be read: it is a folder; "),
        ("/dev/zero", "cannot be read: it has more than 16 MiB; "),
    ] {
        let output = tool.run(&["run", file]);
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(cause) && !error.contains("os error"), "{error}");
    }
}

#[test]
fn tools_without_results_fail() {
    let tool = FakeTool::new();
    tool.behave("a", "nothing");
    tool.experiment("[options]\nload = \"a\"");
    let output = tool.run(&["run", "try.toml"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("left no complete result: failed to read "), "{text}");
    assert!(!text.contains("status: 0") && !text.contains("code 0"), "{text}");
}

#[test]
fn runs_have_names_without_slashes() {
    let tool = FakeTool::new();
    tool.experiment("repeats = 2\n[options]\nload = \"try-{run}\"");
    assert_eq!(tool.run(&["run", "try.toml"]).status.code(), Some(0));
    let calls = tool.calls();
    let names: Vec<&str> = calls
        .iter()
        .filter_map(|call| call.split_whitespace().find_map(|word| word.strip_prefix("--load=")))
        .collect();
    assert_eq!(names.len(), 2);
    assert_ne!(names[0], names[1]);
    for name in names {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        assert!(name.starts_with("try-try_") && name.chars().all(is_plain), "{name}");
    }
}

#[test]
fn shells_with_local_services_refuse_external_ones() {
    let tool = FakeTool::new();
    tool.experiment("services = \"external\"");
    let output = tool.run_suite(&["run", "try.toml"]).env("BENCH_SERVICES", "local").output();
    let output = output.expect("run-suite starts");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let error = stderr(&output);
    assert!(
        error.contains("BENCH_SERVICES: ") && error.contains("unset BENCH_SERVICES"),
        "{error}"
    );
    assert!(!tool.path("results").exists());
}

#[test]
fn quoted_files_are_escaped_and_shortened() {
    let tool = FakeTool::new();
    tool.experiment("");
    let raw = fs::read_to_string(tool.path("try.toml")).expect("readable");
    tool.write("try.toml", &raw.replace("Does it work?", "Does\\u001B[2J it\\u202E work?"));
    for arguments in [["run", "try.toml"], ["report", "results"], ["list", "."]] {
        let output = tool.run(&arguments);
        let text = stdout(&output);
        assert!(text.contains("Does\\x1b[2J it\\u{202e} work?"), "{text}{}", stderr(&output));
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
    }
    let json = stdout(&tool.run(&["report", "results", "--output", "json"]));
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["experiments"][0]["question"], "Does\u{1b}[2J it\u{202e} work?");
    for line in ["x", "\"a\" = ", "[options]\nload = \"a\u{1b}[2J\"\nx"] {
        tool.write("long.toml", &format!("{raw}{line}{}", "x".repeat(100_000)));
        let output = tool.run(&["run", "long.toml"]);
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.len() < 2_500 && !error.contains('\u{1b}'), "{} {error}", error.len());
    }
}

#[test]
fn subcommands_come_first() {
    let tool = FakeTool::new();
    tool.experiment("subcommand = \"fill\"\n[options]\nload = \"a\"");
    assert_eq!(tool.run(&["run", "try.toml"]).status.code(), Some(0));
    assert_eq!(
        tool.calls(),
        ["fill --run-dir 01-try/repeat-1 --load=a --output json services=embedded"]
    );
    tool.experiment("subcommand = \"fill\"\n[options]\nfast = true");
    assert_eq!(tool.run(&["run", "try.toml"]).status.code(), Some(2));
}

#[test]
fn wrong_files_are_refused_with_remedies() {
    let tool = FakeTool::new();
    for (body, message) in [
        ("repeat = 2", "`repeat`: unknown key; did you mean `repeats`?"),
        (
            "[options]\nlod = 1",
            "[options] `lod`: fake-bench has no such option; did you mean `load`?",
        ),
        ("[matrix]\nfast = [1, 2]", "[matrix] `fast`: is a flag; set it to true or false"),
        ("[options]\nrun-dir = \"x\"", "[options] `run-dir`: run-suite sets it; leave it out"),
        ("services = \"local\"", "list the services to start in [local]"),
        ("services = \"local\"\n[local]\nbrokers = 9", "[local.kafka] `brokers`: must be 1 to 5"),
        (
            "services = \"local\"\n[local]\nstart = [\"redis\"]",
            "[local] `start`: there is no service `redis`; the services are kafka, connect",
        ),
        ("subcommand = \"fil\"", "did you mean `fill`?"),
        ("time_limit = \"0s\"", "leave the key out for 10 minutes"),
    ] {
        tool.experiment(body);
        let output = tool.run(&["run", "try.toml"]);
        assert_eq!(output.status.code(), Some(2), "{body}");
        let error = stderr(&output);
        assert!(error.starts_with("error: failed to plan try.toml: "), "{error}");
        assert!(error.contains(message), "{body}: {error}");
    }
    assert_eq!(tool.results(), None);
}

#[test]
fn missing_tools_name_the_build_command() {
    let tool = FakeTool::new();
    let file = tool.experiment("");
    let text = fs::read_to_string(&file).expect("readable").replace("fake-bench", "no-such-tool");
    fs::write(&file, text).expect("written");
    let output = tool.run(&["run", "try.toml"]);
    assert_eq!(output.status.code(), Some(2));
    let error = stderr(&output);
    assert!(error.contains("build it with `cargo build --release -p no-such-tool`"), "{error}");
}

#[test]
fn missing_folders_and_files_are_named() {
    let tool = FakeTool::new();
    let output = tool.run(&["run", "none.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("none.toml"), "{}", stderr(&output));
    for command in ["resume", "report"] {
        let output = tool.run(&[command, "nowhere"]);
        assert_eq!(output.status.code(), Some(1), "{command}");
        assert!(stderr(&output).contains("nowhere"), "{}", stderr(&output));
    }
    let output = tool.run(&["resume", "."]);
    assert!(stderr(&output).contains("has no experiment.json"), "{}", stderr(&output));
}

#[test]
fn damaged_states_are_named() {
    let tool = FakeTool::new();
    tool.experiment("");
    assert_eq!(tool.run(&["run", "try.toml"]).status.code(), Some(0));
    let state = tool.result("experiment.json");
    let good = read_json(&state);
    let mut disagreeing = good.clone();
    disagreeing["plan"]["runs"][0]["cell"] = 7.into();
    let mut newer = good.clone();
    newer["schema_version"] = 99.into();
    for (text, message) in [
        ("{", "failed to understand"),
        (&*disagreeing.to_string(), "its runs and its plan disagree"),
        (&*newer.to_string(), "schema version 99"),
    ] {
        fs::write(&state, text).expect("written");
        let output = tool.run(&["resume", &tool.results_argument()]);
        assert_eq!(output.status.code(), Some(1));
        let error = stderr(&output);
        assert!(error.contains("experiment.json") && error.contains(message), "{error}");
    }
}

#[test]
fn several_experiments_are_reported_by_run() {
    let tool = FakeTool::new();
    for load in ["a", "b"] {
        tool.experiment(&format!("[options]\nload = \"{load}\""));
        assert_eq!(tool.run(&["run", "try.toml"]).status.code(), Some(0));
    }
    let text = stdout(&tool.run(&["report", "results"]));
    assert_eq!(text.matches("try (1 valid): Does it work?").count(), 2, "{text}");
    let rows: Vec<String> =
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let has = |row: &str| rows.iter().filter(|other| *other == row).count() == 2;
    assert!(has("try valid, 0 lost on schedule 990 99.0 kB/s 0.50 s 0.25 us 1.00 MB"), "{text}");
    assert!(has("try publish 1.50 ms 2.00 ms 4.20 ms 5.00 ms 6.00 ms"), "{text}");
    assert!(has("end-to-end 1.50 ms 2.00 ms 4.20 ms 5.00 ms 6.00 ms"), "{text}");
    assert!(!text.contains("service time"), "{text}");
}

#[test]
fn experiments_are_listed_with_their_questions() {
    let tool = FakeTool::new();
    let output = tool.run(&["list"]);
    assert_eq!(output.status.code(), Some(2));
    tool.experiment("");
    tool.write("broken.toml", "name = 3");
    let text = stdout(&tool.run(&["list", "."]));
    assert!(text.contains("./try.toml\n    Does it work? (fake-bench)\n"), "{text}");
    assert!(text.contains("./broken.toml\n    not an experiment: "), "{text}");
}

#[test]
fn experiments_of_the_project_are_valid() {
    let tool = FakeTool::new();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../experiments");
    for folder in [root.to_owned(), format!("{root}/quick")] {
        let output = tool.run(&["list", &folder]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(!stdout(&output).contains("not an experiment"), "{}", stdout(&output));
    }
}
