//! Cells that differ in more than options: in variables, and in builds of the tool.

use std::fs;

use crate::fake_tool::{FakeTool, stderr, stdout};

#[test]
fn cells_set_variables_for_their_tools() {
    let tool = FakeTool::new();
    tool.experiment(
        "[options]\n\"env.ALL\" = \"x\"
         [[case]]\nname = \"one\"\n\"env.FAKE_NOTE\" = \"first\"
         [[case]]\nname = \"two\"\n\"env.FAKE_NOTE\" = \"second\"",
    );
    let output = tool.run(&["run", "try.toml", "--trust"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let calls = tool.calls();
    assert!(calls[0].ends_with(" note=first") && calls[1].ends_with(" note=second"), "{calls:?}");
    assert!(stdout(&output).contains("env.FAKE_NOTE"), "a column: {}", stdout(&output));
}

#[test]
fn cells_run_other_builds_of_a_tool() {
    let tool = FakeTool::new();
    let other = tool.path("other");
    fs::create_dir(&other).expect("created");
    for file in fs::read_dir(tool.path("")).expect("readable").flatten() {
        if file.path().is_file() {
            fs::copy(file.path(), other.join(file.file_name())).expect("copied");
        }
    }
    let build = other.join("fake-bench").display().to_string();
    let cases = |build: &str| {
        tool.experiment(&format!(
            "[[case]]\nname = \"before\"
             [[case]]\nname = \"after\"\n\"build.fake-bench\" = \"{build}\""
        ));
    };
    cases(&build);
    let untrusted = tool.run(&["run", "try.toml"]);
    assert_eq!(untrusted.status.code(), Some(2), "{}", stdout(&untrusted));
    assert!(stderr(&untrusted).contains("add --trust"), "{}", stderr(&untrusted));
    let output = tool.run(&["run", "try.toml", "--trust"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(tool.calls().len(), 1, "the other build has a record of its own");
    let calls = fs::read_to_string(other.join("calls")).expect("calls of the other build");
    assert_eq!(calls.lines().count(), 1, "{calls}");
    // A folder may be anybody's as well.
    let resumed = tool.run(&["resume", "results"]);
    assert_eq!(resumed.status.code(), Some(2), "{}", stderr(&resumed));
    assert_eq!(tool.run(&["resume", "results", "--trust"]).status.code(), Some(0));
    for (build, part) in [
        ("fake-bench", "is not an absolute path"),
        ("/nonexistent/fake-bench", "give the path of another build of fake-bench"),
        ("/bin/true", "give the path of another build of fake-bench"),
    ] {
        cases(build);
        let output = tool.run(&["run", "try.toml", "--trust"]);
        assert_eq!(output.status.code(), Some(2), "{build}: {}", stdout(&output));
        assert!(stderr(&output).contains(part), "{build}: {}", stderr(&output));
    }
}

#[test]
fn bad_variables_are_refused() {
    let tool = FakeTool::new();
    for (option, part) in [
        ("\"env.A B\" = 1", "is not the name of a variable"),
        ("\"env.BENCH_STACK\" = \"x\"", "run-suite sets it"),
        ("\"env.A\" = [1, 2]", "has no single text"),
        ("\"build.other\" = \"/bin/true\"", "is not a tool of this experiment"),
    ] {
        tool.experiment(&format!("[options]\n{option}"));
        let output = tool.run(&["run", "try.toml", "--trust"]);
        assert_eq!(output.status.code(), Some(2), "{option}: {}", stdout(&output));
        assert!(stderr(&output).contains(part), "{option}: {}", stderr(&output));
    }
    assert!(tool.calls().is_empty());
}
