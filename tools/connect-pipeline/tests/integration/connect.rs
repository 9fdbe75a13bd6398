//! Runs through a real Kafka Connect worker, started for the test; prints why if it cannot be.

use bench_record::{ServiceOrigin, Status};
use bench_stack::StackOptions;
use bench_testing::TestStack;
use bench_testing::tool::{Running, Sandbox, ToolOutput, until};
use serde_json::{Value, json};

use crate::TOOL;

/// A worker shared by the tests. Their topics and connectors have distinct names.
struct Connect(TestStack);

impl Connect {
    fn for_test(test: &str) -> Option<Self> {
        bench_testing::local(test, &StackOptions::of(["connect"])).map(Self)
    }

    fn url(&self) -> &str {
        self.0.variable("CONNECT_URL")
    }

    fn command(&self, sandbox: &Sandbox, args: &str) -> std::process::Command {
        let mut command = sandbox.command(args);
        command.envs(self.0.environment().iter().cloned());
        command
    }

    fn run(&self, sandbox: &Sandbox, args: &str) -> ToolOutput {
        ToolOutput::of(self.command(sandbox, args))
    }

    fn get(&self, path: &str) -> Value {
        let mut answer = ureq::get(format!("{}{path}", self.url())).call().expect(path);
        answer.body_mut().read_json().expect("JSON")
    }

    /// The connectors of this tool for files in this sandbox.
    fn connectors(&self, sandbox: &Sandbox) -> Vec<(String, Value)> {
        let folder = sandbox.path().display().to_string();
        let all = self.get("/connectors?expand=info");
        let all = all.as_object().expect("connectors by name");
        let configs = all.iter().map(|(name, all)| (name.clone(), all["info"]["config"].clone()));
        let here = |config: &Value| config["file"].as_str().is_some_and(|f| f.contains(&folder));
        let mut found: Vec<_> = configs.filter(|(_, config)| here(config)).collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }

    fn delete(&self, name: &str) {
        ureq::delete(format!("{}/connectors/{name}", self.url())).call().expect("deleted");
    }
}

#[test]
fn lines_arrive_and_connectors_are_deleted() {
    let Some(connect) = Connect::for_test("lines through Kafka Connect") else { return };
    // The second run finds the first run's lines on the topic.
    for _ in 0..2 {
        let sandbox = Sandbox::new(TOOL);
        let output = connect.run(&sandbox, "--topic every-line --rate 200/s --duration 3s");
        assert_eq!(output.code, 0, "{output:?}");
        let document = sandbox.document("results");
        let [service] = &document.services[..] else { panic!("{:?}", document.services) };
        assert_eq!(
            (service.name.as_str(), service.origin, service.address.as_str()),
            ("kafka-connect", ServiceOrigin::Local, connect.url())
        );
        assert_eq!(service.version, connect.get("/")["version"].as_str().expect("a version"));
        assert!(document.warnings.iter().any(|warning| warning.contains("sleeps for a second")));
        let summary = document.summary.expect("figures");
        let audit = summary.audit.expect("an audit");
        assert_eq!(summary.produced.expect("a producer").acked, audit.received);
        assert_eq!((audit.lost, audit.duplicated, audit.reordered), (0, 0, 0));
        assert_eq!((audit.corrupt, audit.foreign), (0, 0), "the topic's past is not counted");
        let latency = summary.end_to_end_latency.expect("measured");
        assert!(latency.p50_ns > 100_000_000, "the source sleeps: {latency:?}");
        assert!(connect.connectors(&sandbox).is_empty());
    }
}

#[test]
fn connectors_are_kept_on_request() {
    let Some(connect) = Connect::for_test("keeping connectors") else { return };
    let sandbox = Sandbox::new(TOOL);
    let args = "--topic kept --rate 10/s -n 5 --keep-connectors --source-batch 700";
    let output = connect.run(&sandbox, args);
    assert_eq!(output.code, 0, "{output:?}");
    let run = sandbox.document("results").run_id;
    let kept = connect.connectors(&sandbox);
    let names: Vec<_> = kept.iter().map(|(name, _)| name.clone()).collect();
    let expected = ["sink", "source"].map(|end| format!("connect-pipeline-{run}-{end}"));
    assert_eq!(names, expected);
    assert_eq!((&kept[0].1["topics"], &kept[1].1["topic"]), (&json!("kept"), &json!("kept")));
    assert_eq!(kept[1].1["batch.size"], "700");
    for name in &names {
        connect.delete(name);
    }
}

#[test]
fn interrupts_delete_the_connectors() {
    let Some(connect) = Connect::for_test("interrupting a pipeline") else { return };
    // While the connectors start, and while lines are in flight.
    for sink_has_lines in [false, true] {
        let sandbox = Sandbox::new(TOOL);
        let args = "--topic interrupted --rate 50/s --duration 60s";
        let tool = Running::start(connect.command(&sandbox, args));
        until("there are connectors", || !connect.connectors(&sandbox).is_empty());
        if sink_has_lines {
            let sink = sandbox.run_folder("results").join("sink.txt");
            until("lines come", || std::fs::metadata(&sink).is_ok_and(|sink| sink.len() > 10_000));
        }
        tool.interrupt();
        let output = tool.end();
        assert_eq!(output.code, 130, "{output:?}");
        let document = sandbox.document("results");
        assert_eq!(document.status, Status::Incomplete);
        if sink_has_lines {
            let audit = document.summary.expect("figures").audit.expect("an audit");
            assert!(audit.received > 0 && audit.lost == 0, "{audit:?}");
        }
        assert!(connect.connectors(&sandbox).is_empty());
    }
}

#[test]
fn failed_connectors_are_reported_with_cause() {
    let Some(connect) = Connect::for_test("a failing connector") else { return };
    let sandbox = Sandbox::new(TOOL);
    std::fs::write(sandbox.path().join("text.txt"), "no envelope\n").expect("written");
    let config = json!({
        "connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector",
        "file": sandbox.path().join("text.txt"),
        "topic": "no-envelopes",
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    });
    let url = format!("{}/connectors/text/config", connect.url());
    ureq::put(url).send_json(config).expect("created");
    let topics = || connect.get("/connectors/text/topics")["text"]["topics"].to_string();
    until("the text is on the topic", || topics().contains("no-envelopes"));
    connect.delete("text");

    let output = connect.run(&sandbox, "--topic no-envelopes --rate 10/s -n 5");
    assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{output:?}");
    assert!(output.stderr.contains("-sink at http://") && output.stderr.contains("failed: "));
    assert!(output.stderr.contains("Unrecognized token 'no'"), "{output:?}");
    assert_eq!(sandbox.document("results").status, Status::Failed);
    assert!(connect.connectors(&sandbox).is_empty());
}
