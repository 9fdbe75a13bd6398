//! The modes that need a server: `fill`, `drain`, `send` and `print`. The server is an embedded
//! broker in its own process, which the runs treat as external.

use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use bench_record::{AuditBasis, AuditSummary, RunDocument, ServiceOrigin, VerdictOutcome};
use bench_service_kafka::stand_in::EmbeddedKafka;
use bench_testing::tool::{Sandbox, ToolOutput, output};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::TOOL;

/// During a rebalance, this broker makes members wait for almost a session timeout.
const SESSION: &str = "--config session.timeout.ms=2000 --config heartbeat.interval.ms=200";

/// A broker, and a folder to run the tool in.
struct Bench {
    sandbox: Sandbox,
    broker: EmbeddedKafka,
}

impl Bench {
    fn with_topics(topics: &[(&str, u32)]) -> Self {
        let mut broker = EmbeddedKafka::start(1).expect("a broker");
        for (name, partitions) in topics {
            broker.create_topic(name, *partitions, 1).expect("created");
        }
        Self { sandbox: Sandbox::new(TOOL), broker }
    }

    fn with_servers(&self, args: &str) -> String {
        format!("{args} --bootstrap-servers {}", self.broker.bootstrap_servers())
    }

    fn run(&self, args: &str) -> ToolOutput {
        self.sandbox.run(&self.with_servers(args))
    }

    /// Runs the tool, which must exit with `code`, and reads the document below `results`.
    fn measure(&self, args: &str, results: &str, code: i32) -> RunDocument {
        let output = self.run(&format!("{args} --results-dir {results}"));
        assert_eq!(output.code, code, "{args}: {output:?}");
        self.sandbox.document(results)
    }

    /// Sends `input` line by line, unchanged.
    fn send(&self, args: &str, input: impl Into<Vec<u8>>) {
        let args = self.with_servers(&format!("send {args}"));
        let output = ToolOutput::of_input(self.sandbox.command(&args), input);
        assert_eq!((output.code, output.stdout.as_str()), (0, ""), "{output:?}");
    }

    /// Returns the output of `print`.
    fn print(&self, args: &str) -> Vec<u8> {
        let args = self.with_servers(&format!("print {args}"));
        let output = output(self.sandbox.command(&args), "");
        assert!(output.status.success(), "{output:?}");
        output.stdout
    }
}

fn audit(document: &RunDocument) -> &AuditSummary {
    let summary = document.summary.as_ref().expect("figures");
    summary.audit.as_ref().expect("an audit")
}

fn received(document: &RunDocument) -> u64 {
    let summary = document.summary.as_ref().expect("figures");
    summary.consumed.as_ref().expect("it received").received
}

fn reasons(document: &RunDocument) -> &[String] {
    let verdict = document.verdict.as_ref().expect("a verdict");
    assert_eq!(verdict.outcome == VerdictOutcome::Valid, verdict.reasons.is_empty());
    &verdict.reasons
}

#[test]
fn drains_are_checked_against_the_producing_run() {
    let bench = Bench::with_topics(&[("t", 3)]);
    let sent = bench.measure("fill -n 5000 -p 2 --topic t", "filled", 0);
    assert_eq!(sent.services[0].origin, ServiceOrigin::External);
    assert_eq!(sent.options["mode"], "fill");
    let summary = sent.summary.as_ref().expect("figures");
    assert_eq!(summary.produced.as_ref().expect("it sent").acked, 5_000);
    assert_eq!((&summary.consumed, &summary.audit), (&None, &None));

    let folder = bench.sandbox.run_folder("filled");
    let args = format!("drain --topic t -c 2 --from-run {}", folder.display());
    let drained = bench.measure(&args, "drained", 0);
    assert!(reasons(&drained).is_empty());
    let audit = audit(&drained);
    assert_eq!((audit.against, audit.received), (AuditBasis::Acked, 5_000));
    assert_eq!((audit.lost, audit.foreign, audit.corrupt, audit.reordered), (0, 0, 0, 0));
    let streams: Vec<_> = audit.producers.iter().map(|p| (p.run_id.as_str(), p.received)).collect();
    let run = sent.run_id.as_str();
    assert_eq!(streams, [(run, 2_500), (run, 2_500)]);
    let latency = drained.summary.as_ref().and_then(|summary| summary.end_to_end_latency.as_ref());
    assert_eq!(latency.expect("measured").count, 5_000);
}

#[test]
fn messages_dropped_by_the_broker_are_lost() {
    let bench = Bench::with_topics(&[("t", 1)]);
    // 12 MB; the broker keeps 5 MiB.
    bench.measure("fill -n 12000 -r 1000 --topic t", "filled", 0);
    let args =
        format!("drain --topic t --from-run {}", bench.sandbox.run_folder("filled").display());
    let output = bench.run(&args);
    assert_eq!(output.code, 3, "{output:?}");
    assert!(output.stdout.lines().next().is_some_and(|line| line.ends_with("complete, INVALID")));
    assert!(output.stdout.contains("Do not quote the figures below."), "{output:?}");

    let drained = bench.sandbox.document("results");
    let audit = audit(&drained);
    assert!((6_000..12_000).contains(&audit.lost), "{}", audit.lost);
    assert_eq!(audit.received + audit.lost, 12_000);
    assert_eq!(audit.producers[0].lost_ranges, [(0, audit.lost - 1)], "the oldest");
    let expected = format!("{} acknowledged messages were not received", audit.lost);
    assert!(reasons(&drained)[0].starts_with(&expected), "{:?}", reasons(&drained));
}

#[test]
fn groups_continue_at_their_committed_offsets() {
    let bench = Bench::with_topics(&[("t", 2)]);
    bench.measure("fill -n 3000 -p 2 --topic t", "filled", 0);
    let drain = format!("drain --topic t {SESSION} --group");
    let first = bench.measure(&format!("{drain} readers"), "first", 0);
    assert_eq!((received(&first), audit(&first).duplicated), (3_000, 0));
    let second = bench.measure(&format!("{drain} readers"), "second", 3);
    assert_eq!(
        (received(&second), reasons(&second)),
        (0, &["nothing was received".to_owned()][..])
    );
    let other = bench.measure(&format!("{drain} others"), "other", 0);
    assert_eq!(received(&other), 3_000);
    bench.measure("fill -n 500 --topic t", "filled-again", 0);
    let third = bench.measure(&format!("{drain} readers"), "third", 0);
    assert_eq!(received(&third), 500);
}

#[test]
fn options_override_group_and_start_of_a_file() {
    let bench = Bench::with_topics(&[("t", 1)]);
    bench.measure("fill -n 300 --topic t", "filled", 0);
    bench.sandbox.write("g.properties", "group.id=readers\nauto.offset.reset=earliest\n");
    bench
        .sandbox
        .write("end.properties", "auto.offset.reset=latest\nisolation.level=READ_UNCOMMITTED\n");
    let drain = format!("drain --topic t {SESSION}");
    let in_force = |args: &str, results: &str, code, group: Option<&str>, from: &str| {
        let document = bench.measure(&format!("{drain} {args}"), results, code);
        let options = &document.options;
        assert_eq!(options.get("group").and_then(|group| group.as_str()), group, "{args}");
        assert_eq!(options["from"], from, "{args}");
        if let Some(group) = group {
            assert_eq!(options["config"]["group.id"], group, "{args}");
        }
        document
    };
    let file = "--properties g.properties";
    let first = in_force(file, "first", 0, Some("readers"), "beginning");
    assert_eq!(received(&first), 300);
    let again = in_force(file, "again", 3, Some("readers"), "beginning");
    assert_eq!(received(&again), 0, "the group has committed offsets");
    let other =
        in_force(&format!("{file} --group others"), "other", 0, Some("others"), "beginning");
    assert_eq!(received(&other), 300);
    let last = format!("{file} --group others --config group.id=last");
    assert_eq!(received(&in_force(&last, "last", 0, Some("last"), "beginning")), 300);

    let file = "--properties end.properties";
    let nothing = in_force(file, "end", 3, None, "latest");
    assert_eq!((received(&nothing), &nothing.options["isolation"]), (0, &"uncommitted".into()));
    assert_eq!(nothing.options["config"]["isolation.level"], "read_uncommitted");
    let all = in_force(&format!("{file} --from beginning"), "all", 0, None, "beginning");
    assert_eq!(received(&all), 300);
    assert_eq!(all.options["config"]["auto.offset.reset"], "earliest");
    assert_eq!(bench.print(&format!("--topic t {file}")), b"");
    assert!(!bench.print(&format!("--topic t {file} --from beginning")).is_empty());
}

#[test]
fn recorded_options_are_those_in_force() {
    let bench = Bench::with_topics(&[("t", 1)]);
    bench.sandbox.write("p.properties", "enable.idempotence=true\nacks=-1\ngroup.id=g\n");
    let args = "fill -n 100 --topic t --properties p.properties --linger 9ms --config linger.ms=2 \
                --batch-size 5000";
    let options = bench.measure(args, "filled", 0).options;
    for (option, value) in
        [("idempotent", "true"), ("acks", "all"), ("linger", "2ms"), ("batch-size", "5000")]
    {
        assert_eq!(options[option], value, "{option}");
    }
    let config = &options["config"];
    assert_eq!(config["batch.size"], "5000");
    assert_eq!(config["linger.ms"], "2");
    assert_eq!(config["max.in.flight.requests.per.connection"], "5");
    assert_eq!(config.get("group.id"), None, "there was no consumer");

    let servers = bench.broker.bootstrap_servers();
    let args = format!("-n 100 --topic t {SESSION} --config bootstrap.servers={servers}");
    let output = bench.sandbox.run(&format!("{args} --bootstrap-servers 127.0.0.1:1"));
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(bench.sandbox.document("results").options["bootstrap-servers"], servers);
}

#[test]
fn servers_with_ipv6_addresses_are_reached() {
    let bench = Bench::with_topics(&[("t", 1)]);
    let listener = match TcpListener::bind("[::1]:0") {
        Ok(listener) => listener,
        Err(error) => return bench_testing::skip("IPv6 addresses", &error.to_string()),
    };
    let address = listener.local_addr().expect("an address");
    let target = bench.broker.bootstrap_servers().to_owned();
    std::thread::spawn(move || relay(&listener, &target));
    let args = format!("send --topic t --bootstrap-servers {address}");
    let output = ToolOutput::of_input(bench.sandbox.command(&args), "hello\n");
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(bench.print("--topic t"), b"hello\n");
}

/// Relays connections from `listener` to `target`, in both directions.
fn relay(listener: &TcpListener, target: &str) {
    for client in listener.incoming() {
        let client = client.expect("a connection");
        let server = TcpStream::connect(target).expect("the broker listens");
        for (from, to) in [(&client, &server), (&server, &client)] {
            let (mut from, mut to) =
                (from.try_clone().expect("a handle"), to.try_clone().expect("a handle"));
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
        }
    }
}

#[test]
fn following_waits_and_stops_at_its_limits() {
    let bench = Bench::with_topics(&[("t", 1), ("silent", 1)]);
    let follow = bench.with_servers("drain --topic t --follow -n 3000 --drain-timeout 0s");
    let sandbox = &bench.sandbox;
    std::thread::scope(|scope| {
        let output = scope.spawn(move || sandbox.run(&follow));
        bench.measure("fill -n 3000 --rate 2k/s --topic t", "filled", 0);
        let output = output.join().expect("it ends");
        assert_eq!(output.code, 0, "{output:?}");
    });
    let followed = sandbox.document("results");
    assert_eq!((received(&followed), audit(&followed).lost), (3_000, 0));
    let timed = bench.measure("drain --topic silent --follow --duration 300ms", "timed", 3);
    assert_eq!(received(&timed), 0);
    // Following ends when all that must come is there.
    let sent = bench.sandbox.run_folder("filled");
    let followed =
        bench.measure(&format!("drain --topic t --follow --from-run {}", sent.display()), "all", 0);
    assert_eq!((received(&followed), audit(&followed).against), (3_000, AuditBasis::Acked));
}

#[test]
fn expected_messages_are_required() {
    let bench = Bench::with_topics(&[("t", 2)]);
    bench.measure("fill -n 1000 --topic t", "filled", 0);
    let all = bench.measure("drain --topic t --expected 1000", "all", 0);
    assert_eq!((audit(&all).against, audit(&all).received), (AuditBasis::Expected, 1_000));
    let short = bench.measure("drain --topic t --expected 1001 --drain-timeout 1s", "short", 3);
    assert_eq!((audit(&short).received, audit(&short).lost), (1_000, 1));
    assert_eq!(reasons(&short), &["1 of the messages expected were not received"]);
    let followed = bench.measure("drain --topic t --follow --expected 1000", "followed", 0);
    assert_eq!(audit(&followed).received, 1_000);
    let stopped = bench.measure("drain --topic t -n 1001 --drain-timeout 1s", "stopped", 0);
    assert_eq!((received(&stopped), audit(&stopped).lost), (1_000, 0), "nothing was expected");
}

#[test]
fn drains_can_start_late_and_stop_early() {
    let bench = Bench::with_topics(&[("t", 1)]);
    bench.measure("fill -n 5000 --topic t", "filled", 0);
    assert_eq!(received(&bench.measure("drain --topic t --from latest", "latest", 3)), 0);
    // The whole batch that reaches the number is counted.
    let some = received(&bench.measure("drain --topic t -n 10", "some", 0));
    assert!((10..5_000).contains(&some), "{some}");
}

#[test]
fn lines_are_sent_and_printed_unchanged() {
    let bench = Bench::with_topics(&[("t", 1)]);
    let input = b"k:hello\n\nno key\n:empty key\nk:a:b\ncarriage return\r\n\xff\xfe\nlast";
    bench.send("--topic t --key-separator :", input);
    let printed = bench.print("--topic t --key-separator :");
    let expected = b"k:hello\n\nno key\n:empty key\nk:a:b\ncarriage return\n\xff\xfe\nlast\n";
    assert_eq!(printed.escape_ascii().to_string(), expected.escape_ascii().to_string());
    let values = b"hello\n\nno key\nempty key\na:b\ncarriage return\n\xff\xfe\nlast\n";
    assert_eq!(bench.print("--topic t"), values);
    assert_eq!(bench.print("--topic t -n 3"), b"hello\n\nno key\n");
    assert_eq!(bench.print("--topic t --from latest"), b"");
}

#[test]
fn null_and_empty_differ_in_both_directions() {
    let bench = Bench::with_topics(&[("t", 1)]);
    let input = "k\tNIL\nk\t\nNIL\tv\n\tv\nNIL\tNIL\nNILS\tnull\n";
    bench.send(r"--topic t --key-separator \t --null-marker NIL", input);
    let text = |args: &str| String::from_utf8(bench.print(args)).expect("text");
    assert_eq!(text(r"--topic t --key-separator \t --null NIL"), input);
    assert_eq!(text("--topic t"), "null\n\nv\nv\nnull\nnull\n");
    assert_eq!(text(r"--topic t -n 4 --key-separator \x1f"), "k\x1fnull\nk\x1f\nv\n\x1fv\n");
}

#[test]
fn show_prints_partition_offset_time_and_headers() {
    let bench = Bench::with_topics(&[("t", 1)]);
    bench.send("--topic t --key-separator :", "k:v\n");
    let servers = bench.broker.bootstrap_servers();
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", servers).create().expect("a producer");
    let headers = OwnedHeaders::new()
        .insert(Header { key: "a", value: Some("1,2") })
        .insert(Header { key: "b", value: None::<&str> });
    let record = BaseRecord::<(), str>::to("t").payload("w").headers(headers).timestamp(1_234);
    producer.send(record).map_err(|(error, _)| error).expect("queued");
    producer.flush(Duration::from_secs(30)).expect("sent");
    let shown =
        bench.print("--topic t --key-separator : --show headers,offset,timestamp,partition");
    let shown = String::from_utf8(shown).expect("text");
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].starts_with("CreateTime:"), "{shown}");
    assert!(lines[0].ends_with("\tPartition:0\tOffset:0\tNO_HEADERS\tk:v"), "{shown}");
    assert_eq!(lines[1], "CreateTime:1234\tPartition:0\tOffset:1\ta:1\\x2c2,b:null\tw");
}

#[test]
fn many_lines_keep_their_order() {
    let bench = Bench::with_topics(&[("t", 1)]);
    let lines = (0..30_000).map(|line| format!("line {line}")).collect::<Vec<_>>().join("\n");
    bench.send("--topic t", lines.as_str());
    assert!(bench.print("--topic t") == (lines + "\n").as_bytes());
}

#[test]
fn messages_of_other_tools_count_as_corrupt() {
    let bench = Bench::with_topics(&[("t", 1)]);
    bench.measure("fill -n 100 --topic t", "filled", 0);
    bench.send("--topic t", "junk\n\n{\"not\": \"ours\"}\n");
    let folder = bench.sandbox.run_folder("filled");
    let args = format!("drain --topic t --from-run {}", folder.display());
    let drained = bench.measure(&args, "drained", 3);
    let audit = audit(&drained);
    assert_eq!((audit.received, audit.lost, audit.corrupt), (100, 0, 3));
    assert!(reasons(&drained)[0].starts_with("3 messages"), "{:?}", reasons(&drained));

    let raw = bench.measure("drain --topic t --raw", "raw", 0);
    assert_eq!((received(&raw), &raw.summary.as_ref().expect("figures").audit), (103, &None));
}

#[test]
fn queries_read_messages_of_other_tools() {
    let bench = Bench::with_topics(&[("books", 2)]);
    let books = "\
{\"author\": \"Austen\", \"price\": 10.5}
{\"author\": \"Austen\", \"price\": \"20.5\"}
{\"author\": \"Brontë\", \"price\": 30}
no JSON
";
    bench.send("--topic books --keep-partitions", books);
    for reading in ["-c 2", "--group readers"] {
        let args = format!("drain --topic books {reading} {SESSION} --query price");
        let output = bench.run(&format!("{args} --group-by author --output json"));
        assert_eq!(output.code, 0, "{reading}: {output:?}");
        let answer = output.json();
        assert_eq!((&answer["topic"], &answer["status"]), (&"books".into(), &"complete".into()));
        assert_eq!(
            (&answer["records"], &answer["skipped"]["not_an_object"]),
            (&4.into(), &1.into())
        );
        assert_eq!((&answer["all"]["sum"], &answer["all"]["max"]), (&61.0.into(), &30.0.into()));
        assert_eq!(answer["groups"][0]["sum"], 31.0, "{answer}");
    }
    let output = bench.run("drain --topic books --query price -n 3 --stats count --output csv");
    assert!(output.code == 0 && output.stdout.contains("\nall,,"), "{output:?}");
    assert_eq!(bench.sandbox.entries(), [""; 0], "a query leaves nothing behind");
    let drained = bench.measure("drain --topic books", "drained", 3);
    assert!(reasons(&drained)[0].ends_with("use --raw, or --query FIELD"), "{drained:?}");
}

#[test]
fn from_run_makes_other_runs_foreign() {
    let bench = Bench::with_topics(&[("t", 1)]);
    let first = bench.measure("fill -n 300 --topic t", "first", 0);
    let second = bench.measure("fill -n 200 --topic t", "second", 0);
    let folder = bench.sandbox.run_folder("first");
    let args = format!("drain --topic t --from-run {}", folder.display());
    let drained = bench.measure(&args, "drained", 0);
    let (of_one, all) = (audit(&drained), bench.measure("drain --topic t", "all", 0));
    assert_eq!((of_one.received, of_one.lost, of_one.foreign), (300, 0, 200));

    assert_eq!((audit(&all).against, audit(&all).foreign), (AuditBasis::Sequences, 0));
    let streams = audit(&all).producers.iter().map(|p| (p.run_id.clone(), p.received));
    let mut expected = vec![(first.run_id, 300), (second.run_id, 200)];
    expected.sort();
    assert_eq!(streams.collect::<Vec<_>>(), expected);
}

#[test]
fn old_messages_are_ignored_when_producing_and_consuming() {
    let bench = Bench::with_topics(&[("t", 2)]);
    bench.measure("fill -n 1000 -p 2 --topic t", "filled", 0);
    for (args, results) in [
        ("-n 2000 -p 2 -c 2 --topic t", "group"),
        ("-n 2000 -p 2 -c 2 --topic t --no-group", "no-group"),
        ("-n 2000 --topic t --group g", "named"),
    ] {
        let document = bench.measure(&format!("{args} {SESSION}"), results, 0);
        assert_eq!((received(&document), audit(&document).foreign), (2_000, 0), "{args}");
        assert_eq!(document.services[0].origin, ServiceOrigin::External);
    }
}

#[test]
fn missing_topics_and_partitions_are_reported() {
    let bench = Bench::with_topics(&[("narrow", 1)]);
    let args = format!("-n 1000 -p 2 -c 2 --topic narrow --keep-partitions {SESSION}");
    let document = bench.measure(&args, "narrow", 0);
    let expected = "topic 'narrow' has 1 partitions; 2 are needed";
    assert!(document.warnings[0].starts_with(expected), "{:?}", document.warnings);
    let drained = bench.measure("drain --topic narrow -c 3", "drained", 0);
    assert!(
        drained.warnings[0].starts_with("using 1 consumers instead of 3"),
        "{:?}",
        drained.warnings
    );
    for mode in ["drain", "print"] {
        let output = bench.run(&format!("{mode} --topic missing"));
        assert_eq!((output.code, output.stderr.lines().count()), (1, 1), "{output:?}");
        assert!(output.stderr.contains("topic 'missing' does not exist"), "{output:?}");
    }
    assert_eq!(bench.sandbox.entries(), ["drained", "narrow"], "nothing else was created");
}
