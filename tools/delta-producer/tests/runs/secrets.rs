//! Keys appear in no output, result or process list.

use std::path::Path;
use std::time::Duration;

use bench_testing::tool::{Place, Running, Said, until};

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

/// The arguments of all readable processes of this machine.
fn command_lines() -> String {
    let mut lines = String::new();
    for entry in std::fs::read_dir("/proc").expect("processes").flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        lines += &String::from_utf8_lossy(&line);
    }
    lines
}

#[test]
fn keys_of_a_run_are_never_shown() {
    let (s3, place) = (S3::start(), Place::new(TOOL));
    let args = "--lake-path s3://bench/t -n 1000 --commit-interval 50ms --follow -vvv";
    let said = s3.run(&place, args);
    assert_eq!(said.code, 0, "{said:?}");
    let results = everything_in(place.path());
    for text in [&said.stdout, &said.stderr, &results] {
        assert!(!text.contains(s3.server.secret_key()));
    }
    assert!(!results.contains(s3.server.access_key()));
}

#[test]
fn rejected_keys_are_not_repeated() {
    let (s3, place) = (S3::start(), Place::new(TOOL));
    // The SDK's own traces contain the key id, which is not a secret.
    for (variable, verbose) in [("AWS_ACCESS_KEY_ID", "-v"), ("AWS_SECRET_ACCESS_KEY", "-vvv")] {
        let mut command = s3.command(&place, &format!("--lake-path s3://bench/t -n 1 {verbose}"));
        command.env(variable, "sesame-sesame");
        let said = Said::of(command);
        assert_eq!(said.code, 1, "{said:?}");
        assert!(!said.stderr.contains("sesame"), "{variable}: {said:?}");
    }
    for path in ["s3://key:sesame@bench/t", "s3://bench/t?secret=sesame"] {
        let said = s3.run(&place, &format!("--lake-path {path} -n 1"));
        assert_eq!(said.code, 2, "{said:?}");
        assert!(!said.stderr.contains("sesame"), "{path}: {said:?}");
    }
}

#[test]
fn embedded_keys_are_in_no_process_list() {
    let place = Place::new(TOOL);
    let run = Running::start(place.command("--rate 1k/s --duration 60s --commit-interval 100ms"));
    until("it has a folder", || place.entries() == ["results"]);
    std::thread::sleep(Duration::from_millis(500));
    let lines = command_lines();
    assert!(lines.contains("embedded-s3"), "the service is a process of its own");
    assert!(!lines.contains("secret") && !lines.contains("access_key"), "{lines}");
    run.interrupt();
    assert_eq!(run.end().code, 130);
}
