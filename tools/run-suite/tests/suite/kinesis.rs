//! Kinesis through the Lambdas into tables, by experiments and by plain shell, with the real tools.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bench_services::SERVICES;
use bench_stack::{Stack, StackOptions};
use serde_json::Value;

use crate::fake_tool::{FakeTool, read_json, stderr, stdout};
use crate::real_tool::are_built;

/// The tools of a chain from a stream into `DynamoDB`.
const DYNAMODB: [&str; 4] = ["kin-producer", "kin-lambda", "kin-db-consumer", "table-reset"];

/// The same for `MySQL`.
const MYSQL: [&str; 4] = ["kin-producer", "sql-lambda", "kin-sql-consumer", "table-reset"];

fn experiments() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments")
}

/// Whether there is a database server; prints that the test is skipped if not.
fn has_mysql(test: &str) -> bool {
    bench_testing::can_start(test, &StackOptions::of(["mysql"]))
}

/// A short form of a built-in experiment.
fn quick(tool: &FakeTool, name: &str) -> Output {
    let text = fs::read_to_string(experiments().join("quick").join(name)).expect("a file");
    let short = text.replace("duration = \"4s\"", "duration = \"1s\"");
    assert_ne!(short, text, "the duration stands in the file");
    tool.write("quick.toml", &short.replace("warm-up = \"1s\"\n", ""));
    tool.run(&["run", "quick.toml"])
}

fn check_chain(tool: &FakeTool, output: &Output, cell: &str) {
    let text = stdout(output);
    assert_eq!(output.status.code(), Some(0), "{text}{}", stderr(output));
    let produced = read_json(&tool.result(&format!("{cell}/repeat-1/run.json")));
    let landed = read_json(&tool.result(&format!("{cell}/repeat-1/then/run.json")));
    assert_eq!(produced["summary"]["produced"]["acked"], 500);
    let audit = &landed["summary"]["audit"];
    assert_eq!((&audit["received"], &audit["lost"]), (&500.into(), &0.into()), "{landed}");
    let landing = &landed["summary"]["landing_latency"];
    assert_eq!(landing["count"], 500, "{landed}");
    assert!(
        landing["p99_ns"].as_u64() >= landed["summary"]["end_to_end_latency"]["p99_ns"].as_u64()
    );
    for row in ["publish", "end-to-end", "landing"] {
        assert!(text.contains(row), "{row} in {text}");
    }
    assert!(text.contains("the client's ceiling on loopback"), "{text}");
}

fn origins(document: &Value) -> Vec<(String, String)> {
    let services = document["services"].as_array().expect("services").iter();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    services.map(|service| (text(&service["name"]), text(&service["origin"]))).collect()
}

#[test]
fn lambda_lands_messages_in_dynamodb() {
    if !are_built(&DYNAMODB) {
        return;
    }
    let tool = FakeTool::new();
    let output = quick(&tool, "kinesis-dynamodb.toml");
    check_chain(&tool, &output, "01-kinesis-dynamodb");
    let landed = read_json(&tool.result("01-kinesis-dynamodb/repeat-1/then/run.json"));
    let embedded = ("dynamodb".to_owned(), "embedded".to_owned());
    assert!(origins(&landed).contains(&embedded), "{landed}");
    assert!(Stack::open(SERVICES, &tool.result("services")).is_err(), "the services are stopped");
}

#[test]
fn lambda_lands_messages_in_mysql() {
    if !are_built(&MYSQL) || !has_mysql("a chain into MySQL") {
        return;
    }
    let tool = FakeTool::new();
    let output = quick(&tool, "kinesis-mysql.toml");
    check_chain(&tool, &output, "01-kinesis-mysql");
    let landed = read_json(&tool.result("01-kinesis-mysql/repeat-1/then/run.json"));
    assert!(origins(&landed).contains(&("mysql".to_owned(), "local".to_owned())), "{landed}");
}

#[test]
fn lambda_settings_are_swept_on_empty_services() {
    if !are_built(&DYNAMODB) {
        return;
    }
    let tool = FakeTool::new();
    tool.write(
        "sweep.toml",
        "name = \"sweep\"\nquestion = \"Batches?\"\ntool = \"kin-producer\"\nservices = \"embedded\"
         [options]\ncreate = true\nmessages = 300\nrate = \"600/s\"
         [then]\ntool = \"kin-db-consumer\"
         [lambda]\nparallelization_factor = 2
         [matrix]\n\"lambda.batch-size\" = [5, 200]\nshards = [1, 2]",
    );
    let output = tool.run(&["run", "sweep.toml"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}{}", stderr(&output));
    assert!(text.contains("lambda.batch-size"), "{text}");
    for cell in ["01-lambda.batch-size-5-shards-1", "04-lambda.batch-size-200-shards-2"] {
        let landed = read_json(&tool.result(&format!("{cell}/repeat-1/then/run.json")));
        assert_eq!(landed["summary"]["audit"]["received"], 300, "{landed}");
        assert_eq!(landed["summary"]["audit"]["foreign"], 0, "{landed}");
    }
}

#[test]
fn wrong_lambda_settings_are_refused_first() {
    if !are_built(&DYNAMODB) {
        return;
    }
    let tool = FakeTool::new();
    let head = "name = \"t\"\nquestion = \"?\"\ntool = \"kin-producer\"\nservices = \"embedded\"\n";
    let then = "[then]\ntool = \"kin-db-consumer\"\n";
    for (body, message) in [
        (format!("{then}[lambda]\nbatch-size = 0"), "[lambda] `batch-size`: "),
        (format!("{then}[lambda]\nbatchsize = 1"), "[lambda] `batchsize`: "),
        (format!("{then}[matrix]\n\"lambda.batch-size\" = [1, 99999]"), "[matrix] `batch-size`: "),
        (
            "[lambda]\nbatch-size = 1".to_owned(),
            "[lambda] `batch-size`: the experiment does not start kin-lambda or sql-lambda; add \
             \"kin-lambda\"",
        ),
        (
            format!("{then}[local]\nstart = [\"kafka\"]"),
            "[local] `start`: kafka is a real server, but the experiment asks for embedded ones",
        ),
    ] {
        tool.write("t.toml", &format!("{head}{body}"));
        let output = tool.run(&["run", "t.toml", "--dry-run"]);
        assert_eq!(output.status.code(), Some(2), "{body}: {}", stderr(&output));
        assert!(stderr(&output).contains(message), "{body}: {}", stderr(&output));
    }
}

/// A script of the project, in the folder of `tool`.
fn shell(tool: &FakeTool, name: &str, arguments: &[&str]) -> Command {
    let run_suite = Path::new(assert_cmd::cargo::cargo_bin!("run-suite"));
    let mut path = vec![run_suite.parent().expect("a folder").to_path_buf()];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let mut command = Command::new("sh");
    command.arg(experiments().join(name)).args(arguments).current_dir(tool.path(""));
    command.env("PATH", std::env::join_paths(path).expect("a path"));
    command.env("CHAIN_RESULTS", tool.path("chain")).env("CHAIN_RUNS", "60x200 30x400");
    command
}

/// Runs a script to its end.
fn script(tool: &FakeTool, name: &str, arguments: &[&str]) -> Output {
    shell(tool, name, arguments).output().expect("a shell")
}

fn check_script(tool: &FakeTool, output: &Output) {
    let text = format!("{}{}", stdout(output), stderr(output));
    assert_eq!(output.status.code(), Some(0), "{text}");
    for (run, messages) in [("60x200", 60), ("30x400", 30)] {
        let landed = read_json(&tool.path(&format!("chain/{run}/landed/run.json")));
        assert_eq!(landed["summary"]["audit"]["received"], messages, "{text}");
        assert_eq!(landed["summary"]["audit"]["lost"], 0, "{text}");
    }
    assert!(
        Stack::open(SERVICES, &tool.path("chain/services")).is_err(),
        "the services are stopped: {text}"
    );
}

#[test]
fn tools_chain_in_a_shell() {
    if !are_built(&DYNAMODB) {
        return;
    }
    let tool = FakeTool::new();
    check_script(&tool, &script(&tool, "kinesis-chain.sh", &["dynamodb"]));
    let output = script(&tool, "kinesis-chain.sh", &["redis"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn tools_chain_into_mysql_in_a_shell() {
    if !are_built(&MYSQL) || !has_mysql("a chain into MySQL") {
        return;
    }
    let tool = FakeTool::new();
    check_script(&tool, &script(&tool, "kinesis-chain.sh", &["mysql"]));
}

#[test]
fn chain_leaves_other_services_alone() {
    if !are_built(&DYNAMODB) {
        return;
    }
    let tool = FakeTool::new();
    let options = StackOptions::of(["kin-lambda"]);
    let Some(mine) = bench_testing::alone("a chain on services that are there", &options) else {
        return;
    };
    let mut command = shell(&tool, "kinesis-chain.sh", &[]);
    command.env("CHAIN_RUNS", "40x100").env("CHAIN_SERVICES", "external");
    command.envs(mine.environment().iter().cloned());
    let output = command.output().expect("a shell");
    let text = format!("{}{}", stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(mine.stack().nodes().iter().all(|node| node.pid.is_some()), "{text}");
    let landed = read_json(&tool.path("chain/40x100/landed/run.json"));
    assert_eq!(landed["summary"]["audit"]["received"], 40, "{text}");
}

#[test]
fn books_are_merged_sent_and_queried() {
    if !are_built(&["kin-producer", "kin-consumer"]) {
        return;
    }
    let tool = FakeTool::new();
    let output = script(&tool, "kinesis-books.sh", &["40", "2"]);
    let text = format!("{}{}", stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("Price"), "{text}");
}
