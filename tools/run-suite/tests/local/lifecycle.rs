//! Stacks that come up and go: by hand, for an experiment, and with a driver that is killed.

use std::fs;
use std::process::Stdio;

use bench_stack::StackOptions;
use bench_testing::tool::until;

use crate::place::{Place, said};

const SMALL: &str = "name = \"small\"\nquestion = \"Does the whole chain work?\"
tool = \"kafka-prodcon\"\nservices = \"local\"\ntime_limit = \"1m\"
[options]\nmessages = 5000\nrate = \"5k/s\"\n[matrix]\nrecord-size = [50, \"1KiB\"]\n";

#[test]
fn services_come_up_serve_tools_and_go_without_a_trace() {
    let options = StackOptions::of(["kafka"]);
    let Some(place) = Place::new("services by hand", &options) else { return };
    let listed = place.succeed("services up kafka --dir stack");
    assert!(listed.contains("kafka-1") && listed.contains("running"), "{listed}");
    let status = place.succeed("services status --dir stack --output json");
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!(status[0]["state"], "running");
    assert!(status[0]["version"].as_str().is_some_and(|text| text.contains("Apache Kafka")));

    // As a shell script chains the tools.
    let script = "eval \"$(\"$0\" services env --dir stack)\" && tools=$(dirname \"$0\") &&
        \"$tools/kafka-prodcon\" fill -n 1000 --topic chained --run-dir filled -q &&
        \"$tools/kafka-prodcon\" drain --topic chained --from-run filled --output json";
    let run_suite = place.command("");
    let output = std::process::Command::new("sh")
        .args(["-c", script])
        .arg(run_suite.get_program())
        .current_dir(place.path("work"))
        .env("TMPDIR", place.path("tmp"))
        .output()
        .expect("a shell");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    let drained = text.find("{\n  \"schema_version\"").map(|start| &text[start..]);
    let drained: serde_json::Value = serde_json::from_str(drained.expect("JSON")).expect("JSON");
    assert_eq!(drained["summary"]["audit"]["received"], 1000);
    assert_eq!(drained["services"][0]["origin"], "local");

    assert!(place.succeed("services logs kafka-1 --dir stack").contains("kafka"));
    let unknown = place.run("services logs kafka-7 --dir stack");
    assert_eq!(unknown.status.code(), Some(2), "{}", said(&unknown));
    place.succeed("services down --dir stack");
    let gone = place.run("services status --dir stack");
    assert_eq!(gone.status.code(), Some(2), "{}", said(&gone));
    place.assert_clean();
}

#[test]
fn an_experiment_starts_what_it_needs_and_stops_it() {
    let Some(place) = Place::new("local services", &StackOptions::of(["kafka"])) else { return };
    place.write("small.toml", SMALL);
    let text = place.succeed("run small.toml");
    assert!(text.contains("small (2 valid)"), "{text}");
    let run = place.json("01-record-size-50/repeat-1/run.json");
    assert_eq!(run["services"][0]["origin"], "local");
    assert_eq!(run["summary"]["audit"]["lost"], 0);
    assert!(place.experiment().join("services/logs/kafka-1.log").is_file(), "logs are kept");
    assert!(!place.experiment().join("services/data").exists(), "data is not");
    place.assert_clean();
}

#[test]
fn a_killed_run_suite_leaves_services_that_down_finds_and_resume_replaces() {
    let Some(place) = Place::new("a killed driver", &StackOptions::of(["kafka"])) else { return };
    place.write("small.toml", &SMALL.replace("messages = 5000", "duration = \"30s\""));
    let mut driver = place
        .command("run small.toml")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("run-suite starts");
    let results = place.path("work").join("results");
    until("a run goes on", || {
        fs::read_dir(&results).is_ok_and(|mut found| found.next().is_some())
            && place.experiment().join("01-record-size-50/repeat-1/run.json").is_file()
    });
    driver.kill().expect("killed");
    driver.wait().expect("gone");
    let broker = |place: &Place| place.processes().iter().any(|line| line.contains("kafka.Kafka"));
    assert!(broker(&place), "the broker stays");
    let stack = place.experiment().join("services");
    place.succeed(&format!("services down --dir {}", stack.display()));
    until("the tool is gone, too", || place.processes().is_empty());
    place.assert_clean();

    // Had nobody ended it, the next run-suite would have.
    let file = place.experiment().join("experiment.json");
    let short = fs::read_to_string(&file).expect("a plan").replace("30s", "1s");
    fs::write(&file, short).expect("written");
    place.succeed(&format!("resume {}", place.experiment().display()));
    place.assert_clean();
}

#[test]
fn an_interrupted_experiment_stops_its_services() {
    let Some(place) = Place::new("an interrupt", &StackOptions::of(["kafka"])) else { return };
    place.write("small.toml", &SMALL.replace("messages = 5000", "duration = \"30s\""));
    let driver = place
        .command("run small.toml")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run-suite starts");
    let results = place.path("work").join("results");
    until("the services come up", || {
        fs::read_dir(&results).is_ok_and(|mut found| found.next().is_some())
            && place.experiment().join("services/stack.json").is_file()
    });
    let pid = rustix::process::Pid::from_child(&driver);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("signalled");
    let output = driver.wait_with_output().expect("run-suite ends");
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    place.assert_clean();
}
