//! The program as a stack starts it.

use std::process::{Command, Output};

use bench_stand_in::PROTOCOL;

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_local-lambda")).args(arguments).output().expect("runs")
}

#[test]
fn bad_arguments_are_refused_with_the_reason() {
    for (arguments, code, reason) in [
        (&[][..], 2, "not for use by hand"),
        (&["0.0.0/0", "\"config.json\""], 1, "started by a program of another version"),
        (&[PROTOCOL, "7"], 1, "failed to understand its argument"),
        (&[PROTOCOL, "\"/nonexistent.json\""], 1, "failed to read /nonexistent.json"),
    ] {
        let output = run(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(reason), "{text}");
    }
}
