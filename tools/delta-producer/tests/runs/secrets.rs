//! Keys appear in no output, result or process list.

use std::path::Path;
use std::time::Duration;

use bench_testing::tool::{Running, Sandbox, ToolOutput, until};

use crate::TOOL;
use crate::tables::S3;

/// All contents of a folder as one text.
fn everything_in(folder: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            text += &everything_in(&path);
        } else {
            text += &String::from_utf8_lossy(&std::fs::read(path).expect("readable"));
        }
    }
    text
}

/// The command lines of all processes whose program is in the folder of the tool.
fn command_lines() -> String {
    let folder = Path::new(TOOL).parent().expect("a folder");
    let mut lines = String::new();
    for entry in std::fs::read_dir("/proc").expect("processes").flatten() {
        let program = std::fs::read_link(entry.path().join("exe")).unwrap_or_default();
        if program.parent() == Some(folder) {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            lines += &String::from_utf8_lossy(&line);
        }
    }
    lines
}

#[test]
fn keys_of_a_run_are_never_shown() {
    let (s3, sandbox) = (S3::start(), Sandbox::new(TOOL));
    let args = "--lake-path s3://bench/t -n 1000 --commit-interval 50ms --follow -vvv";
    let output = s3.run(&sandbox, args);
    assert_eq!(output.code, 0, "{output:?}");
    let results = everything_in(sandbox.path());
    for text in [&output.stdout, &output.stderr, &results] {
        assert!(!text.contains(s3.server.secret_key()));
    }
    assert!(!results.contains(s3.server.access_key()));
}

#[test]
fn rejected_keys_are_not_repeated() {
    let (s3, sandbox) = (S3::start(), Sandbox::new(TOOL));
    // The SDK's own traces contain the key id, which is not a secret.
    for (variable, verbose) in [("AWS_ACCESS_KEY_ID", "-v"), ("AWS_SECRET_ACCESS_KEY", "-vvv")] {
        let mut command = s3.command(&sandbox, &format!("--lake-path s3://bench/t -n 1 {verbose}"));
        command.env(variable, "sesame-sesame");
        let output = ToolOutput::of(command);
        assert_eq!(output.code, 1, "{output:?}");
        assert!(!output.stderr.contains("sesame"), "{variable}: {output:?}");
    }
    for path in ["s3://key:sesame@bench/t", "s3://bench/t?secret=sesame"] {
        let output = s3.run(&sandbox, &format!("--lake-path {path} -n 1"));
        assert_eq!(output.code, 2, "{output:?}");
        assert!(!output.stderr.contains("sesame"), "{path}: {output:?}");
    }
}

#[test]
fn embedded_keys_are_in_no_process_list() {
    let sandbox = Sandbox::new(TOOL);
    let run = Running::start(sandbox.command("--rate 1k/s --duration 60s --commit-interval 100ms"));
    until("it has a folder", || sandbox.entries() == ["results"]);
    std::thread::sleep(Duration::from_millis(500));
    let lines = command_lines();
    assert!(lines.contains("embedded-s3"), "the service is a process of its own");
    assert!(!lines.contains("secret") && !lines.contains("access_key"), "{lines}");
    run.interrupt();
    assert_eq!(run.end().code, 130);
}
