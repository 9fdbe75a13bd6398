//! Runs that take too long, Ctrl-C, and a run-suite that is killed.

use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use bench_testing::tool::until;
use rustix::process::{Pid, Signal, kill_process};

use crate::fake_tool::{FakeTool, is_alive, read_json, stderr, stdout};

/// Three cells; tests make the second wait.
const SWEEP: &str = "[matrix]\nload = [\"a\", \"b\", \"c\"]\n";

fn start(tool: &FakeTool) -> Child {
    tool.behave("b", "wait");
    tool.experiment(SWEEP);
    let child = tool
        .run_suite(&["run", "try.toml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run-suite starts");
    until("the second run goes on", || tool.calls().len() == 2);
    child
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("signalled");
}

/// The rest of the sweep after a run of `b` that was cut short.
fn resume(tool: &FakeTool) -> Output {
    tool.behave("b", "good");
    let output = tool.run(&["resume", &tool.results_argument()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(tool.statuses(), ["complete"; 3]);
    let calls = tool.calls();
    let loads: Vec<&str> =
        calls.iter().filter_map(|call| call.split("--load=").nth(1)?.get(..1)).collect();
    assert_eq!(loads, ["a", "b", "b", "c"], "what was finished is kept");
    assert!(tool.result("02-load-b/repeat-1.aside-1").is_dir());
    output
}

#[test]
fn ctrl_c_ends_the_tool_and_names_resume() {
    let tool = FakeTool::new();
    let child = start(&tool);
    let pid = tool.wait_for_run();
    signal(&child, Signal::INT);
    let output = child.wait_with_output().expect("run-suite ends");
    assert_eq!(output.status.code(), Some(130));
    assert!(!is_alive(pid));
    assert_eq!(tool.statuses(), ["complete", "interrupted", "pending"]);
    let run = read_json(&tool.result("02-load-b/repeat-1/run.json"));
    assert_eq!(run["status"], "incomplete");
    let remedy = format!("run-suite resume {}", tool.results_argument());
    assert!(stderr(&output).contains(&remedy), "{}", stderr(&output));
    assert!(stdout(&output).contains("1 valid, 1 interrupted, 1 pending"), "{}", stdout(&output));
    resume(&tool);
}

#[test]
fn termination_ends_the_tool_too() {
    let tool = FakeTool::new();
    let child = start(&tool);
    let pid = tool.wait_for_run();
    signal(&child, Signal::TERM);
    let output = child.wait_with_output().expect("run-suite ends");
    assert_eq!(output.status.code(), Some(130));
    assert!(!is_alive(pid));
}

#[test]
#[cfg(target_os = "linux")]
fn killed_runs_can_be_resumed() {
    let tool = FakeTool::new();
    let child = start(&tool);
    until("the second run is recorded", || tool.statuses()[1] == "running");
    signal(&child, Signal::KILL);
    child.wait_with_output().expect("run-suite ends");
    let pid = tool.wait_for_run();
    until("the tool has ended", || !is_alive(pid));
    assert_eq!(tool.statuses(), ["complete", "running", "pending"]);
    resume(&tool);
}

#[test]
fn folders_are_locked() {
    let tool = FakeTool::new();
    let child = start(&tool);
    let output = tool.run(&["resume", &tool.results_argument()]);
    assert_eq!(output.status.code(), Some(1));
    let holder = format!("run-suite (process {})", child.id());
    assert!(stderr(&output).contains(&holder), "{}", stderr(&output));
    signal(&child, Signal::INT);
    child.wait_with_output().expect("run-suite ends");
    assert_eq!(tool.calls().len(), 2);
}

#[test]
fn runs_end_at_the_time_limit() {
    let tool = FakeTool::new();
    tool.behave("b", "wait");
    tool.experiment(&format!("time_limit = \"500ms\"\n{SWEEP}"));
    let output = tool.run(&["run", "try.toml"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(tool.statuses(), ["complete", "timed-out", "complete"]);
    assert!(stdout(&output).contains("ended by the time limit"), "{}", stdout(&output));
}

#[test]
fn stubborn_tools_are_killed() {
    let tool = FakeTool::new();
    tool.behave("b", "stubborn");
    tool.experiment("time_limit = \"500ms\"\n[options]\nload = \"b\"");
    let started = Instant::now();
    let output = tool.run(&["run", "try.toml"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(tool.statuses(), ["timed-out"]);
    assert!(!is_alive(tool.wait_for_run()));
    let elapsed = started.elapsed();
    assert!((10..20).contains(&elapsed.as_secs()), "{elapsed:?}");
    assert!(elapsed >= Duration::from_millis(10_500), "{elapsed:?}");
}

/// Interrupts run-suite, which must end with 130 without waiting any longer.
fn interrupt(child: Child) -> Output {
    let started = Instant::now();
    signal(&child, Signal::INT);
    let output = child.wait_with_output().expect("run-suite ends");
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    output
}

fn spawn(command: &mut std::process::Command) -> Child {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("run-suite starts")
}

#[test]
fn ctrl_c_ends_prepare() {
    let tool = FakeTool::new();
    tool.experiment(
        "[[prepare]]\ntool = \"fake-bench\"\narguments = [\"make\", \"books.csv\", \"wait\"]\n",
    );
    let child = spawn(&mut tool.run_suite(&["run", "try.toml"]));
    let pid = tool.wait_for_run();
    interrupt(child);
    until("the tool has ended", || !is_alive(pid));
    assert!(!tool.result("files.new").exists() && !tool.result("files").exists());
    assert_eq!(tool.statuses(), ["pending"]);
}

#[test]
#[cfg(target_os = "linux")]
fn ctrl_c_ends_waiting_for_a_lock() {
    let tool = FakeTool::new();
    tool.behave("none", "fail");
    tool.experiment("");
    assert_eq!(tool.run(&["run", "try.toml"]).status.code(), Some(1));
    // A tool of a killed run-suite holds it.
    let lock = std::fs::File::open(tool.result("run-suite.lock")).expect("a lock file");
    lock.lock().expect("locked");
    let child = spawn(&mut tool.run_suite(&["resume", &tool.results_argument()]));
    until("it handles signals", || handles_interrupts(child.id()));
    let output = interrupt(child);
    assert!(stderr(&output).contains("interrupted while another run-suite"), "{}", stderr(&output));
}

#[cfg(target_os = "linux")]
fn handles_interrupts(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    caught.is_some_and(|mask| mask & 2 != 0)
}

/// Programs that pass for Java and Maven; one of them never ends.
#[cfg(target_os = "linux")]
fn fake_java(tool: &FakeTool, waiting: &str) -> std::process::Command {
    use std::os::unix::fs::PermissionsExt as _;

    let wait = |who: &str| {
        if who != waiting {
            return "exit 0".to_owned();
        }
        // Its child must end, too.
        format!("sleep 600 & echo $! > {}; wait", tool.path("pid").display())
    };
    let java = format!(
        "case \"$*\" in\n*-version*) echo 'openjdk version \"17.0.1\"' >&2; exit 0;;\n\
         *StorageTool*) exit 0;;\nesac\n{}\n",
        wait("java")
    );
    let mvn =
        format!("mkdir -p jars repository; touch jars/kafka-clients-4.3.1.jar\n{}\n", wait("mvn"));
    for (name, script) in [("java", java), ("mvn", mvn)] {
        tool.write(name, &format!("#!/bin/sh\n{script}"));
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(tool.path(name), mode).expect("permissions");
    }
    let mut command = tool.run_suite(&[]);
    for variable in ["JAVA_HOME", "KAFKA_HOME", "BENCH_KAFKA_CLASSPATH", "MAVEN_OPTS"] {
        command.env_remove(variable);
    }
    command.env("BENCH_CACHE_DIR", tool.path("cache"));
    command
}

#[test]
#[cfg(target_os = "linux")]
fn ctrl_c_ends_downloads_and_starts_of_services() {
    for waiting in ["mvn", "java"] {
        for arguments in [&["services", "up", "kafka", "--dir", "stack"][..], &["run", "try.toml"]]
        {
            let tool = FakeTool::new();
            tool.experiment("services = \"local\"\n[local]\nstart = [\"kafka\"]");
            let child = spawn(fake_java(&tool, waiting).args(arguments));
            let pid = tool.wait_for_run();
            let output = interrupt(child);
            until("the program has ended", || !is_alive(pid));
            assert!(!tool.path("stack").exists(), "{waiting}: {}", stderr(&output));
            let parts = std::fs::read_dir(tool.path("cache")).expect("a cache");
            let left: Vec<_> = parts.map(|part| part.expect("readable").file_name()).collect();
            let fetching = left.iter().any(|name| name == "fetching");
            assert!(!fetching && (waiting == "java" || left.is_empty()), "{left:?}");
            if arguments[0] == "run" {
                assert_eq!(tool.statuses(), ["pending"]);
                assert!(stderr(&output).contains("run-suite resume "), "{}", stderr(&output));
            }
        }
    }
}
