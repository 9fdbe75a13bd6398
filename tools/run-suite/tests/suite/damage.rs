//! Results that are gone, damaged, swapped, or worse than the experiment recorded: their reports, exit
//! codes, and `resume`.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use rustix::fs::{Mode, mkfifoat};
use serde_json::{Value, json};

use crate::fake_tool::{FakeTool, edit_document as edit, read_json, stderr, stdout};

/// Two cells of two repeats.
const SWEEP: &str = "repeats = 2\n[matrix]\nload = [\"a\", \"b\"]\n";

/// The damaged run, and the other one of its cell.
const DAMAGED: &str = "02-load-b/repeat-2";
const INTACT: &str = "02-load-b/repeat-1";

/// Damage to a run folder, given it and that of another run of the cell.
type Damage = fn(&Path, &Path);

/// Damage that leaves nothing to read, with its message.
const UNREADABLE: [(&str, Damage); 13] = [
    ("no such file or folder", |run, _| fs::remove_file(document(run)).expect("removed")),
    ("no such file or folder", |run, _| fs::remove_dir_all(run).expect("removed")),
    ("a part of the path is not a folder", |run, _| {
        fs::remove_dir_all(run).expect("removed");
        fs::write(run, "no folder").expect("written");
    }),
    ("it is empty", |run, _| fs::write(document(run), "").expect("written")),
    ("it is cut short", |run, _| {
        let whole = fs::read(document(run)).expect("readable");
        fs::write(document(run), &whole[..whole.len() / 2]).expect("written");
    }),
    ("expected value", |run, _| fs::write(document(run), [0; 512]).expect("written")),
    ("it is not a file", |run, _| {
        replace(run, |path| fs::create_dir(path).expect("a folder"));
    }),
    ("it is not a file", |run, _| {
        replace(run, |path| mkfifoat(rustix::fs::CWD, path, Mode::RWXU).expect("a pipe"));
    }),
    ("it is a symbolic link", |run, _| {
        replace(run, |path| symlink("run.json", path).expect("a loop"));
    }),
    ("it has schema version 99, this run-suite knows", |run, _| {
        edit(run, |document| document["schema_version"] = 99.into());
    }),
    ("it is of run ", |run, other| {
        fs::copy(document(other), document(run)).expect("copied");
    }),
    ("it is a result of fake-reader, not of fake-bench", |run, _| {
        edit(run, |document| document["tool"]["name"] = "fake-reader".into());
    }),
    ("it is of the run in elsewhere/01-load-a/repeat-2", |run, _| {
        edit(run, |document| {
            document["options"]["run-dir"] = "elsewhere/01-load-a/repeat-2".into();
        });
    }),
];

/// Documents that a successful tool does not leave, with their messages.
const UNFINISHED: [(&str, Damage); 5] = [
    ("the run goes on, or its tool died", |run, _| {
        edit(run, |document| document["status"] = "running".into());
    }),
    ("the run was interrupted", |run, _| {
        edit(run, |document| document["status"] = "incomplete".into());
    }),
    ("the run failed: the broker is gone", |run, _| {
        edit(run, |document| {
            document["status"] = "failed".into();
            document["warnings"] = json!(["the broker is gone"]);
        });
    }),
    ("it is complete without a verdict", |run, _| {
        edit(run, |document| document["verdict"] = Value::Null);
    }),
    ("it is complete without figures", |run, _| {
        edit(run, |document| document["summary"] = Value::Null);
    }),
];

fn document(run: &Path) -> PathBuf {
    run.join("run.json")
}

fn replace(run: &Path, by: impl FnOnce(&Path)) {
    fs::remove_file(document(run)).expect("removed");
    by(&document(run));
}

/// A finished experiment. The intact run of the second cell was half as fast as all others.
fn finished(body: &str) -> FakeTool {
    let tool = FakeTool::new();
    tool.experiment(body);
    let output = tool.run(&["run", "try.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    tool
}

fn sweep() -> FakeTool {
    let tool = finished(SWEEP);
    tool.edit(INTACT, |document| {
        document["summary"]["consumed"]["rate_msg_per_s"] = 500.0.into();
    });
    tool
}

fn report(tool: &FakeTool, format: &str) -> Output {
    tool.run(&["report", &tool.results_argument(), "--output", format])
}

/// Checks all forms of the report of an experiment with one run that does not count.
fn check_reports(tool: &FakeTool, exit: i32, word: &str, reason: &str) {
    let output = report(tool, "human");
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(exit), "{reason}: {text}{}", stderr(&output));
    assert!(text.starts_with(&format!("try (3 valid, 1 {word}): ")), "{reason}: {text}");
    let left_out =
        format!("1 run is left out of all medians and ranges: try load=b repeat 2 ({word})");
    assert!(text.contains(&left_out), "{reason}: {text}");
    let note = text.lines().find(|line| line.contains(reason)).expect(reason);
    assert!(note.starts_with("try load=b repeat 2: "), "{note}");

    let output = report(tool, "json");
    assert_eq!(output.status.code(), Some(exit), "{reason}");
    let summary: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let cell = &summary["experiments"][0]["cells"][1];
    assert_eq!((&cell["valid_runs"], &cell["left_out"]), (&json!(1), &json!([2])), "{reason}");
    let median = &cell["throughput_msg_per_s"];
    assert_eq!(*median, json!({"median": 500.0, "min": 500.0, "max": 500.0, "runs": 1}));
    let problem = cell["runs"][1]["problem"].as_str().expect("a problem");
    assert!(problem.contains(reason), "{problem}");

    let output = report(tool, "csv");
    assert_eq!(output.status.code(), Some(exit), "{reason}");
    let csv = stdout(&output);
    let line = csv.lines().nth(2).expect("a line for b");
    assert!(line.starts_with("try,load=b,fake-bench,b,2,1,500,500,500,"), "{line}");
    assert!(line.contains("repeat 2 left out: ") && line.contains(reason), "{line}");
}

#[test]
fn unreadable_runs_are_named_and_excluded() {
    for (reason, damage) in UNREADABLE {
        let tool = sweep();
        damage(&tool.result(DAMAGED), &tool.result(INTACT));
        check_reports(&tool, 1, "UNREADABLE", reason);
        let text = stdout(&report(&tool, "human"));
        assert!(text.contains(&format!("{DAMAGED}/run.json")), "{reason}: {text}");
    }
}

#[test]
fn incomplete_documents_are_failures() {
    for (reason, damage) in UNFINISHED {
        let tool = sweep();
        damage(&tool.result(DAMAGED), &tool.result(INTACT));
        check_reports(&tool, 1, "FAILED", reason);
    }
}

#[test]
fn invalid_documents_make_runs_invalid() {
    let tool = sweep();
    tool.edit(DAMAGED, |document| {
        document["verdict"] = json!({"outcome": "invalid", "reasons": ["5 messages were lost"]});
    });
    check_reports(&tool, 3, "INVALID", "INVALID: 5 messages were lost");
}

#[test]
fn documents_without_permission_are_named() {
    let tool = sweep();
    let path = document(&tool.result(DAMAGED));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).expect("permissions");
    let mut command = tool.run_suite(&["report", &tool.results_argument()]);
    if rustix::process::geteuid().is_root() {
        // Root may read everything, so another user reads it, with a binary that the user may run.
        let folder = tool.path("");
        let binary = tool.path("run-suite");
        fs::copy(assert_cmd::cargo::cargo_bin!("run-suite"), &binary).expect("copied");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("permissions");
        command = std::process::Command::new(binary);
        command.args(["report", &tool.results_argument()]).current_dir(&folder).uid(65_534);
    }
    let output = command.output().expect("run-suite starts");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.starts_with("try (3 valid, 1 UNREADABLE): "), "{text}");
    assert!(text.contains("this user has no permission"), "{text}");
}

#[test]
fn resume_repeats_unreadable_runs() {
    for (reason, damage) in UNREADABLE.into_iter().chain(UNFINISHED) {
        let tool = sweep();
        damage(&tool.result(DAMAGED), &tool.result(INTACT));
        let output = tool.run(&["resume", &tool.results_argument()]);
        assert_eq!(output.status.code(), Some(0), "{reason}: {}", stderr(&output));
        assert_eq!(tool.calls().len(), 5, "{reason}");
        let text = stdout(&report(&tool, "human"));
        assert!(text.starts_with("try (4 valid): "), "{reason}: {text}");
    }
}

#[test]
fn runs_invalid_by_exit_code_stay_invalid() {
    let tool = FakeTool::new();
    tool.behave("a", "doubted");
    tool.experiment("[options]\nload = \"a\"");
    for arguments in [["run", "try.toml"], ["resume", "results"], ["resume", "results"]] {
        let output = tool.run(&arguments);
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        assert_eq!(tool.calls().len(), 1);
    }
    assert_eq!(report(&tool, "human").status.code(), Some(3));
}

#[test]
fn stale_states_do_not_hide_results() {
    let tool = sweep();
    tool.edit(DAMAGED, |document| {
        document["verdict"] = json!({"outcome": "invalid", "reasons": ["5 messages were lost"]});
    });
    fs::remove_dir_all(tool.result("01-load-a/repeat-1")).expect("removed");
    let state = tool.result("experiment.json");
    let mut old = read_json(&state);
    for run in old["runs"].as_array_mut().expect("runs") {
        *run = json!({"status": "pending"});
    }
    fs::write(&state, old.to_string()).expect("written");
    let output = report(&tool, "human");
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(text.starts_with("try (1 pending, 2 valid, 1 INVALID): "), "{text}");
    let remedy = format!("not finished: `run-suite resume {}`", tool.results_argument());
    assert!(text.contains(&remedy), "{text}");
}

#[test]
fn both_documents_of_two_tools_count() {
    let chain = "repeats = 2\n[then]\ntool = \"fake-reader\"\n";
    let then = "01-try/repeat-2/then";
    let copied: Damage = |run, other| {
        fs::copy(document(other), document(run)).expect("copied");
    };
    let cut: Damage = |run, _| fs::write(document(run), "{").expect("written");
    let invalid: Damage = |run, _| {
        edit(run, |document| document["verdict"]["outcome"] = "invalid".into());
    };
    for (place, damage, exit, problem) in [
        (then, cut, 1, "fake-reader: failed to understand"),
        (then, copied, 1, "fake-reader: failed to understand"),
        (then, invalid, 3, "fake-reader: INVALID"),
        ("01-try/repeat-2", cut, 1, "fake-bench: failed to understand"),
        ("01-try/repeat-2", invalid, 3, "fake-bench: INVALID"),
    ] {
        let tool = finished(chain);
        let other = place.replace("repeat-2", "repeat-1");
        damage(&tool.result(place), &tool.result(&other));
        let output = report(&tool, "human");
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(exit), "{problem}: {text}");
        assert!(text.starts_with("try (1 valid, 1 "), "{problem}: {text}");
        assert!(text.contains(&format!("try repeat 2: {problem}")), "{problem}: {text}");
    }
}

#[test]
fn experiments_without_state_are_named() {
    for damage in [
        (|state| fs::remove_file(state).expect("removed")) as fn(&Path),
        |state| fs::write(state, "{\"schema_version\":").expect("written"),
        |state| {
            fs::remove_file(state).expect("removed");
            fs::create_dir(state).expect("a folder");
        },
    ] {
        let tool = finished("");
        let broken = tool.results_argument();
        fs::rename(tool.path(&broken), tool.path("results/a-broken")).expect("renamed");
        assert_eq!(tool.run(&["run", "try.toml"]).status.code(), Some(0));
        damage(&tool.path("results/a-broken/experiment.json"));
        for format in ["human", "json", "csv"] {
            let output = tool.run(&["report", "results", "--output", format]);
            let (text, error) = (stdout(&output), stderr(&output));
            assert_eq!(output.status.code(), Some(1), "{text}{error}");
            assert!(text.contains("try"), "{text}");
            assert!(error.contains("results/a-broken/experiment.json"), "{error}");
            assert!(
                error.contains("`run-suite run results/a-broken/experiment.toml` runs"),
                "{error}"
            );
            if format == "json" {
                let summary: Value = serde_json::from_str(&text).expect("JSON");
                assert_eq!(summary["experiments"].as_array().map(Vec::len), Some(1));
                assert_eq!(summary["unreadable"][0]["folder"], "results/a-broken");
            }
        }
        let alone = tool.run(&["report", "results/a-broken"]);
        assert_eq!(alone.status.code(), Some(1));
        assert!(stderr(&alone).contains("a-broken/experiment.json"), "{}", stderr(&alone));
    }
}

#[test]
fn unreadable_runs_have_rows() {
    let tool = finished("");
    fs::rename(tool.path(&tool.results_argument()), tool.path("results/a")).expect("renamed");
    assert_eq!(tool.run(&["run", "try.toml"]).status.code(), Some(0));
    fs::remove_file(tool.path("results/a/01-try/repeat-1/run.json")).expect("removed");
    let output = tool.run(&["report", "results"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let row = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.lines().any(|line| row(line) == "try UNREADABLE - - - - - -"), "{text}");
}

#[test]
fn links_in_folders_are_not_followed() {
    for name in ["experiment.json.tmp", "run-suite.lock", "01-try"] {
        let tool = finished("");
        tool.edit("01-try/repeat-1", |document| document["status"] = "running".into());
        tool.write("theirs", "precious");
        fs::create_dir(tool.path("elsewhere")).expect("a folder");
        let is_folder = name == "01-try";
        let target = tool.path(if is_folder { "elsewhere" } else { "theirs" });
        let place = tool.result(name);
        if is_folder {
            fs::remove_dir_all(&place).expect("removed");
        } else {
            let _ = fs::remove_file(&place);
        }
        symlink(&target, &place).expect("linked");
        let output = tool.run(&["resume", &tool.results_argument()]);
        let error = stderr(&output);
        assert_eq!(fs::read_to_string(tool.path("theirs")).expect("readable"), "precious");
        assert_eq!(fs::read_dir(tool.path("elsewhere")).expect("readable").count(), 0, "{name}");
        if name != "experiment.json.tmp" {
            assert_eq!(output.status.code(), Some(1), "{name}: {error}");
            assert!(error.contains("symbolic link") && error.contains("remove "), "{error}");
        }
    }
}

/// Makes a plan run another program.
type Change = fn(&mut Value, &Value);

#[test]
fn plans_in_folders_name_tools_only() {
    let tool = FakeTool::new();
    tool.experiment("[options]\nload = \"a\"\n[then]\ntool = \"fake-reader\"\n");
    assert_eq!(tool.run(&["run", "try.toml"]).status.code(), Some(0));
    tool.edit("01-try/repeat-1", |document| document["status"] = "running".into());
    tool.write("evil", "#!/bin/sh\ntouch \"$(dirname \"$0\")/was-run\"\n");
    fs::set_permissions(tool.path("evil"), fs::Permissions::from_mode(0o755)).expect("permissions");
    let evil = json!(tool.path("evil"));
    let state = tool.result("experiment.json");
    let good = read_json(&state);
    fs::remove_file(tool.result("run-suite.lock")).expect("removed");
    let changes: [(&str, Change); 4] = [
        ("is not the name of a tool", |plan, evil| plan["tool"] = evil.clone()),
        ("is not the name of a tool", |plan, evil| plan["then"]["tool"] = evil.clone()),
        ("is not the name of a tool", |plan, evil| {
            plan["prepare"] = json!([{"tool": evil, "arguments": []}]);
        }),
        ("run-suite sets it", |plan, _| {
            plan["cells"][0]["options"] = json!([["run-dir", "/elsewhere"]]);
        }),
    ];
    for (problem, change) in changes {
        let mut state_now = good.clone();
        change(&mut state_now["plan"], &evil);
        fs::write(&state, state_now.to_string()).expect("written");
        let output = tool.run(&["resume", &tool.results_argument()]);
        assert_eq!(output.status.code(), Some(2), "{problem}: {}", stderr(&output));
        assert!(stderr(&output).contains(problem), "{}", stderr(&output));
        assert!(!tool.path("was-run").exists() && !tool.result("run-suite.lock").exists());
    }
}

#[test]
fn pipes_do_not_block_report_or_resume() {
    for name in ["experiment.json", "01-try/repeat-1/intervals.csv", "01-try/repeat-1.log"] {
        let tool = finished("");
        let place = tool.result(name);
        let _ = fs::remove_file(&place);
        mkfifoat(rustix::fs::CWD, &place, Mode::RWXU).expect("a pipe");
        for command in ["report", "resume"] {
            let output = tool.run(&[command, &tool.results_argument()]);
            let is_state = name == "experiment.json";
            let code = Some(i32::from(is_state));
            assert_eq!(output.status.code(), code, "{command} {name}: {}", stderr(&output));
        }
    }
}

#[test]
fn pipes_do_not_block_list() {
    let tool = FakeTool::new();
    tool.experiment("");
    mkfifoat(rustix::fs::CWD, tool.path("pipe.toml"), Mode::RWXU).expect("a pipe");
    let text = stdout(&tool.run(&["list", "."]));
    assert!(text.contains("./pipe.toml\n    not readable: it is not a file\n"), "{text}");
    assert!(text.contains("./try.toml\n    Does it work? (fake-bench)\n"), "{text}");
}
