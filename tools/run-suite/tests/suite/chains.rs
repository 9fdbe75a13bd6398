//! Experiments of two tools: the second reads what the first has sent.

use std::process::{Child, Stdio};

use bench_testing::tool::until;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::fake_tool::{FakeTool, is_alive, read_json, stderr, stdout};

/// One cell; the loads `a` and `b` set the behaviour of the two tools.
const CHAIN: &str = "[options]\nload = \"a\"\n[then]\ntool = \"fake-reader\"\n[then.options]\n\
                     load = \"b\"\n";

fn chain(before: &str) -> FakeTool {
    let tool = FakeTool::new();
    tool.experiment(&format!("{before}{CHAIN}"));
    tool
}

/// Starts the chain and waits until its second tool, which waits, runs.
fn start_and_wait(tool: &FakeTool) -> (Child, i32) {
    tool.behave("b", "wait");
    let child = tool
        .run_suite(&["run", "try.toml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run-suite starts");
    until("the second tool starts", || tool.calls().len() == 2);
    until("it has made its folder", || tool.result("01-try/repeat-1/then/run.json").is_file());
    (child, tool.wait_for_run())
}

#[test]
fn second_tool_gets_the_folder_of_the_first() {
    let tool = chain("repeats = 2\n");
    let output = tool.run(&["run", "try.toml", "--dry-run"]);
    let dry = stdout(&output);
    let lines: Vec<&str> = dry.lines().collect();
    assert_eq!(
        lines[4],
        "      fake-reader --run-dir RESULTS/try/01-try/repeat-1/then \
         --from-run RESULTS/try/01-try/repeat-1 --load=b --output json"
    );
    let output = tool.run(&["run", "try.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(
        tool.calls()[..2],
        [
            "--run-dir 01-try/repeat-1 --load=a --output json services=embedded",
            "fake-reader --run-dir 01-try/repeat-1/then --from-run 01-try/repeat-1 --load=b \
             --output json services=embedded"
        ]
    );
    assert_eq!(tool.calls().len(), 4);
    assert_eq!(tool.statuses(), ["complete"; 2]);
    assert!(tool.result("01-try/repeat-2/then.log").is_file());
}

#[test]
fn report_shows_both_tools() {
    let tool = chain("");
    tool.behave("b", "landed");
    let output = tool.run(&["run", "try.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    let rows: Vec<String> =
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for row in [
        "case tool runs latency p50 p99 msg/s bytes/s",
        "try fake-bench 1 valid publish 1.50 ms 4.20 ms 990 99.0 kB/s",
        "fake-reader end-to-end 1.50 ms 4.20 ms 990 99.0 kB/s",
        "landing 1.50 ms 7.70 ms",
        "try fake-reader: 3 rows seen twice",
    ] {
        assert!(rows.iter().any(|line| line == row), "{row} in {text}");
    }

    let report = |format: &str| {
        let output = tool.run(&["report", &tool.results_argument(), "--output", format]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output)
    };
    assert_eq!(report("human"), text);
    let json: Value = serde_json::from_str(&report("json")).expect("JSON");
    let experiment = &json["experiments"][0];
    assert_eq!(
        (&experiment["tool"], &experiment["then"]),
        (&"fake-bench".into(), &"fake-reader".into())
    );
    let cell = &experiment["cells"][0];
    assert_eq!(cell["publish_p99_ns"]["median"], 4_200_000);
    assert_eq!(cell["then"]["end_to_end_p99_ns"]["median"], 4_200_000);
    assert_eq!(cell["then"]["landing_p99_ns"]["median"], 7_700_000);
    let run = &cell["runs"][0];
    assert_eq!(run["figures"]["produced"]["acked"], 1000);
    assert_eq!(run["then"]["figures"]["audit"]["lost"], 0);
    assert!(run["then"]["folder"].as_str().expect("a folder").ends_with("repeat-1/then"));
    let csv = report("csv");
    let lines: Vec<&str> = csv.lines().collect();
    assert!(lines[0].starts_with("experiment,cell,tool,runs,valid_runs,"), "{csv}");
    assert!(lines[1].starts_with("try,try,fake-bench,1,1,990,"), "{csv}");
    assert!(lines[2].starts_with("try,try,fake-reader,1,1,990,"), "{csv}");
    assert_eq!(lines.len(), 3);
}

#[test]
fn worse_tool_counts_and_resume_repeats_both() {
    let tool = chain("");
    tool.behave("b", "fail");
    let output = tool.run(&["run", "try.toml"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let problem = "fake-reader: ended with exit code 1: the broker is gone";
    assert!(stdout(&output).contains(problem), "{}", stdout(&output));

    tool.behave("b", "invalid");
    let output = tool.run(&["resume", &tool.results_argument()]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert_eq!(tool.calls().len(), 4);
    let problem = "fake-reader: INVALID: 3 acknowledged messages were lost";
    assert!(stdout(&output).contains(problem), "{}", stdout(&output));
    assert!(tool.result("01-try/repeat-1.aside-1/then/run.json").is_file());
    let state = read_json(&tool.result("experiment.json"));
    assert_eq!(state["runs"][0]["exit_code"], 3);

    // It came to its end, so nothing is left to run.
    let output = tool.run(&["resume", &tool.results_argument()]);
    assert_eq!((output.status.code(), tool.calls().len()), (Some(3), 4));
}

#[test]
fn second_tool_is_skipped_after_a_failure() {
    let tool = chain("");
    tool.behave("a", "fail");
    assert_eq!(tool.run(&["run", "try.toml"]).status.code(), Some(1));
    assert_eq!((tool.calls().len(), tool.statuses()), (1, vec!["failed".to_owned()]));
    // A run that ended with loss can be read.
    tool.behave("a", "invalid");
    let output = tool.run(&["resume", &tool.results_argument()]);
    assert_eq!((output.status.code(), tool.calls().len()), (Some(3), 3));
    assert!(stdout(&output).contains("fake-bench: INVALID"), "{}", stdout(&output));
}

#[test]
fn ctrl_c_in_the_second_tool_interrupts_the_run() {
    let tool = chain("");
    let (child, pid) = start_and_wait(&tool);
    kill_process(Pid::from_child(&child), Signal::INT).expect("signalled");
    let output = child.wait_with_output().expect("run-suite ends");
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(!is_alive(pid));
    assert_eq!(tool.statuses(), ["interrupted"]);
    tool.behave("b", "good");
    let output = tool.run(&["resume", &tool.results_argument()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!((tool.calls().len(), tool.statuses()), (4, vec!["complete".to_owned()]));
}

#[test]
fn runs_with_a_killed_second_tool_repeat() {
    let tool = chain("");
    let (child, pid) = start_and_wait(&tool);
    kill_process(Pid::from_child(&child), Signal::KILL).expect("signalled");
    child.wait_with_output().expect("run-suite ends");
    if cfg!(target_os = "linux") {
        until("the tool has ended", || !is_alive(pid));
    }
    tool.behave("b", "good");
    let output = tool.run(&["resume", &tool.results_argument()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(tool.calls().len(), 4);
}

#[test]
fn time_limit_covers_both_tools() {
    let tool = chain("time_limit = \"700ms\"\n");
    tool.behave("b", "wait");
    let output = tool.run(&["run", "try.toml"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!((tool.calls().len(), tool.statuses()), (2, vec!["timed-out".to_owned()]));
    assert!(
        stdout(&output).contains("fake-reader: ended by the time limit"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn options_of_the_second_tool_are_swept() {
    let tool = FakeTool::new();
    tool.experiment(
        "[then]\ntool = \"fake-reader\"\n[matrix]\n\"then.load_name\" = [\"a\", \"b\"]",
    );
    let output = tool.run(&["run", "try.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(
        tool.calls()[2..],
        [
            "--run-dir 02-then.load-b/repeat-1 --output json services=embedded",
            "fake-reader --run-dir 02-then.load-b/repeat-1/then \
             --from-run 02-then.load-b/repeat-1 --load=b --output json services=embedded"
        ]
    );
    let header = stdout(&output).lines().find(|line| line.starts_with("then.load")).map(str::len);
    assert!(header.is_some(), "{}", stdout(&output));
}

#[test]
fn wrong_chains_are_refused_with_remedies() {
    let tool = FakeTool::new();
    let then = "[then]\ntool = \"fake-reader\"\n";
    for (body, message) in [
        ("[then]\ntool = \"fake-bench\"".to_owned(), "fake-bench has no option --from-run"),
        ("[then]\ntool = \"a/b\"".to_owned(), "`then.tool`: `a/b` is not the name of a tool"),
        (
            "[then]\ntols = \"fake-reader\"".to_owned(),
            "[then] `tols`: unknown key; did you mean `tool`?",
        ),
        (format!("{then}subcommand = \"fil\""), "did you mean `fill`?"),
        (
            format!("{then}[then.options]\nlod = 1"),
            "[then.options] `lod`: fake-reader has no such option; did you mean `load`?",
        ),
        (
            format!("{then}[then.options]\nfrom-run = \"x\""),
            "[then.options] `from-run`: run-suite sets it; leave it out",
        ),
        (
            format!("{then}[then.options]\nload = 1\n[matrix]\n\"then.load\" = [1]"),
            "[matrix] `then.load`: is also in [then.options]; leave it out there",
        ),
        (
            "[matrix]\n\"then.load\" = [1]".to_owned(),
            "[matrix] `then.load`: there is no second tool; add one in [then]",
        ),
    ] {
        tool.experiment(&body);
        let output = tool.run(&["run", "try.toml"]);
        assert_eq!(output.status.code(), Some(2), "{body}: {}", stderr(&output));
        assert!(stderr(&output).contains(message), "{body}: {}", stderr(&output));
    }
    assert_eq!(tool.results(), None);
}

#[test]
fn embedded_experiments_ignore_the_users_stack() {
    let tool = chain("");
    let output = tool
        .run_suite(&["run", "try.toml"])
        .env("BENCH_STACK", "/stack")
        .output()
        .expect("run-suite starts");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        tool.calls().iter().all(|call| call.ends_with("services=embedded")),
        "{:?}",
        tool.calls()
    );
}
