//! The tool as a user runs it, on a broker inside the test. That broker deletes neither records nor
//! topics, so these tests cover everything before that; the rest is in `real_kafka.rs`.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::broker::{TOOL, benchmark_message, command, fill, put, run};
use bench_testing::Silent;
use bench_testing::tool::{Sandbox, ToolOutput};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

/// An address where nothing listens.
const NOWHERE: &str = "127.0.0.1:1";

struct Broker {
    cluster: MockCluster<'static, DefaultProducerContext>,
    servers: String,
}

impl Broker {
    fn with_topics(topics: &[(&str, i32)]) -> Self {
        let cluster = MockCluster::new(1).expect("a mock cluster");
        for (name, partitions) in topics {
            cluster.create_topic(name, *partitions, 1).expect("created");
        }
        let servers = cluster.bootstrap_servers();
        Self { cluster, servers }
    }

    fn run(&self, arguments: &[&str]) -> ToolOutput {
        run(&self.servers, arguments)
    }

    fn messages(&self, topic: &str) -> u64 {
        let output = self.run(&["describe", topic, "--output", "json"]);
        output.json()["messages"].as_u64().expect("a number")
    }
}

#[test]
fn interrupts_end_connecting_at_once() {
    for mode in ["list", "describe t", "create t", "--yes t"] {
        let sandbox = Sandbox::new(TOOL);
        let silent = Silent::new();
        let args = format!("{mode} --timeout 1h --bootstrap-servers {}", silent.address());
        let output = silent.interrupt(sandbox.command(&args));
        assert_eq!((output.code, output.stdout.as_str()), (130, ""), "{mode}: {output:?}");
        assert!(output.stderr.ends_with("interrupted while connecting to Kafka\n"), "{output:?}");
    }
}

#[test]
fn topics_are_listed_in_every_format() {
    let broker = Broker::with_topics(&[("b", 2), ("a", 5), ("__own", 1)]);
    let output = broker.run(&["list"]);
    assert_eq!(output.code, 0, "{output:?}");
    let expected = "\
Topic  Partitions  Replication  Kind
__own           1            1  internal
a               5            1
b               2            1
";
    assert_eq!(output.stdout, expected);
    let json = broker.run(&["list", "--output", "json"]).json();
    assert_eq!(json["schema_version"], 1);
    assert_eq!(json["topics"][1]["topic"], "a");
    assert_eq!(json["topics"][1]["partitions"], 5);
    assert_eq!(json["topics"][0]["internal"], true);
    let csv = broker.run(&["list", "--output", "csv"]).stdout;
    assert_eq!(csv.lines().nth(2), Some("a,5,1,"));
}

#[test]
fn topics_are_described_with_watermarks() {
    let broker = Broker::with_topics(&[("t", 2)]);
    fill(&broker.servers, "t", 1, 1_500);
    let output = broker.run(&["describe", "t"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("Messages     1,500\n"), "{output:?}");
    assert!(output.stdout.ends_with("        1    0  1500     1,500\n"), "{output:?}");
    let output = broker.run(&["describe", "u"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("topic 'u' does not exist"), "{output:?}");
    assert_eq!(
        broker.run(&["list", "--output", "csv"]).stdout.lines().count(),
        2,
        "and was not created"
    );
}

#[test]
fn dry_runs_only_show_the_plan() {
    let broker = Broker::with_topics(&[("bench-1", 3), ("bench-2", 1), ("other", 1)]);
    fill(&broker.servers, "bench-1", 0, 10);
    fill(&broker.servers, "bench-1", 2, 20);
    let output = broker.run(&["--dry-run", "bench-*"]);
    assert_eq!(output.code, 0, "{output:?}");
    let expected = "\
Topic    Partitions  Messages  Action
bench-1           3        30  delete records (if refused: delete and recreate)
bench-2           1         0  nothing, it is empty
";
    assert_eq!(output.stdout, expected);
    let json = broker.run(&["--dry-run", "--recreate", "--output=json", "bench-1"]).json();
    assert_eq!(json["dry_run"], true);
    assert_eq!(json["topics"][0]["step"], "recreate");
    assert_eq!(json["topics"][0]["outcome"], "planned");
    assert_eq!(broker.messages("bench-1"), 30);
}

#[test]
fn empty_topics_need_no_confirmation() {
    let broker = Broker::with_topics(&[("t", 4)]);
    let output = broker.run(&["t"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.ends_with("was empty\n"), "{output:?}");
}

#[test]
fn yes_is_required_without_a_terminal() {
    let broker = Broker::with_topics(&[("t", 1)]);
    fill(&broker.servers, "t", 0, 3);
    let sandbox = Sandbox::new(TOOL);
    let output = ToolOutput::of_input(command(&sandbox, &broker.servers, &["t"]), "y\n");
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("delete records"), "the plan is shown: {output:?}");
    assert!(output.stderr.contains("--yes: ") && output.stderr.contains("--dry-run"), "{output:?}");
    assert_eq!(broker.messages("t"), 3);
}

#[test]
fn foreign_messages_are_found_at_either_end() {
    let broker = Broker::with_topics(&[("first", 1), ("last", 2), ("ours", 1)]);
    put(&broker.servers, "first", 0, b"order 17");
    fill(&broker.servers, "first", 0, 10);
    fill(&broker.servers, "last", 0, 10);
    fill(&broker.servers, "last", 1, 10);
    put(&broker.servers, "last", 1, b"order 18");
    fill(&broker.servers, "ours", 0, 10);
    for (topic, place) in [("first", "partition 0, offset 0"), ("last", "partition 1, offset 10")] {
        let output = broker.run(&["--yes", "ours", topic]);
        assert_eq!(output.code, 2, "{output:?}");
        assert!(output.stderr.contains(&format!("'{topic}' ({place})")), "{output:?}");
        assert!(output.stderr.contains("--force"), "{output:?}");
        assert_eq!(output.stdout, "", "nothing was done, not even to 'ours'");
    }
    let output = broker.run(&["--dry-run", "*"]);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stdout.contains("refuse: foreign message in partition 1 at offset 10"));
    assert_eq!(broker.messages("last"), 21);
}

#[test]
fn damaged_messages_are_foreign() {
    let broker = Broker::with_topics(&[("t", 1)]);
    let mut message = benchmark_message(0);
    message[50] ^= 1;
    put(&broker.servers, "t", 0, &message);
    assert_eq!(broker.run(&["--yes", "t"]).code, 2);
    assert_eq!(broker.run(&["--dry-run", "--force", "t"]).code, 0);
}

#[test]
fn kafka_topics_are_never_emptied() {
    let broker = Broker::with_topics(&[("__consumer_offsets", 1), ("t", 1)]);
    fill(&broker.servers, "__consumer_offsets", 0, 1);
    for arguments in [["--yes", "--force", "__consumer_offsets"], ["--yes", "--force", "__*"]] {
        let output = broker.run(&arguments);
        assert_eq!(output.code, 2, "{output:?}");
        assert!(output.stderr.contains("Kafka's own"), "{output:?}");
    }
    let output = broker.run(&["--yes", "--force", "*"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(!output.stdout.contains("__consumer_offsets"), "{output:?}");
    assert_eq!(broker.messages("__consumer_offsets"), 1);
}

#[test]
fn names_without_match_are_errors() {
    let broker = Broker::with_topics(&[("t", 1)]);
    let output = broker.run(&["--yes", "t", "typo"]);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("no topic matches 'typo'"), "{output:?}");
}

#[test]
fn failing_to_delete_and_recreate_is_reported() {
    let broker = Broker::with_topics(&[("t", 1)]);
    fill(&broker.servers, "t", 0, 5);
    for arguments in [vec!["--yes", "t"], vec!["--yes", "--recreate", "t"]] {
        let output = broker.run(&arguments);
        assert_eq!(output.code, 1, "{output:?}");
        assert!(output.stdout.contains("UnsupportedFeature"), "{output:?}");
        assert_eq!(broker.messages("t"), 5);
    }
}

#[test]
fn missing_brokers_fail_in_time() {
    let started = Instant::now();
    let output = run(NOWHERE, &["--timeout", "1s", "t"]);
    let took = started.elapsed();
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains(NOWHERE) && output.stderr.contains("within 1s"), "{output:?}");
    assert!(output.stderr.contains("Connection refused"), "{output:?}");
    assert!((1_000..4_000).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn silent_brokers_fail_in_time() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let started = Instant::now();
    let output = run(&address, &["--timeout", "500ms", "list"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains(&address), "{output:?}");
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[test]
fn invalid_configuration_names_a_remedy() {
    let mut properties = tempfile::NamedTempFile::new().expect("a file");
    write!(properties, "ssl.truststore.location=/etc/ca.jks").expect("written");
    let file = properties.path().to_str().expect("a path");
    for (arguments, remedy) in [
        (vec!["--config", "lingr.ms=5", "t"], "did you mean linger.ms?"),
        (vec!["--config", "linger.ms", "t"], "--config KEY=VALUE"),
        (vec!["--config", "acks=many", "t"], "acks"),
        (vec!["--properties", file, "t"], "ssl.ca.location"),
        (vec!["--properties", "/nonexistent", "t"], "/nonexistent"),
        (vec!["--timeout", "0s", "t"], "--timeout"),
        (vec!["--timeout", "2h", "t"], "--timeout"),
        (vec!["["], "TOPIC"),
        (vec![], "<TOPIC>"),
        (vec!["create", "t", "--partitions", "0"], "--partitions"),
        (vec!["create", "t", "--topic-config", "retention.ms"], "--topic-config"),
        (vec!["--no-such-option"], "--no-such-option"),
    ] {
        let broker = Broker::with_topics(&[]);
        let output = broker.run(&arguments);
        assert_eq!(output.code, 2, "{arguments:?}: {output:?}");
        assert!(output.stderr.contains(remedy), "{arguments:?}: {output:?}");
    }
}

#[test]
fn invalid_servers_are_refused_before_connecting() {
    for (servers, told) in [
        ("127.0.0.1:95566", "use a port from 1 to 65535"),
        ("http://a:1", "write HOST:PORT"),
        ("::1:9092", "[::1]:9092"),
        ("a", "a:9092"),
        ("", "it is empty"),
    ] {
        let output = run(servers, &["list"]);
        assert_eq!((output.code, output.stderr.lines().count()), (2, 1), "{servers}: {output:?}");
        assert!(output.stderr.contains(told), "{servers}: {output:?}");
    }
}

#[test]
fn producer_and_consumer_settings_are_ignored() {
    let broker = Broker::with_topics(&[("t", 1)]);
    let sandbox = Sandbox::new(TOOL);
    let settings = "enable.idempotence=true\nretries=0\nacks=1\nlinger.ms=400000\n\
                    transactional.id=t\nsession.timeout.ms=400000\ngroup.id=g\n";
    sandbox.write("client.properties", settings);
    let output = ToolOutput::of(command(
        &sandbox,
        &broker.servers,
        &["--properties", "client.properties", "list"],
    ));
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output:?}");
}

#[test]
fn missing_servers_name_the_options() {
    let output = run("", &["list"]);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("--bootstrap-servers HOST:PORT"), "{output:?}");
}

#[test]
fn environment_and_properties_set_the_server() {
    let broker = Broker::with_topics(&[("t", 1)]);
    let sandbox = Sandbox::new(TOOL);
    let mut command = sandbox.command("list");
    command.env("KAFKA_BOOTSTRAP_SERVERS", &broker.servers);
    let output = ToolOutput::of(command);
    assert_eq!(output.code, 0, "{output:?}");
    let properties = format!("# ours\nbootstrap.servers: {}\n", broker.servers);
    sandbox.write("client.properties", &properties);
    let output = sandbox.run("list --properties client.properties");
    assert_eq!(output.code, 0, "{output:?}");
    drop(broker.cluster);
}

#[test]
fn secrets_stay_out_of_verbose_logs() {
    let arguments = [
        "-vvv",
        "--timeout=300ms",
        "--config=security.protocol=SASL_PLAINTEXT",
        "--config=sasl.mechanism=PLAIN",
        "--config=sasl.username=alice",
        "--config=ssl.key.password=hush",
        "list",
    ];
    let sandbox = Sandbox::new(TOOL);
    let mut command = command(&sandbox, NOWHERE, &arguments);
    command.env("KAFKA_SASL_PASSWORD", "hush");
    let output = ToolOutput::of(command);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("alice") && output.stderr.contains("***"), "{output:?}");
    assert!(!output.stderr.contains("hush"), "{output:?}");
}

#[test]
fn help_and_completions_need_no_broker() {
    let output = run(NOWHERE, &["--help"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("Examples:") && output.stdout.contains("Exit codes:"));
    let output = run(NOWHERE, &["--generate", "bash"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("complete"), "{output:?}");
}
