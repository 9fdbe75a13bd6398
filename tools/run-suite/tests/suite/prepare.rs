//! Files that an experiment makes before its first run.

use std::fs;

use crate::fake_tool::{FakeTool, stderr, stdout};

fn experiment(tool: &FakeTool, exit_code: u32) {
    tool.experiment(&format!(
        "[[prepare]]\ntool = \"fake-bench\"\narguments = [\"make\", \"books.csv\", \"{exit_code}\"]
         [options]\nload = \"{{files}}/books.csv\"\n"
    ));
}

#[test]
fn files_are_made_once_and_options_name_them() {
    let tool = FakeTool::new();
    experiment(&tool, 0);
    let dry = stdout(&tool.run(&["run", "try.toml", "--dry-run"]));
    assert!(dry.contains("first:\n      fake-bench make books.csv 0\n"), "{dry}");
    assert!(dry.contains("--load=RESULTS/try/files/books.csv"), "{dry}");
    let output = tool.run(&["run", "try.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let calls = [
        "make books.csv",
        "--run-dir 01-try/repeat-1 --load=files/books.csv --output json services=embedded",
    ];
    assert_eq!(tool.calls(), calls);
    assert_eq!(fs::read_to_string(tool.result("files/books.csv")).expect("made"), "made\n");
    let output = tool.run(&["resume", &tool.results_argument()]);
    assert_eq!((output.status.code(), tool.calls().len()), (Some(0), 2));
}

#[test]
fn resume_repeats_a_failed_prepare() {
    let tool = FakeTool::new();
    experiment(&tool, 7);
    let output = tool.run(&["run", "try.toml"]);
    assert_eq!(output.status.code(), Some(1));
    let error = stderr(&output);
    assert!(error.contains("`fake-bench make books.csv 7` ended with exit code 7"), "{error}");
    assert!(error.contains("prepare.log"), "{error}");
    assert!(!tool.result("files").exists() && tool.result("files.new/books.csv").is_file());
    assert_eq!(tool.statuses(), ["pending"]);
    let state = fs::read_to_string(tool.result("experiment.json")).expect("a state");
    fs::write(tool.result("experiment.json"), state.replace("\"7\"", "\"0\"")).expect("mended");
    let output = tool.run(&["resume", &tool.results_argument()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(tool.result("files/books.csv").is_file() && !tool.result("files.new").exists());
}

#[test]
fn wrong_prepare_sections_are_refused() {
    let tool = FakeTool::new();
    for (body, message) in [
        ("[[prepare]]\ntool = \"fake-bench\"", "missing field `arguments`"),
        ("[[prepare]]\ntool = \"a/b\"\narguments = []", "`prepare.tool`: `a/b` is not the name"),
    ] {
        tool.experiment(body);
        let output = tool.run(&["run", "try.toml"]);
        assert_eq!(output.status.code(), Some(2), "{body}");
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
    }
}
