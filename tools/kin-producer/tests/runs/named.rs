//! Runs on an existing Kinesis: acknowledged messages are in the stream, byte for byte.

use std::time::Duration;

use bench_kinesis::admin::{self, Capacity};
use bench_record::{ServiceOrigin, Status};
use bench_testing::tool::{Sandbox, ToolOutput};

use crate::TOOL;
use crate::kinesis::{Kinesis, acked, count};

const READY: Duration = Duration::from_secs(30);

#[test]
fn all_put_modes_store_every_message() {
    let kinesis = Kinesis::start(false);
    for (index, way) in [
        "-n 3000 -p 2",
        "-n 3000 --rate 5k/s --format json -r 300",
        "-n 3001 -a 5000 --key zipf:20",
        "-n 3001 -p 3 -a 50000 -r uniform:40..2000 --explicit-hash-keys",
        "-n 200 --put record",
        "-n 201 --put record --in-flight 1 -a 300",
        "-n 2000 --batch-records 7 --batch-size 900 --linger 0s",
    ]
    .iter()
    .enumerate()
    {
        let sandbox = Sandbox::new(TOOL);
        let stream = format!("s{index}");
        let output = kinesis.run(&sandbox, &format!("--stream {stream} --create --shards 3 {way}"));
        assert_eq!(output.code, 0, "{way}: {output:?}");
        let document = sandbox.document("results");
        assert_eq!(document.status, Status::Complete, "{way}");
        assert_eq!(document.services[0].origin, ServiceOrigin::External, "{way}");
        let acked = acked(&sandbox);
        assert_eq!(document.options["messages"], acked.len().to_string(), "{way}");
        assert!(kinesis.messages(&stream) == acked, "{way}");
    }
}

#[test]
fn throttled_shards_keep_acknowledged_messages() {
    let (kinesis, sandbox) = (Kinesis::start(true), Sandbox::new(TOOL));
    let output = kinesis.run(&sandbox, "--create --shards 1 --rate 3k/s -n 6000");
    assert_eq!(output.code, 0, "{output:?}");
    let document = sandbox.document("results");
    let (throttled, retried) =
        (count(&document, "records_throttled"), count(&document, "records_retried"));
    assert!(throttled > 100, "{throttled}");
    assert_eq!(throttled, retried);
    assert!(output.stdout.contains(" records throttled"), "{output:?}");
    let acked = acked(&sandbox);
    assert_eq!(acked.len(), 6_000);
    assert!(kinesis.messages("benchmark") == acked);
}

#[test]
fn abandoned_records_fail_with_their_reason() {
    let (kinesis, sandbox) = (Kinesis::start(true), Sandbox::new(TOOL));
    // Some are still being retried when the grace period ends: they stay unacknowledged.
    let args = "--create --rate 6k/s --duration 2s --grace 300ms --unanswered-max 100%";
    let output = kinesis.run(&sandbox, args);
    assert_eq!(output.code, 0, "{output:?}");
    let document = sandbox.document("results");
    let produced = document.summary.and_then(|summary| summary.produced).expect("figures");
    assert!(produced.failed > 0, "{produced:?}");
    let reasons: Vec<_> = produced.failures.keys().collect();
    assert_eq!(reasons, ["ProvisionedThroughputExceededException"]);
    assert!(kinesis.messages("benchmark") == acked(&sandbox));
}

#[test]
fn create_adds_tags_and_reshards_streams() {
    let kinesis = Kinesis::start(false);
    let shards = || {
        let open = admin::open_shards(&kinesis.client, "s");
        kinesis.runtime.block_on(open).expect("shards").len()
    };
    // The options, and the shards afterwards.
    for (args, expected) in [("--create", 1), ("--create --shards 3", 3), ("--create", 3), ("", 3)]
    {
        let sandbox = Sandbox::new(TOOL);
        let output = kinesis.run(&sandbox, &format!("--stream s -n 10 {args}"));
        assert_eq!(output.code, 0, "{args}: {output:?}");
        assert_eq!(shards(), expected, "{args}");
        assert_eq!(sandbox.document("results").options["shards"], expected.to_string(), "{args}");
    }
    let marked = admin::is_marked(&kinesis.client, "s");
    assert!(kinesis.runtime.block_on(marked).expect("tags"));
}

#[test]
fn missing_streams_are_named_and_nothing_is_created() {
    let (kinesis, sandbox) = (Kinesis::start(false), Sandbox::new(TOOL));
    let output = kinesis.run(&sandbox, "--stream nowhere");
    assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{output:?}");
    assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    for needle in ["--stream: stream 'nowhere' does not exist", "--create"] {
        assert!(output.stderr.contains(needle), "{output:?}");
    }
    assert_eq!(sandbox.entries(), [""; 0]);
}

#[test]
fn unsuitable_options_are_refused_before_creation() {
    let kinesis = Kinesis::start(false);
    for (args, option) in [
        ("--create -r 1048570", "--record-size: "),
        ("--create -a 2MiB", "--aggregate: "),
        ("--shards 2", "--shards: "),
        ("--on-demand", "--on-demand: "),
        ("--create --no-limits", "--no-limits: "),
    ] {
        let sandbox = Sandbox::new(TOOL);
        let output = kinesis.run(&sandbox, args);
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{args}: {output:?}");
        assert_eq!(output.stderr.lines().count(), 1, "{args}: {output:?}");
        assert!(output.stderr.contains(option), "{args}: {output:?}");
        assert_eq!(sandbox.entries(), [""; 0], "{args}");
    }
    let described = admin::describe(&kinesis.client, "benchmark");
    assert!(kinesis.runtime.block_on(described).is_err());
}

#[test]
fn records_of_the_maximum_size_are_accepted() {
    let (kinesis, sandbox) = (Kinesis::start(false), Sandbox::new(TOOL));
    let output = kinesis.run(&sandbox, "--create -n 12 -r 1048560");
    assert_eq!(output.code, 0, "{output:?}");
    assert!(kinesis.messages("benchmark") == acked(&sandbox));
}

#[test]
fn missing_servers_are_one_error_in_bounded_time() {
    let sandbox = Sandbox::new(TOOL);
    let mut command = sandbox.command("--endpoint-url http://127.0.0.1:1 --timeout 1s");
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    command.env("AWS_REGION", "us-east-1");
    let output = ToolOutput::of(command);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{output:?}");
    assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    for needle in ["describe stream 'benchmark'", "--endpoint-url"] {
        assert!(output.stderr.contains(needle), "{output:?}");
    }
    assert_eq!(sandbox.entries(), [""; 0]);
}

#[test]
fn missing_credentials_say_how_to_set_them() {
    let sandbox = Sandbox::new(TOOL);
    let output = sandbox.run("--endpoint-url http://127.0.0.1:1 --region us-east-1");
    assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{output:?}");
    assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    for needle in ["no credentials found", "AWS_ACCESS_KEY_ID"] {
        assert!(output.stderr.contains(needle), "{output:?}");
    }
}

#[test]
fn deleted_streams_end_runs_with_results() {
    let (kinesis, sandbox) = (Kinesis::start(false), Sandbox::new(TOOL));
    let create = admin::create(&kinesis.client, "benchmark", Capacity::Shards(1), READY);
    kinesis.runtime.block_on(create).expect("created");
    let run = kinesis.command(&sandbox, "--rate 500 --duration 20s");
    let ended = std::thread::spawn(move || ToolOutput::of(run));
    std::thread::sleep(Duration::from_secs(2));
    let delete = admin::delete(&kinesis.client, "benchmark", READY);
    kinesis.runtime.block_on(delete).expect("deleted");
    let output = ended.join().expect("it ends");
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("stream 'benchmark'"), "{output:?}");
    assert_eq!(sandbox.document("results").status, Status::Failed);
    assert!(acked(&sandbox).len() > 100);
}

#[test]
fn timings_have_a_line_per_message() {
    let (kinesis, sandbox) = (Kinesis::start(false), Sandbox::new(TOOL));
    let output = kinesis.run(&sandbox, "--create -n 500 --rate 2k/s --timings -p 2 -a 1000");
    assert_eq!(output.code, 0, "{output:?}");
    let text = std::fs::read_to_string(sandbox.run_folder("results").join("timings.csv"))
        .expect("timings");
    let mut rows = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = rows.next().expect("a header");
    let column = |name| header.iter().position(|column| *column == name).expect(name);
    let mut messages: Vec<(u16, u64)> = Vec::new();
    for row in rows {
        let number = |name| row[column(name)].parse::<f64>().expect(name);
        assert!(number("created_s") <= number("sent_s") && number("sent_s") <= number("done_s"));
        let latency_ms = (number("done_s") - number("created_s")) * 1e3;
        assert!((number("latency_ms") - latency_ms).abs() < 0.01, "{row:?}");
        assert_eq!(
            (row[column("confirmed")], row[column("shard")]),
            ("true", "shardId-000000000000")
        );
        let number = |name| row[column(name)].parse().expect(name);
        messages.push((u16::try_from(number("producer")).expect("small"), number("sequence")));
    }
    messages.sort_unstable();
    assert!(messages == acked(&sandbox));
}
