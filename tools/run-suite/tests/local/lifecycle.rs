//! Stacks that start and stop: by hand, for an experiment, and after their run-suite is killed.

use std::fs;
use std::process::Stdio;

use bench_stack::StackOptions;
use bench_testing::tool::until;

use crate::sandbox::{Sandbox, text_of};

const SMALL: &str = "name = \"small\"\nquestion = \"Does the whole chain work?\"
tool = \"kafka-prodcon\"\nservices = \"local\"\ntime_limit = \"1m\"
[options]\nmessages = 5000\nrate = \"5k/s\"\n[matrix]\nrecord-size = [50, \"1KiB\"]\n";

#[test]
fn services_start_serve_and_stop() {
    let options = StackOptions::of(["kafka"]);
    let Some(sandbox) = Sandbox::new("services by hand", &options) else { return };
    let listed = sandbox.succeed("services up kafka --dir stack");
    assert!(listed.contains("kafka-1") && listed.contains("running"), "{listed}");
    let status = sandbox.succeed("services status --dir stack --output json");
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!(status[0]["state"], "running");
    assert!(status[0]["version"].as_str().is_some_and(|text| text.contains("Apache Kafka")));

    // The way a shell script chains tools.
    let script = "eval \"$(\"$0\" services env --dir stack)\" && tools=$(dirname \"$0\") &&
        \"$tools/kafka-prodcon\" fill -n 1000 --topic chained --run-dir filled -q &&
        \"$tools/kafka-prodcon\" drain --topic chained --from-run filled --output json";
    let run_suite = sandbox.command("");
    let output = std::process::Command::new("sh")
        .args(["-c", script])
        .arg(run_suite.get_program())
        .current_dir(sandbox.path("work"))
        .env("TMPDIR", sandbox.path("tmp"))
        .output()
        .expect("a shell");
    assert_eq!(output.status.code(), Some(0), "{}", text_of(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    let drained = text.find("{\n  \"schema_version\"").map(|start| &text[start..]);
    let drained: serde_json::Value = serde_json::from_str(drained.expect("JSON")).expect("JSON");
    assert_eq!(drained["summary"]["audit"]["received"], 1000);
    assert_eq!(drained["services"][0]["origin"], "local");

    assert!(sandbox.succeed("services logs kafka-1 --dir stack").contains("kafka"));
    let unknown = sandbox.run("services logs kafka-7 --dir stack");
    assert_eq!(unknown.status.code(), Some(2), "{}", text_of(&unknown));
    sandbox.succeed("services down --dir stack");
    let gone = sandbox.run("services status --dir stack");
    assert_eq!(gone.status.code(), Some(2), "{}", text_of(&gone));
    sandbox.assert_clean();
}

#[test]
fn experiments_start_and_stop_their_services() {
    let Some(sandbox) = Sandbox::new("local services", &StackOptions::of(["kafka"])) else {
        return;
    };
    sandbox.write("small.toml", SMALL);
    let text = sandbox.succeed("run small.toml");
    assert!(text.contains("small (2 valid)"), "{text}");
    let run = sandbox.json("01-record-size-50/repeat-1/run.json");
    assert_eq!(run["services"][0]["origin"], "local");
    assert_eq!(run["summary"]["audit"]["lost"], 0);
    assert!(sandbox.experiment().join("services/logs/kafka-1.log").is_file(), "logs are kept");
    assert!(!sandbox.experiment().join("services/data").exists(), "data is not");
    sandbox.assert_clean();
}

#[test]
fn services_of_a_killed_run_suite_are_found() {
    let Some(sandbox) = Sandbox::new("a killed driver", &StackOptions::of(["kafka"])) else {
        return;
    };
    sandbox.write("small.toml", &SMALL.replace("messages = 5000", "duration = \"30s\""));
    let mut driver = sandbox
        .command("run small.toml")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("run-suite starts");
    let results = sandbox.path("work").join("results");
    until("a run goes on", || {
        fs::read_dir(&results).is_ok_and(|mut found| found.next().is_some())
            && sandbox.experiment().join("01-record-size-50/repeat-1/run.json").is_file()
    });
    driver.kill().expect("killed");
    driver.wait().expect("gone");
    let broker =
        |sandbox: &Sandbox| sandbox.processes().iter().any(|line| line.contains("kafka.Kafka"));
    assert!(broker(&sandbox), "the broker stays");
    let stack = sandbox.experiment().join("services");
    sandbox.succeed(&format!("services down --dir {}", stack.display()));
    until("the tool has ended", || sandbox.processes().is_empty());
    sandbox.assert_clean();

    // The next run-suite would have stopped it otherwise.
    let file = sandbox.experiment().join("experiment.json");
    let short = fs::read_to_string(&file).expect("a plan").replace("30s", "1s");
    fs::write(&file, short).expect("written");
    sandbox.succeed(&format!("resume {}", sandbox.experiment().display()));
    sandbox.assert_clean();
}

#[test]
fn interrupted_experiments_stop_their_services() {
    let Some(sandbox) = Sandbox::new("an interrupt", &StackOptions::of(["kafka"])) else { return };
    sandbox.write("small.toml", &SMALL.replace("messages = 5000", "duration = \"30s\""));
    let driver = sandbox
        .command("run small.toml")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run-suite starts");
    let results = sandbox.path("work").join("results");
    until("the services start", || {
        fs::read_dir(&results).is_ok_and(|mut found| found.next().is_some())
            && sandbox.experiment().join("services/stack.json").is_file()
    });
    let pid = rustix::process::Pid::from_child(&driver);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("signalled");
    let output = driver.wait_with_output().expect("run-suite ends");
    assert_eq!(output.status.code(), Some(130), "{}", text_of(&output));
    sandbox.assert_clean();
}
