//! A tool as a user runs it: `examples/skeleton.rs`, which is a tool without the work.

use std::io::{BufRead, BufReader, Read, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Longer than anything that must happen at once takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn skeleton() -> Command {
    let mut command = Command::new(skeleton_path());
    command.env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// Cargo builds examples beside the folder of the test binaries.
fn skeleton_path() -> PathBuf {
    let test = std::env::current_exe().expect("the test binary has a path");
    let target = test.ancestors().nth(2).expect("deps lies in the target folder");
    let path = target.join("examples/skeleton");
    assert!(path.exists(), "{} is missing: run `cargo build --examples`", path.display());
    path
}

fn run(args: &[&str]) -> Output {
    skeleton().args(args).output().expect("skeleton starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("tools print UTF-8")
}

/// A skeleton that has begun to wait, and the rest of its standard error.
struct Waiting {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
}

impl Waiting {
    fn start(command: &mut Command) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("skeleton starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("is piped"));
        let mut line = String::new();
        stderr.read_line(&mut line).expect("logs that it waits");
        assert!(line.contains("waiting"), "{line}");
        Self { child, stderr }
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("has a process id"), signal).expect("is still there");
    }

    fn expect_line(&mut self, expected: &str) {
        let mut line = String::new();
        self.stderr.read_line(&mut line).expect("is UTF-8");
        assert_eq!(line.trim_end(), expected);
    }

    fn end(mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait().expect("can be waited for").is_none() {
            if Instant::now() > deadline {
                self.child.kill().expect("can be killed");
                panic!("did not end within {PATIENCE:?}");
            }
            thread::sleep(Duration::from_millis(5));
        }
        let mut stdout = String::new();
        let mut pipe = self.child.stdout.take().expect("is piped");
        pipe.read_to_string(&mut stdout).expect("is UTF-8");
        (self.child.wait().expect("has ended").code(), stdout)
    }
}

const WAIT_LONG: [&str; 5] = ["-v", "--topic", "t", "--duration", "60s"];
const INTERRUPTED: &str = "interrupted: finishing what is in flight (again to stop at once)";

#[test]
fn good_runs_print_only_their_result() {
    let output = run(&["--topic", "t", "--duration", "20ms", "--output", "csv"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).starts_with("topic,waited_ns\nt,"), "{output:?}");
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn usage_errors_exit_with_2_on_one_line() {
    let output = run(&["--topic", "t", "--duration", "0s"]);
    assert_eq!(output.status.code(), Some(2));
    let expected = "error: --duration: 0 is too short; use a time like 30s\n";
    assert_eq!(text(&output.stderr), expected);
}

#[test]
fn malformed_options_exit_with_2_and_an_example() {
    let output = run(&["--topic", "t", "--rate", "fast"]);
    assert_eq!(output.status.code(), Some(2));
    let expected = "invalid value 'fast' for '--rate <RATE>': `fast` is not a rate; write it like";
    assert!(text(&output.stderr).contains(expected), "{output:?}");
}

#[test]
fn failures_exit_with_1_and_their_cause() {
    let full = std::fs::File::options().write(true).open("/dev/full").expect("a full device");
    let mut command = skeleton();
    let output = command.args(["--topic", "t", "--duration", "1ms"]).stdout(full).output();
    let output = output.expect("skeleton runs");
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(error.starts_with("error: failed to print the result: "), "{error}");
    let cause = "no space is left on the device; free some, or use another device\n";
    assert!(error.ends_with(cause), "{error}");
}

#[test]
fn unreadable_files_exit_with_2_and_the_cause() {
    let output = run(&["--topic", "t", "--input", "no-such-file.csv"]);
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr);
    assert!(error.starts_with("error: --input: "), "{error}");
    assert!(error.contains("no-such-file.csv"), "{error}");
    assert!(error.contains(": no such file or folder"), "{error}");
    assert!(!error.contains("os error"), "{error}");
}

#[test]
fn options_of_other_tools_suggest_their_counterpart() {
    let output = run(&["--topic", "t", "--throughput", "5"]);
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr);
    assert!(error.contains("'--throughput' is '--rate' here"), "{error}");
    assert!(!error.contains("--output"), "{error}");
}

#[test]
fn names_reach_the_terminal_escaped() {
    for args in [["--input", "no\u{1b}[31m\u{202e}.csv"], ["--in\u{1b}[31mput\u{202e}", "x"]] {
        let output = run(&[&["--topic", "t"], &args[..]].concat());
        assert_eq!(output.status.code(), Some(2));
        let error = text(&output.stderr);
        assert!(error.contains("\\x1b[31m") && error.contains("\\u{202e}"), "{error}");
        assert!(!error.contains(['\u{1b}', '\u{202e}']), "{error}");
    }
    let output = run(&["--topic", "t\u{1b}[2J", "--duration", "1ms"]);
    assert!(!text(&output.stdout).contains('\u{1b}'), "{output:?}");
}

/// Runs a skeleton that anyone may execute, as a user to whom thread limits apply.
fn run_limited(limits: &str, redirection: &str) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let mode = std::os::unix::fs::PermissionsExt::from_mode;
    std::fs::set_permissions(folder.path(), mode(0o777)).expect("permissions");
    let skeleton = folder.path().join("skeleton");
    std::fs::copy(skeleton_path(), &skeleton).expect("copied");
    let script =
        format!("ulimit {limits} && exec ./skeleton --topic t --duration 1ms {redirection}");
    // Not every shell can limit threads.
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).current_dir(folder.path()).env_remove("RUST_LOG");
    if rustix::process::geteuid().is_root() {
        std::os::unix::process::CommandExt::uid(&mut shell, 65_534);
    }
    shell.stdin(Stdio::null()).output().expect("a shell")
}

#[test]
fn tight_limits_are_refused_in_one_sentence() {
    for (limits, named) in
        [("-u 2", "ulimit -u"), ("-v 100000", "ulimit -v"), ("-n 12", "ulimit -n")]
    {
        let output = run_limited(limits, "");
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{limits}: {error}");
        assert!(error.starts_with("error: ") && error.lines().count() == 1, "{error}");
        assert!(error.contains(named) && error.contains("; raise"), "{error}");
    }
}

#[test]
fn exceeding_the_file_size_limit_is_an_error() {
    let output = run_limited("-f 0", "> out");
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{:?}: {error}", output.status);
    let expected = "error: failed to print the result: the file size limit is reached (ulimit -f)";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn closed_pipes_do_not_fail_the_run() {
    let mut child = skeleton()
        .args(["--topic", "t", "--duration", "50ms"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("skeleton starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn generate_needs_no_required_option() {
    let output = run(&["--generate", "options"]);
    assert_eq!(output.status.code(), Some(0));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("is JSON");
    assert_eq!(json["tool"], "skeleton");
    let options = json["options"].as_array().expect("has options");
    let named =
        |name: &str| options.iter().find(|option| option["name"] == name).expect("is there");
    let messages = named("messages");
    assert_eq!(messages["aliases"], serde_json::json!(["num_records", "num-records"]));
    assert_eq!(messages["takes_value"], true);
    assert_eq!(messages["default"], serde_json::Value::Null);
    assert_eq!(named("record-size")["default"], "100");
    assert_eq!(named("quiet")["takes_value"], false);
}

#[test]
fn unknown_generate_values_are_usage_errors() {
    let output = run(&["--generate", "poem"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("invalid value 'poem' for '--generate"), "{output:?}");
}

#[test]
fn malformed_rust_log_is_reported_but_not_fatal() {
    let output = skeleton()
        .args(["--topic", "t"])
        .env("RUST_LOG", "skeleton=loud")
        .output()
        .expect("skeleton starts");
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stderr).contains("RUST_LOG=skeleton=loud is ignored"), "{output:?}");
}

/// Whether this process, and so its children, ignores SIGHUP, the first signal.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).map(str::trim);
    mask.is_some_and(|mask| mask.ends_with(['1', '3', '5', '7', '9', 'b', 'd', 'f']))
}

#[test]
fn signals_end_with_report_and_exit_130() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        if signal == Signal::HUP && ignores_hangup() {
            // Straight to the stream, since the test harness hides other output.
            let line = "skipped: SIGHUP: these tests were started with nohup or similar\n";
            std::io::stderr().write_all(line.as_bytes()).expect("standard error");
            continue;
        }
        let mut waiting = Waiting::start(skeleton().args(WAIT_LONG));
        waiting.signal(signal);
        waiting.expect_line(INTERRUPTED);
        let (code, stdout) = waiting.end();
        assert_eq!(code, Some(130), "{signal:?}");
        assert!(stdout.starts_with("waited "), "{stdout}");
    }
}

#[test]
fn second_signal_ends_the_process_at_once() {
    let mut waiting = Waiting::start(skeleton().args(WAIT_LONG).args(["--grace", "1h"]));
    waiting.signal(Signal::INT);
    waiting.expect_line(INTERRUPTED);
    waiting.signal(Signal::TERM);
    assert_eq!(waiting.end(), (Some(130), String::new()));
}

#[test]
fn initially_ignored_hangups_stay_ignored() {
    let script = "trap '' HUP; exec \"$0\" \"$@\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).arg(skeleton_path()).args(WAIT_LONG).env_remove("RUST_LOG");
    let mut waiting = Waiting::start(&mut shell);
    waiting.signal(Signal::HUP);
    thread::sleep(Duration::from_millis(100));
    assert!(waiting.child.try_wait().expect("can be asked").is_none(), "still runs");
    waiting.signal(Signal::INT);
    waiting.expect_line(INTERRUPTED);
    assert_eq!(waiting.end().0, Some(130));
}
