//! Parsing of the command line, and errors for wrong options.

use std::time::{Duration, Instant};

use bench_record::Status;
use bench_testing::tool::{Sandbox, ToolOutput};

use crate::TOOL;

/// The options that `run-suite` sets and its experiments sweep.
const DRIVEN_OPTIONS: [&str; 12] = [
    "acks",
    "batch-size",
    "bootstrap-servers",
    "compression",
    "consumers",
    "duration",
    "linger",
    "messages",
    "partitions",
    "producers",
    "rate",
    "record-size",
];

#[test]
fn command_lines_of_the_old_driver_still_run() {
    for args in [
        "-n 40000 -r 50 -b 1048576 -p 2 -c 2",
        "--num_records 40000 --record_size 50 --batch_size 1048576 --num_producers 2 \
         --num_consumers 2",
        "--num_records=40000 --record_size=50 --batch_size=1048576 --num_producers=2 \
         --num_consumers=2",
    ] {
        let sandbox = Sandbox::new(TOOL);
        let output = sandbox.run(args);
        assert_eq!(output.code, 0, "{args}: {output:?}");
        let document = sandbox.document("results");
        assert_eq!(document.status, Status::Complete, "{args}");
        for (option, value) in [
            ("messages", "40000"),
            ("record-size", "50"),
            ("batch-size", "1048576"),
            ("producers", "2"),
            ("consumers", "2"),
            ("topic", "roundtrip_benchmark"),
        ] {
            assert_eq!(document.options[option], value, "{args}: {option}");
        }
        let summary = document.summary.expect("figures");
        let produced = summary.produced.expect("it sent");
        assert_eq!((produced.acked, produced.acked_bytes), (40_000, 40_000 * 50), "{args}");
        let audit = summary.audit.expect("an audit");
        let acked: Vec<_> = audit.producers.iter().map(|producer| producer.acked).collect();
        assert_eq!((acked.as_slice(), audit.lost), (&[20_000; 2][..], 0), "{args}");
    }
}

/// Runs a command line that must be refused: exit code 2, nothing on standard output, nothing
/// created. `in_the_way` is a file.
fn refused(args: &str) -> ToolOutput {
    let sandbox = Sandbox::new(TOOL);
    std::fs::write(sandbox.path().join("in_the_way"), "").expect("written");
    let output = sandbox.run(args);
    assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{args}: {output:?}");
    assert!(output.stderr.starts_with("error: "), "{args}: {output:?}");
    assert_eq!(sandbox.entries(), ["in_the_way"], "{args}");
    output
}

#[test]
fn invalid_options_are_refused_with_a_remedy() {
    // The arguments, the option and the remedy.
    for (args, option, remedy) in [
        ("--lingr 5ms", "--lingr", "'--linger'"),
        ("--rate 0", "--rate", "leave the option out to send as fast as possible"),
        ("--rate fast", "--rate", "write it like 1000, 10k/s or 2.5M/s"),
        ("-p 0", "--producers", "1..=1000"),
        ("-c 1001", "--consumers", "1..=1000"),
        ("--partitions 0", "--partitions", "1.."),
        ("--schedule wavy", "--schedule", "poisson"),
        ("--key zipf", "--key", "zipf:K"),
        ("--key uniform:0", "--key", "use at least 1, or no keys"),
        ("--acks 2", "--acks", "0, 1, all"),
        ("--compression brotli", "--compression", "lz4, zstd"),
        ("--timeout 0s", "--timeout", "at most 1h"),
        ("-n 5 --duration 5s", "--messages", "--duration"),
        ("--group g --no-group", "--group", "--no-group"),
        ("--transaction-size 10", "--transaction-size", "--transactional"),
        ("drain --from-run x --raw", "--from-run", "--raw"),
        ("drain --query price --raw", "--query", "--raw"),
        ("drain --query price --from-run x", "--query", "--from-run"),
        ("drain --query price --exactly-once", "--query", "--exactly-once"),
        ("drain --query price --kill-consumer 1@1s", "--query", "--kill-consumer"),
        ("drain --query price --land mysql", "--query", "--land"),
        ("drain --group-by author", "--query", "--help"),
        ("--land redis", "--land", "dynamodb, mysql"),
        ("-db redis", "--land", "dynamodb, mysql"),
        ("--table t", "--table", "--land"),
        ("--land mysql --land-rows 5001", "--land-rows", "1..=5000"),
        ("--bootstrap-servers x:1 drain", "'drain'", "kafka-prodcon <COMMAND>"),
        ("drian", "drian", "'drain'"),
    ] {
        let output = refused(args);
        for needle in [option, remedy] {
            assert!(output.stderr.contains(needle), "{args}: {output:?}");
        }
    }
}

#[test]
fn conflicting_options_give_one_line_with_remedy() {
    for (args, option, remedy) in [
        ("-r 39", "--record-size: ", "the smallest size is 40 bytes"),
        ("-r 100 --format json", "--record-size: ", "the smallest size is"),
        ("-r 3MiB", "--record-size: ", "or a server with --bootstrap-servers"),
        ("-n 0", "--messages: ", "use at least 1"),
        ("-db mysql", "--mysql-url: ", "set it here or in MYSQL_URL"),
        ("-db mysql --mysql-url x", "--mysql-url: ", "use mysql://USER:PASSWORD@HOST"),
        ("-db=dynamodb --land-rows 26", "--land-rows: ", "use fewer"),
        ("-db dynamodb --table a/b", "--table: ", "use 3 to 255"),
        ("-db dynamodb -r 400KiB", "--record-size: ", "or --land mysql"),
        ("--duration 0s", "--duration: ", "use a time like 30s"),
        ("-b 0", "--batch-size: ", "use 1 to 2147483647 bytes"),
        ("--linger 16m", "--linger: ", "use at most 15m"),
        ("--interval 1ms", "--interval: ", "use at least 10ms"),
        ("--schedule poisson", "--schedule: ", "as in --rate 10k/s"),
        ("--acks 1 --idempotent", "--acks: ", "--acks all"),
        ("--acks 0 --transactional", "--acks: ", "--acks all"),
        ("--config linger.ms", "'linger.ms'", "--config KEY=VALUE"),
        ("--config lingr.ms=5", "lingr.ms (--config)", "did you mean linger.ms?"),
        ("--config linger.ms=soon", "linger.ms (--config)", "linger.ms"),
        ("--config ssl.truststore.location=x", "(--config)", "use ssl.ca.location"),
        ("--config sasl.username=u", "sasl.username (--config)", "security.protocol="),
        ("--properties missing.properties", "missing.properties", "with --properties"),
        ("--properties in_the_way/x", "in_the_way/x", "with --properties"),
        ("--results-dir in_the_way", "--results-dir: ", "choose another folder"),
        ("fill", "--bootstrap-servers: fill ", "KAFKA_BOOTSTRAP_SERVERS"),
        ("drain", "--bootstrap-servers: drain ", "KAFKA_BOOTSTRAP_SERVERS"),
        ("send", "--bootstrap-servers: send ", "KAFKA_BOOTSTRAP_SERVERS"),
        ("print", "--bootstrap-servers: print ", "KAFKA_BOOTSTRAP_SERVERS"),
        ("drain -n 0", "--messages: ", "use at least 1"),
        ("drain --from-run nowhere", "--from-run: ", "the result folder of a run"),
    ] {
        let output = refused(args);
        assert_eq!(output.stderr.lines().count(), 1, "{args}: {output:?}");
        for needle in [option, remedy] {
            assert!(output.stderr.contains(needle), "{args}: {output:?}");
        }
    }
}

#[test]
fn separators_with_bad_escapes_are_refused() {
    for mode in ["send", "print"] {
        for separator in [r"\q", r"\x1", r"a\"] {
            let args =
                format!("{mode} --bootstrap-servers 127.0.0.1:1 --key-separator {separator}");
            let output = Sandbox::new(TOOL).run(&args);
            assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{args}: {output:?}");
            for needle in ["--key-separator", r"write \t, \n"] {
                assert!(output.stderr.contains(needle), "{args}: {output:?}");
            }
        }
    }
}

#[test]
fn unknown_host_names_are_named_in_errors() {
    let sandbox = Sandbox::new(TOOL);
    let output = sandbox.run("print --bootstrap-servers no-such-host.invalid:9092 --timeout 1s");
    assert_eq!((output.code, output.stderr.lines().count()), (1, 1), "{output:?}");
    for needle in ["host name 'no-such-host.invalid' not found", "--bootstrap-servers"] {
        assert!(output.stderr.contains(needle), "{output:?}");
    }
    assert!(!output.stderr.contains("in state"), "{output:?}");
}

#[test]
fn missing_brokers_are_named_and_nothing_is_created() {
    for (args, time) in
        [("", "2s"), ("fill", "500ms"), ("drain", "500ms"), ("send", "500ms"), ("print", "500ms")]
    {
        let sandbox = Sandbox::new(TOOL);
        let mut tool = sandbox.command(args);
        tool.args(["--bootstrap-servers", "127.0.0.1:1", "--timeout", time]);
        let started = Instant::now();
        let output = ToolOutput::of(tool);
        assert!(started.elapsed() < Duration::from_secs(5), "{args}: {output:?}");
        assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{args}: {output:?}");
        assert_eq!(output.stderr.lines().count(), 1, "{args}: {output:?}");
        let address = format!("127.0.0.1:1 within {time}");
        for needle in [address.as_str(), "refused", "--bootstrap-servers"] {
            assert!(output.stderr.contains(needle), "{args}: {output:?}");
        }
        assert_eq!(sandbox.entries(), [""; 0], "{args}");
    }
}

#[test]
fn options_override_properties_and_properties_the_environment() {
    let sandbox = Sandbox::new(TOOL);
    let properties = "bootstrap.servers=127.0.0.1:2\n";
    std::fs::write(sandbox.path().join("client.properties"), properties).expect("written");
    let named = |args: &str, environment: Option<&str>| {
        let mut tool = sandbox.command("drain --timeout 200ms");
        tool.args(args.split_whitespace());
        if let Some(servers) = environment {
            tool.env("KAFKA_BOOTSTRAP_SERVERS", servers);
        }
        let output = ToolOutput::of(tool);
        assert_eq!(output.code, 1, "{output:?}");
        let (_, rest) = output.stderr.split_once("broker at ").expect("it names the servers");
        rest.split(' ').next().map(str::to_owned).expect("an address")
    };
    let file = "--properties client.properties";
    assert_eq!(named("", Some("127.0.0.1:3")), "127.0.0.1:3");
    assert_eq!(named(file, Some("127.0.0.1:3")), "127.0.0.1:2");
    let option = format!("{file} --bootstrap-servers 127.0.0.1:4");
    assert_eq!(named(&option, Some("127.0.0.1:3")), "127.0.0.1:4");
    let overridden = format!("{option} --config bootstrap.servers=127.0.0.1:5");
    assert_eq!(named(&overridden, Some("127.0.0.1:3")), "127.0.0.1:5");
}

#[test]
fn generated_options_describe_every_mode() {
    let sandbox = Sandbox::new(TOOL);
    let output = sandbox.run("--generate options");
    assert_eq!(output.code, 0, "{output:?}");
    let document: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
    assert_eq!(document["tool"], "kafka-prodcon");
    let names = |options: &serde_json::Value| -> Vec<String> {
        let options = options.as_array().expect("a list");
        options.iter().map(|o| o["name"].as_str().expect("a name").to_owned()).collect()
    };
    let combined = names(&document["options"]);
    let fill = names(&document["subcommands"]["fill"]);
    for name in DRIVEN_OPTIONS {
        assert!(combined.iter().any(|other| other == name), "{name} in {combined:?}");
        let only_combined = name == "consumers";
        assert_eq!(fill.iter().any(|other| other == name), !only_combined, "{name} in {fill:?}");
    }
    for options in [&combined, &fill, &names(&document["subcommands"]["drain"])] {
        for name in ["run-dir", "output", "interval", "config", "timeout"] {
            assert!(options.iter().any(|other| other == name), "{name} in {options:?}");
        }
    }
    for option in document["options"].as_array().expect("a list") {
        assert!(option["takes_value"].is_boolean() && option["help"].is_string(), "{option}");
    }
}

#[test]
fn help_shows_examples_and_exit_codes() {
    let sandbox = Sandbox::new(TOOL);
    let help = sandbox.run("--help");
    assert_eq!((help.code, help.stderr.as_str()), (0, ""), "{help:?}");
    for needle in [
        "Examples:\n  kafka-prodcon -n 100000 -r 100 ",
        "kafka-prodcon drain --topic t --from-run ",
        "Exit codes: 0 good; 1 failed; 2 bad usage; 3 the run is INVALID",
        "[env: KAFKA_BOOTSTRAP_SERVERS]",
        "[default: roundtrip_benchmark]",
    ] {
        assert!(help.stdout.contains(needle), "{needle}: {help:?}");
    }
    for hidden in ["run-dir", "num_records", "embedded-kafka"] {
        assert!(!help.stdout.contains(hidden), "{hidden}: {help:?}");
    }
    for (mode, option) in [
        ("fill", "--transactional"),
        ("drain", "--from-run"),
        ("send", "--key-separator"),
        ("print", "--follow"),
    ] {
        let output = sandbox.run(&format!("{mode} --help"));
        assert_eq!(output.code, 0, "{output:?}");
        assert!(output.stdout.contains(option), "{mode}: {output:?}");
    }
    let version = sandbox.run("--version");
    assert_eq!(version.stdout, format!("kafka-prodcon {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(sandbox.entries(), [""; 0]);
}

#[test]
fn conflicting_producer_settings_are_refused() {
    for args in [
        "--idempotent --requests-in-flight 6",
        "--idempotent --config max.in.flight=6",
        "--transactional --config acks=1",
    ] {
        let output = refused(args);
        assert!(output.stderr.contains(" conflicts with "), "{args}: {output:?}");
        assert!(output.stderr.contains(" must be "), "{args}: {output:?}");
        assert_eq!(output.stderr.lines().count(), 1, "{args}: {output:?}");
    }
}

/// Nothing listens there: errors must come before connecting.
const NOWHERE: &str = "--bootstrap-servers 127.0.0.1:1 --timeout 1m";

#[test]
fn conflicts_name_both_settings_before_connecting() {
    let id = "transactional.id=t (--config)";
    let session = "session.timeout.ms=400000 (--config)";
    for (args, first, second) in [
        ("--linger 6m", "linger.ms=360000 (--linger)", "delivery.timeout.ms=300000 (the default)"),
        ("--linger 40s", "--grace: 30s", "linger.ms=40000 (--linger)"),
        ("--config linger.ms=2000 --grace 1s", "--grace: 1s", "linger.ms=2000 (--config)"),
        ("--config transactional.id=t", "--transactional", id),
        ("--transactional -p 2 --config transactional.id=t", "--producers: 2", id),
        (
            "--transactional --linger 2m --grace 5m",
            "linger.ms=120000 (--linger)",
            "transaction.timeout.ms=60000 (the default)",
        ),
        (
            "--idempotent --config acks=1",
            "acks=1 (--config)",
            "enable.idempotence=true (--idempotent)",
        ),
        (
            "--config enable.idempotence=true --config retries=0",
            "retries=0 (--config)",
            "enable.idempotence=true (--config)",
        ),
        (
            "--acks 1 --config enable.idempotence=true",
            "acks=1 (--acks)",
            "enable.idempotence=true (--config)",
        ),
    ] {
        for mode in ["", "fill"] {
            let output = refused(&format!("{mode} {args} {NOWHERE}"));
            assert_eq!(output.stderr.lines().count(), 1, "{args}: {output:?}");
            for needle in [first, second] {
                assert!(output.stderr.contains(needle), "{mode} {args}: {output:?}");
            }
        }
    }
    for (args, first, second) in [
        (
            "--config session.timeout.ms=400000",
            session,
            "max.poll.interval.ms=300000 (the default)",
        ),
        ("--config fetch.max.bytes=7", "fetch.max.bytes=7 (--config)", "message.max.bytes=1000000"),
        (
            "-r 2000 --config queue.buffering.max.kbytes=1",
            "--record-size: ",
            "queue.buffering.max.kbytes=1 (--config)",
        ),
        ("--no-group --config group.id=g", "--no-group", "group.id=g (--config)"),
        ("-c 2 --config group.instance.id=m", "--consumers: 2", "group.instance.id=m (--config)"),
        (
            "drain --group g -c 2 --config group.instance.id=m",
            "--consumers: 2",
            "group.instance.id=m",
        ),
        ("drain --config enable.auto.commit=true", "--group", "enable.auto.commit=true (--config)"),
        ("print --config session.timeout.ms=400000", session, "max.poll.interval.ms"),
        ("send --config transactional.id=t", "send", id),
        (
            "send --config queue.buffering.max.kbytes=9",
            "send: messages of up to 1000000 bytes",
            "queue.buffering.max.kbytes=9 (--config)",
        ),
        ("send --config linger.ms=30000", "send: 30s", "linger.ms=30000 (--config)"),
        ("send --config acks=1 --config enable.idempotence=1", "acks=1", "enable.idempotence=1"),
    ] {
        let output = refused(&format!("{args} {NOWHERE}"));
        assert_eq!(output.stderr.lines().count(), 1, "{args}: {output:?}");
        for needle in [first, second] {
            assert!(output.stderr.contains(needle), "{args}: {output:?}");
        }
    }
}

#[test]
fn reserved_settings_cannot_be_overridden() {
    for (setting, remedy) in [
        ("enable.partition.eof=false", "--follow"),
        ("enable.auto.offset.store=true", "remove it"),
        ("delivery.report.only.error=true", "remove it"),
        ("log.queue=true", "remove it"),
        ("internal.termination.signal=2", "remove it"),
        ("offset.store.method=none", "remove it"),
        ("topic.blacklist=^t", "remove it"),
    ] {
        for mode in ["", "fill", "drain", "send", "print"] {
            let output = refused(&format!("{mode} --config {setting} {NOWHERE}"));
            let expected = format!("error: {setting} (--config) cannot be set: ");
            assert!(output.stderr.starts_with(&expected), "{mode} {setting}: {output:?}");
            assert!(output.stderr.contains(remedy), "{setting}: {output:?}");
            assert_eq!(output.stderr.lines().count(), 1, "{setting}: {output:?}");
        }
    }
    let output = refused("-n 10 --config fetch.wait.max.ms=60000");
    assert!(output.stderr.contains("fetch.wait.max.ms=60000 (--config)"), "{output:?}");
}

#[test]
fn servers_from_every_origin_are_checked() {
    let sandbox = Sandbox::new(TOOL);
    for (servers, expected) in [
        ("127.0.0.1:95566", "use a port from 1 to 65535"),
        ("a:0", "use a port from 1 to 65535"),
        ("a:b", "use a port from 1 to 65535"),
        ("a:1,,b:2", "remove the extra comma"),
        ("http://a:1", "write HOST:PORT"),
        ("a", "a:9092"),
        ("::1:9092", "[::1]:9092"),
    ] {
        for mode in ["", "fill", "drain", "send", "print"] {
            for option in ["--bootstrap-servers ", "--config bootstrap.servers="] {
                let output = refused(&format!("{mode} {option}{servers}"));
                assert!(output.stderr.contains(expected), "{mode} {option}{servers}: {output:?}");
                let origin = option.split([' ', '=']).next().expect("a name");
                assert!(output.stderr.contains(&format!("({origin})")), "{output:?}");
            }
        }
        let mut tool = sandbox.command("-n 10");
        tool.env("KAFKA_BOOTSTRAP_SERVERS", servers);
        let output = ToolOutput::of(tool);
        assert_eq!(output.code, 2, "{output:?}");
        assert!(output.stderr.contains("variable KAFKA_BOOTSTRAP_SERVERS)"), "{output:?}");
        for name in ["bootstrap.servers", "metadata.broker.list"] {
            sandbox.write("client.properties", &format!("acks=1\n{name}={servers}\n"));
            let output = sandbox.run("-n 10 --properties client.properties");
            assert_eq!(output.code, 2, "{output:?}");
            assert!(output.stderr.contains("(client.properties, line 2): "), "{output:?}");
            assert!(output.stderr.contains(expected), "{output:?}");
        }
    }
    assert_eq!(sandbox.entries(), ["client.properties"]);
    let mut tool = sandbox.command("-n 10");
    tool.args(["--bootstrap-servers", ""]);
    let output = ToolOutput::of(tool);
    assert_eq!(output.code, 2, "an empty list is not the embedded broker: {output:?}");
}

#[test]
fn java_properties_are_refused_with_file_and_line() {
    let sandbox = Sandbox::new(TOOL);
    for (line, expected) in [
        ("schema.registry.url=http://r", "remove it"),
        ("value.serializer=x", "remove it: the tools send bytes"),
        ("default.api.timeout.ms=5000", "--timeout"),
        ("ssl.truststore.location=/c/ca.jks", "keytool -list -rfc -keystore ca.jks"),
        ("sasl.jaas.config=x", "sasl.jaas.config"),
    ] {
        sandbox.write("client.properties", &format!("# one\n{line}\n"));
        let output = sandbox.run(&format!("--properties client.properties {NOWHERE}"));
        assert_eq!((output.code, output.stderr.lines().count()), (2, 1), "{line}: {output:?}");
        let name = line.split('=').next().expect("a name");
        assert!(
            output.stderr.contains(&format!("{name} (client.properties, line 2)")),
            "{output:?}"
        );
        assert!(output.stderr.contains(expected), "{line}: {output:?}");
    }
    std::fs::write(sandbox.path().join("client.properties"), b"a=1\nb=\xff\n").expect("written");
    let output = sandbox.run(&format!("--properties client.properties {NOWHERE}"));
    assert_eq!((output.code, output.stderr.lines().count()), (2, 1), "{output:?}");
    assert!(output.stderr.contains("client.properties, line 2: it is not UTF-8"), "{output:?}");
    let output = sandbox.run("--properties missing.properties");
    assert!(output.stderr.contains("missing.properties: no such file"), "{output:?}");
    assert_eq!(sandbox.entries(), ["client.properties"]);
}

#[test]
fn clients_beyond_a_limit_are_refused_early() {
    for (limit, args, expected) in [
        ("ulimit -n 300", "-p 100 -c 100", "1,400 open files, but the open file limit"),
        ("ulimit -v 4000000", "-p 500 -c 500", "of address space, but ulimit -v leaves"),
    ] {
        let sandbox = Sandbox::new(TOOL);
        let output = sandbox.run_limited(limit, args);
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{limit}: {output:?}");
        assert!(output.stderr.starts_with("error: --producers, --consumers: "), "{output:?}");
        assert!(
            output.stderr.contains(expected) && output.stderr.contains("; use fewer, or "),
            "{output:?}"
        );
        assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
        assert_eq!(sandbox.entries(), <[&str; 0]>::default(), "{limit}");
    }
}

#[test]
fn soft_file_limits_are_raised_for_clients() {
    let sandbox = Sandbox::new(TOOL);
    let output = sandbox.run_limited("ulimit -Sn 64", "-n 1000 -p 10 -c 10");
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(sandbox.document("results").status, Status::Complete);
}
