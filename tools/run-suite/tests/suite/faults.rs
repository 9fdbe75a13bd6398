//! Faults in runs, and in their results.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use bench_testing::tool::until;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::fake_tool::{FakeTool, read_json, stderr, stdout};

const STOP: &str = "[[fault]]\nat = \"1s\"\nstop = \"tool\"\nfor = \"600ms\"\n";

/// Twelve intervals of 0.2 s. Nothing arrives from 1.0 s to 1.6 s; then everything that was delayed.
fn stalled() -> Vec<String> {
    let row = |index: u32| {
        let (start_s, end_s) = (f64::from(index) / 5.0, f64::from(index + 1) / 5.0);
        let figures = match index {
            5..8 => "10,0,0,,",
            8 => "10,200,200,600000000,600000000",
            _ => "10,50,50,5000000,6000000",
        };
        format!("{start_s:.3},{end_s:.3},{figures}")
    };
    (0..12).map(row).collect()
}

/// When the tool was awake, seconds since boot.
fn ticks_s(tool: &FakeTool) -> Vec<f64> {
    let ticks = fs::read_to_string(tool.path("ticks")).expect("ticks");
    ticks.lines().map(|line| line.parse().expect("a number")).collect()
}

#[test]
fn stopped_tools_recover() {
    let tool = FakeTool::new();
    tool.schedule(40, &stalled());
    tool.experiment(STOP);
    let output = tool.run(&["run", "try.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));

    let ticks = ticks_s(&tool);
    let (stood_at_s, longest_s) = ticks
        .windows(2)
        .map(|pair| (pair[0] - ticks[0], pair[1] - pair[0]))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .expect("ticks");
    assert!((0.8..1.2).contains(&stood_at_s), "{stood_at_s} in {ticks:?}");
    assert!((0.55..1.0).contains(&longest_s), "{longest_s} in {ticks:?}");

    let run = read_json(&tool.result("01-try/repeat-1/run.json"));
    let fault = &run["faults"][0];
    let number = |name: &str| fault[name].as_f64().expect(name);
    assert_eq!((&fault["action"], &fault["target"]), (&"stop".into(), &"tool".into()));
    assert!((1.0..1.1).contains(&number("begin_s")), "{fault}");
    assert!((1.6..1.8).contains(&number("end_s")), "{fault}");
    assert!((number("begin_s") + number("recovery_s") - 1.8).abs() < 0.002, "{fault}");
    assert_eq!(fault["band"]["p99_max_ns"], 5_000_000, "{fault}");
    let table = fs::read_to_string(tool.result("01-try/repeat-1/intervals.csv")).expect("a table");
    let marks: Vec<&str> =
        table.lines().filter_map(|line| Some(line.rsplit_once(',')?.1)).collect();
    assert_eq!(marks[..6], ["fault", "", "", "", "", ""]);
    assert_eq!(marks[6..9], ["stop tool"; 3]);

    let line = "stop tool at 1.0 s: recovered after 0.8 s; 0 lost, 0 duplicated";
    assert!(stdout(&output).contains(line), "{}", stdout(&output));
    let folder = tool.results_argument();
    let json: Value =
        serde_json::from_str(&stdout(&tool.run(&["report", &folder, "--output", "json"])))
            .expect("JSON");
    let cell = &json["experiments"][0]["cells"][0];
    assert_eq!(cell["runs"][0]["faults"][0]["recovery_s"], fault["recovery_s"]);
    assert_eq!(cell["recovery_s"]["median"], fault["recovery_s"]);
    let csv = stdout(&tool.run(&["report", &folder, "--output", "csv"]));
    let (header, row) = csv.trim_end().split_once('\n').expect("two lines");
    assert!(header.ends_with(",recovery_s_median,recovery_s_min,recovery_s_max,remarks"), "{csv}");
    assert!(row.ends_with(&format!(",{},", fault["recovery_s"])), "{csv}");
}

#[test]
fn runs_without_fault_records_do_not_count() {
    let tool = FakeTool::new();
    tool.schedule(40, &stalled());
    tool.experiment(STOP);
    assert_eq!(tool.run(&["run", "try.toml"]).status.code(), Some(0));
    let path = tool.result("01-try/repeat-1/run.json");
    let whole = read_json(&path);
    let (mut none, mut too_late) = (whole.clone(), whole.clone());
    none["faults"] = Value::Array(Vec::new());
    too_late["faults"][0]["begin_s"] = Value::Null;
    for (document, problem) in [
        (none, "its results have no record of stop tool"),
        (too_late, "the run ended before stop tool"),
    ] {
        fs::write(&path, document.to_string()).expect("written");
        let output = tool.run(&["report", "results"]);
        assert_eq!(output.status.code(), Some(1), "{problem}");
        assert!(stdout(&output).contains(problem), "{}", stdout(&output));
        let csv = stdout(&tool.run(&["report", "results", "--output", "csv"]));
        assert!(
            csv.lines().nth(1).expect("a line").starts_with("try,try,fake-bench,1,0,,"),
            "{csv}"
        );
    }

    // The loss of a run is next to its recovery.
    let mut invalid = whole;
    invalid["verdict"] = serde_json::json!({"outcome": "invalid", "reasons": ["3 lost"]});
    fs::write(&path, invalid.to_string()).expect("written");
    let output = tool.run(&["report", "results"]);
    assert_eq!(output.status.code(), Some(3));
    let line = "stop tool at 1.0 s: recovered after 0.8 s; 0 lost, 0 duplicated, INVALID";
    assert!(stdout(&output).contains(line), "{}", stdout(&output));
}

#[test]
fn tools_kill_their_consumers_themselves() {
    let tool = FakeTool::new();
    tool.schedule(40, &stalled());
    tool.experiment(
        "[[fault]]\nat = \"1s\"\nkill = \"consumer-2\"\nrestart_after = \"500ms\"\n\
         [[fault]]\nat = \"1500ms\"\nkill = \"consumer-1\"\n",
    );
    let output = tool.run(&["run", "try.toml", "--dry-run"]);
    let message =
        "  kill consumer-2 at 1.00 s, started again 500 ms later\n  kill consumer-1 at 1.50 s\n";
    assert!(stdout(&output).contains(message), "{}", stdout(&output));
    let output = tool.run(&["run", "try.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let option = "--kill-consumer=2@1s+500ms --kill-consumer=1@1500ms ";
    assert!(tool.calls()[0].contains(option), "{:?}", tool.calls());
    let faults = &read_json(&tool.result("01-try/repeat-1/run.json"))["faults"];
    assert_eq!((&faults[0]["begin_s"], &faults[0]["end_s"]), (&1.0.into(), &1.5.into()));
    assert_eq!((&faults[1]["begin_s"], &faults[1]["end_s"]), (&1.5.into(), &Value::Null));
    let text = stdout(&output);
    assert!(
        text.contains("kill consumer-2 at 1.0 s: no recovery: not before the next fault"),
        "{text}"
    );
    assert!(text.contains("kill consumer-1 at 1.5 s: recovered after 0.3 s"), "{text}");
    assert!(text.contains("in the whole run 0 lost, 0 duplicated"), "{text}");
}

#[test]
fn runs_that_end_before_a_fault_fail() {
    let tool = FakeTool::new();
    tool.schedule(4, &stalled());
    tool.experiment(STOP);
    let output = tool.run(&["run", "try.toml"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(tool.statuses(), ["failed"]);
    let problem = "the run ended before stop tool, which was due at 1.00 s";
    assert!(stdout(&output).contains(problem), "{}", stdout(&output));

    // Without a schedule there is no instant for the fault.
    tool.behave("none", "good");
    let output = tool.run(&["resume", &tool.results_argument()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("its schedule has not started"), "{}", stdout(&output));
}

#[test]
fn stopped_tools_resume_to_end() {
    let tool = FakeTool::new();
    tool.schedule(400, &[]);
    tool.experiment("[[fault]]\nat = \"200ms\"\nstop = \"tool\"\nfor = \"1h\"\n");
    let child = tool
        .run_suite(&["run", "try.toml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run-suite starts");
    let pid = tool.wait_for_run();
    until("the tool is stopped", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
    });
    let asked = Instant::now();
    kill_process(Pid::from_child(&child), Signal::INT).expect("signalled");
    let output = child.wait_with_output().expect("run-suite ends");
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert_eq!(tool.statuses(), ["interrupted"]);
    assert!(asked.elapsed() < Duration::from_secs(8), "it was not killed for want of an answer");
}

#[test]
fn impossible_faults_are_refused_first() {
    let tool = FakeTool::new();
    for (body, message) in [
        (
            "[[fault]]\nat = \"1s\"\nstp = \"tool\"",
            "[[fault]] `stp`: unknown key; did you mean `stop`?",
        ),
        (
            "[[fault]]\nat = \"1s\"\nkill = \"kafka-1\"",
            "this experiment uses embedded ones; set services = \"local\"",
        ),
        (
            "[options]\nduration = \"5s\"\n[[fault]]\nat = \"5s\"\nstop = \"tool\"\nfor = \"1s\"",
            "[[fault]] `at`: 5.00 s is too late: the schedule of try ends after 5.00 s",
        ),
        (
            "subcommand = \"fill\"\n[[fault]]\nat = \"1s\"\nkill = \"consumer-1\"",
            "[[fault]] `kill`: fake-bench fill has no option --kill-consumer",
        ),
    ] {
        tool.experiment(body);
        let output = tool.run(&["run", "try.toml"]);
        assert_eq!(output.status.code(), Some(2), "{body}");
        assert!(stderr(&output).contains(message), "{body}: {}", stderr(&output));
    }
    assert_eq!(tool.results(), None);
}
