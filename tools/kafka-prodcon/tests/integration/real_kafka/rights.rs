//! Users with few permissions: which ones suffice, and errors about missing ones.

use std::path::PathBuf;
use std::process::Command;

use bench_stack::StackOptions;
use bench_testing::tool::ToolOutput;

use super::{Bench, audit};

/// A broker that denies its user everything that is not granted.
struct Guarded {
    bench: Bench,
    /// The login of the user, who has no permissions yet.
    properties: PathBuf,
    /// The class path of the broker, for Kafka's own tools.
    class_path: String,
}

impl Guarded {
    fn start(test: &str) -> Option<Self> {
        let settings = [
            ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
            // Clients without a login: the broker itself, and this test.
            ("super.users", "User:ANONYMOUS"),
        ];
        let options = StackOptions::of([]);
        let options = settings.iter().fold(options, |o, (key, value)| o.with("kafka", key, value));
        let kafka = bench_testing::alone(test, &options)?;
        let properties = kafka.stack().dir().join("kafka-sasl-no-tls.properties");
        let pid = kafka.stack().nodes().remove(0).pid.expect("it runs");
        let command_line =
            std::fs::read_to_string(format!("/proc/{pid}/cmdline")).expect("readable");
        let mut arguments = command_line.split('\0');
        let flag =
            arguments.find(|argument| ["-cp", "-classpath", "--class-path"].contains(argument));
        let class_path = flag.and_then(|_| arguments.next()).expect("a class path").to_owned();
        Some(Self { bench: Bench::on(kafka), properties, class_path })
    }

    /// Grants permissions to the user, as options of Kafka's tool.
    fn grant(&self, rights: &str) {
        let mut tool = Command::new("java");
        tool.args(["-XX:TieredStopAtLevel=1", "-cp", &self.class_path]);
        tool.args(["org.apache.kafka.tools.AclCommand", "--bootstrap-server"]);
        tool.arg(self.bench.kafka.bootstrap_servers()).arg("--add");
        tool.args(["--allow-principal", "User:bench"]).args(rights.split_whitespace());
        let output = tool.output().expect("java runs");
        assert!(output.status.success(), "{output:?}");
    }

    /// Runs the tool as the user, with `input`.
    fn run(&self, args: &str, input: &str) -> ToolOutput {
        let args = format!("{args} --properties {}", self.properties.display());
        ToolOutput::of_input(self.bench.sandbox.command(&args), input)
    }

    /// Runs the tool, which must fail and name the missing permission.
    fn refused(&self, args: &str, right: &str) {
        let output = self.run(args, "a line\n");
        assert_ne!(output.code, 0, "{args}: {output:?}");
        let output = output.stdout.clone() + &output.stderr;
        assert!(output.contains(right), "{args}: no {right} in {output:?}");
        assert!(!output.contains("Broker: "), "{args}: {output:?}");
    }
}

#[test]
fn few_permissions_suffice_and_missing_ones_are_named() {
    let Some(guarded) = Guarded::start("users with few rights") else { return };
    reading_needs_no_permission_on_a_group(&guarded);
    writing_needs_only_the_write_permission(&guarded);
}

fn reading_needs_no_permission_on_a_group(guarded: &Guarded) {
    let topic = guarded.bench.topic(2, 1, &[]);
    guarded.bench.measure(
        &format!("fill -n 300 --format json -r 300 --topic {topic}"),
        "filled",
        0,
    );
    guarded.refused(&format!("print --topic {topic}"), &format!("on topic '{topic}'"));
    guarded.grant(&format!("--operation Read --topic {topic}"));
    let output = guarded.run(&format!("drain -c 2 --topic {topic} --results-dir read"), "");
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(audit(&guarded.bench.sandbox.document("read")).received, 300);
    let output = guarded.run(&format!("print --raw-output --topic {topic} -n 5"), "");
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    guarded.refused(&format!("drain --topic {topic} --group g"), "READ on group 'g'");
    guarded.refused(&format!("send --topic {topic}"), &format!("WRITE on topic '{topic}'"));
}

fn writing_needs_only_the_write_permission(guarded: &Guarded) {
    let topic = guarded.bench.topic(1, 1, &[]);
    guarded.grant(&format!("--operation Write --topic {topic}"));
    for (args, results) in [("", "plain"), ("--idempotent", "idempotent")] {
        let args = format!("fill -n 100 {args} --topic {topic} --results-dir {results}");
        let output = guarded.run(&args, "");
        assert_eq!(output.code, 0, "{output:?}");
    }
    let output = guarded.run(&format!("send --topic {topic}"), "one\ntwo\n");
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    assert_eq!(guarded.bench.offsets(&topic), [202]);
    let transactional = format!("fill -n 10 --transactional --topic {topic}");
    guarded.refused(&transactional, "WRITE and DESCRIBE on transactional.id 'kafka-prodcon-");
    guarded.refused("send --topic missing", "on topic 'missing'");
    guarded.grant("--operation Describe --topic missing");
    guarded.refused("send --topic missing", "CREATE on topic 'missing'");
    guarded.grant(&format!("--operation Read --topic {topic}"));
    let both = format!("-n 100 --no-group --topic {topic} --results-dir both");
    let output = guarded.run(&both, "");
    assert_eq!(output.code, 0, "{output:?}");
    guarded.refused(&format!("-n 100 --topic {topic}"), "READ on group 'kafka-prodcon-");
}
