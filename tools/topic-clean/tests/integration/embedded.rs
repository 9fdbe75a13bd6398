//! The tool as a user runs it, on a broker inside the test. That broker deletes neither records nor
//! topics, so these tests cover everything before that; the rest is in `real_kafka.rs`.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::broker::{TOOL, benchmark_message, command, fill, put, run};
use bench_testing::Silent;
use bench_testing::tool::{Place, Said};
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

    fn run(&self, arguments: &[&str]) -> Said {
        run(&self.servers, arguments)
    }

    fn messages(&self, topic: &str) -> u64 {
        let said = self.run(&["describe", topic, "--output", "json"]);
        said.json()["messages"].as_u64().expect("a number")
    }
}

#[test]
fn interrupts_end_connecting_at_once() {
    for mode in ["list", "describe t", "create t", "--yes t"] {
        let place = Place::new(TOOL);
        let silent = Silent::new();
        let args = format!("{mode} --timeout 1h --bootstrap-servers {}", silent.address());
        let said = silent.interrupt(place.command(&args));
        assert_eq!((said.code, said.stdout.as_str()), (130, ""), "{mode}: {said:?}");
        assert!(said.stderr.ends_with("interrupted while connecting to Kafka\n"), "{said:?}");
    }
}

#[test]
fn topics_are_listed_in_every_format() {
    let broker = Broker::with_topics(&[("b", 2), ("a", 5), ("__own", 1)]);
    let said = broker.run(&["list"]);
    assert_eq!(said.code, 0, "{said:?}");
    let expected = "\
Topic  Partitions  Replication  Kind
__own           1            1  internal
a               5            1
b               2            1
";
    assert_eq!(said.stdout, expected);
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
    let said = broker.run(&["describe", "t"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.contains("Messages     1,500\n"), "{said:?}");
    assert!(said.stdout.ends_with("        1    0  1500     1,500\n"), "{said:?}");
    let said = broker.run(&["describe", "u"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("topic 'u' does not exist"), "{said:?}");
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
    let said = broker.run(&["--dry-run", "bench-*"]);
    assert_eq!(said.code, 0, "{said:?}");
    let expected = "\
Topic    Partitions  Messages  Action
bench-1           3        30  delete records (if refused: delete and recreate)
bench-2           1         0  nothing, it is empty
";
    assert_eq!(said.stdout, expected);
    let json = broker.run(&["--dry-run", "--recreate", "--output=json", "bench-1"]).json();
    assert_eq!(json["dry_run"], true);
    assert_eq!(json["topics"][0]["step"], "recreate");
    assert_eq!(json["topics"][0]["outcome"], "planned");
    assert_eq!(broker.messages("bench-1"), 30);
}

#[test]
fn empty_topics_need_no_confirmation() {
    let broker = Broker::with_topics(&[("t", 4)]);
    let said = broker.run(&["t"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.ends_with("was empty\n"), "{said:?}");
}

#[test]
fn yes_is_required_without_a_terminal() {
    let broker = Broker::with_topics(&[("t", 1)]);
    fill(&broker.servers, "t", 0, 3);
    let place = Place::new(TOOL);
    let said = Said::of_input(command(&place, &broker.servers, &["t"]), "y\n");
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("delete records"), "the plan is shown: {said:?}");
    assert!(said.stderr.contains("--yes: ") && said.stderr.contains("--dry-run"), "{said:?}");
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
        let said = broker.run(&["--yes", "ours", topic]);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.stderr.contains(&format!("'{topic}' ({place})")), "{said:?}");
        assert!(said.stderr.contains("--force"), "{said:?}");
        assert_eq!(said.stdout, "", "nothing was done, not even to 'ours'");
    }
    let said = broker.run(&["--dry-run", "*"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stdout.contains("refuse: foreign message in partition 1 at offset 10"));
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
        let said = broker.run(&arguments);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.stderr.contains("Kafka's own"), "{said:?}");
    }
    let said = broker.run(&["--yes", "--force", "*"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(!said.stdout.contains("__consumer_offsets"), "{said:?}");
    assert_eq!(broker.messages("__consumer_offsets"), 1);
}

#[test]
fn names_without_match_are_errors() {
    let broker = Broker::with_topics(&[("t", 1)]);
    let said = broker.run(&["--yes", "t", "typo"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("no topic matches 'typo'"), "{said:?}");
}

#[test]
fn failing_to_delete_and_recreate_is_reported() {
    let broker = Broker::with_topics(&[("t", 1)]);
    fill(&broker.servers, "t", 0, 5);
    for arguments in [vec!["--yes", "t"], vec!["--yes", "--recreate", "t"]] {
        let said = broker.run(&arguments);
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.stdout.contains("UnsupportedFeature"), "{said:?}");
        assert_eq!(broker.messages("t"), 5);
    }
}

#[test]
fn missing_brokers_fail_in_time() {
    let started = Instant::now();
    let said = run(NOWHERE, &["--timeout", "1s", "t"]);
    let took = started.elapsed();
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains(NOWHERE) && said.stderr.contains("within 1s"), "{said:?}");
    assert!(said.stderr.contains("Connection refused"), "{said:?}");
    assert!((1_000..4_000).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn silent_brokers_fail_in_time() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let started = Instant::now();
    let said = run(&address, &["--timeout", "500ms", "list"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains(&address), "{said:?}");
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
        let said = broker.run(&arguments);
        assert_eq!(said.code, 2, "{arguments:?}: {said:?}");
        assert!(said.stderr.contains(remedy), "{arguments:?}: {said:?}");
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
        let said = run(servers, &["list"]);
        assert_eq!((said.code, said.stderr.lines().count()), (2, 1), "{servers}: {said:?}");
        assert!(said.stderr.contains(told), "{servers}: {said:?}");
    }
}

#[test]
fn producer_and_consumer_settings_are_ignored() {
    let broker = Broker::with_topics(&[("t", 1)]);
    let place = Place::new(TOOL);
    let settings = "enable.idempotence=true\nretries=0\nacks=1\nlinger.ms=400000\n\
                    transactional.id=t\nsession.timeout.ms=400000\ngroup.id=g\n";
    place.write("client.properties", settings);
    let said =
        Said::of(command(&place, &broker.servers, &["--properties", "client.properties", "list"]));
    assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{said:?}");
}

#[test]
fn missing_servers_name_the_options() {
    let said = run("", &["list"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("--bootstrap-servers HOST:PORT"), "{said:?}");
}

#[test]
fn environment_and_properties_set_the_server() {
    let broker = Broker::with_topics(&[("t", 1)]);
    let place = Place::new(TOOL);
    let mut command = place.command("list");
    command.env("KAFKA_BOOTSTRAP_SERVERS", &broker.servers);
    let said = Said::of(command);
    assert_eq!(said.code, 0, "{said:?}");
    let properties = format!("# ours\nbootstrap.servers: {}\n", broker.servers);
    place.write("client.properties", &properties);
    let said = place.run("list --properties client.properties");
    assert_eq!(said.code, 0, "{said:?}");
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
    let place = Place::new(TOOL);
    let mut command = command(&place, NOWHERE, &arguments);
    command.env("KAFKA_SASL_PASSWORD", "hush");
    let said = Said::of(command);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("alice") && said.stderr.contains("***"), "{said:?}");
    assert!(!said.stderr.contains("hush"), "{said:?}");
}

#[test]
fn help_and_completions_need_no_broker() {
    let said = run(NOWHERE, &["--help"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.contains("Examples:") && said.stdout.contains("Exit codes:"));
    let said = run(NOWHERE, &["--generate", "bash"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.contains("complete"), "{said:?}");
}
