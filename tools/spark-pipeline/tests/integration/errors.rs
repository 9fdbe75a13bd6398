//! Jobs that cannot start or fail in real Spark: each ends in one sentence, with what to do.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use bench_kafka::admin::Admin;
use bench_kafka::config::KafkaConfig;
use bench_record::Status;
use bench_stack::programs;
use bench_testing::tool::{Sandbox, ToolOutput};

use crate::{Spark, TOOL, changed_job};

/// The tool with a driver that is its only executor, which starts soonest.
fn command(spark: &Spark, sandbox: &Sandbox, args: &str) -> Command {
    let args = format!("--trigger 0 -n 10 --drain-timeout 60s {args}");
    let mut command = spark.command(sandbox, &args);
    command.env("SPARK_MASTER", "local[1]");
    command
}

#[track_caller]
fn assert_fails(command: Command, expected: &str) {
    let output = ToolOutput::of(command);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{output:?}");
    let sentence = format!("error: the Spark job has ended: {expected}");
    assert!(output.stderr.starts_with(&sentence), "{expected}: {output:?}");
    assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
}

/// A folder with the programs that Spark's scripts run, and no Java.
fn programs_without_java(sandbox: &Sandbox) -> PathBuf {
    let folder = sandbox.path().join("bin");
    fs::create_dir(&folder).expect("created");
    for name in ["bash", "dirname", "ps"] {
        symlink(programs::find(name).expect("installed"), folder.join(name)).expect("linked");
    }
    folder
}

/// A program that does as Java 11 does with classes for Java 17.
fn write_java_11(file: &Path) {
    let error = "java.lang.UnsupportedClassVersionError: org/apache/spark/launcher/Main has been \
                 compiled by a more recent version of the Java Runtime (class file version 61.0)";
    fs::write(file, format!("#!/bin/sh\necho '\t{error}' >&2\nexit 1\n")).expect("written");
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).expect("made executable");
}

#[test]
fn jobs_without_a_suitable_java_are_explained() {
    let Some(spark) = Spark::for_test("a job without Java") else { return };
    let sandbox = Sandbox::new(TOOL);
    let bin = programs_without_java(&sandbox);
    let without_java = || {
        let mut command = command(&spark, &sandbox, "--topic starting");
        command.env("PATH", &bin).env_remove("JAVA_HOME");
        command
    };
    assert_fails(without_java(), "there is no Java; install Java 17");
    let mut other = without_java();
    other.env("JAVA_HOME", "/nonexistent");
    assert_fails(other, "its Java does not start; correct JAVA_HOME");
    write_java_11(&bin.join("java"));
    assert_fails(without_java(), "its Java is too old; set JAVA_HOME to Java 17");
}

#[test]
fn jobs_that_fail_are_explained_in_one_sentence() {
    let Some(spark) = Spark::for_test("a failing job") else { return };
    let sandbox = Sandbox::new(TOOL);
    sandbox.write("other-topic.py", &changed_job(&[("args.topic)", "'missing')")]));
    let unclosed = ("def main(arguments):", "def main(arguments:");
    sandbox.write("syntax.py", &changed_job(&[unclosed]));
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port();
    let port = format!(
        "--submit-option=--conf=spark.driver.port={port} \
         --submit-option=--conf=spark.port.maxRetries=0"
    );
    for (args, expected) in [
        ("--submit-option=--nonsense", "spark-submit does not know an option"),
        ("--job syntax.py", "it raised SyntaxError: '(' was never closed"),
        ("--submit-option=--driver-memory=64m", "Spark needs more memory than its driver has"),
        (&port, "a port that it needs is taken"),
        ("--job other-topic.py", "a topic that it uses does not exist"),
    ] {
        assert_fails(command(&spark, &sandbox, &format!("--topic failing {args}")), expected);
    }
    for (variable, value, expected) in [
        ("SPARK_MASTER", "spark", "Spark does not understand the master"),
        ("PYSPARK_PYTHON", "/nonexistent", "its Python does not start"),
        ("BENCH_SPARK_JARS", "", "it lacks Spark's connector for Kafka"),
    ] {
        let mut command = command(&spark, &sandbox, "--topic failing");
        command.env(variable, value);
        assert_fails(command, expected);
    }
}

#[test]
fn jobs_that_end_early_end_the_run() {
    let Some(spark) = Spark::for_test("a job that ends early") else { return };
    let sandbox = Sandbox::new(TOOL);
    let looks = "            query.awaitTermination(0.2)\n";
    let leaves = "            if (query.lastProgress or {}).get('batchId', 0) > 2:\n                \
                  raise ValueError('enough')\n";
    sandbox.write("leaves.py", &changed_job(&[(looks, &format!("{looks}{leaves}"))]));
    let mut command = spark.command(
        &sandbox,
        "--topic left --trigger 0 --rate 100/s --duration 10m --drain-timeout 1s --job leaves.py",
    );
    command.env("SPARK_MASTER", "local[1]");
    let output = ToolOutput::of(command);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("the Spark job has ended: it raised ValueError: enough"));
    assert_eq!(sandbox.document("results").status, Status::Failed);
}

#[test]
#[ignore = "a minute of Spark"]
fn checkpoints_that_do_not_fit_are_explained() {
    let Some(spark) = Spark::for_test("a checkpoint of another query") else { return };
    let sandbox = Sandbox::new(TOOL);
    let on = |topic: &str| {
        command(&spark, &sandbox, &format!("--topic {topic} --checkpoint checkpoint"))
    };
    let output = ToolOutput::of(on("recreated"));
    assert_eq!(output.code, 0, "{output:?}");
    let mut config = KafkaConfig::new();
    config.set("bootstrap.servers", spark.stack.bootstrap_servers());
    let admin = Admin::connect(&config, bench_testing::BROKER_TIMEOUT).expect("the broker answers");
    admin.recreate_topic("recreated").expect("recreated");
    assert_fails(on("recreated"), "Kafka lacks messages that it continues with");
    assert_fails(on("another"), "Kafka lacks messages that it continues with");
}

#[test]
fn missing_jobs_are_refused_before_anything_is_created() {
    let sandbox = Sandbox::new(TOOL);
    let output = sandbox.run("--brokers 127.0.0.1:1 --job missing.py");
    assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{output:?}");
    assert!(output.stderr.starts_with("error: --job"), "{output:?}");
    assert_eq!(sandbox.entries(), [""; 0]);
}
