//! The tool on an embedded stream: latency and audit, statistics, ends and errors.

mod tool;

use bench_core::message::RunId;
use bench_record::{AuditBasis, Status, VerdictOutcome};
use bench_service_kinesis::stand_in::KinesisLimits;
use bench_testing::Silent;
use bench_testing::tool::{Running, ToolOutput, until};
use serde_json::Value;
use tool::{STREAM, Sandbox};

#[test]
fn runs_are_audited_against_acknowledged_messages() {
    let sandbox = Sandbox::new(3);
    let run = RunId::random();
    sandbox.put_messages(run, 0..2_000);
    let sent = sandbox.sent(run, 1_999);
    let output = sandbox.run(&format!("-c 2 --from-run {}", sent.display()));
    assert_eq!(output.code, 0, "{output:?}");
    let document = sandbox.document();
    assert_eq!(document.status, Status::Complete);
    let summary = document.summary.expect("figures");
    let audit = summary.audit.expect("an audit");
    assert_eq!((audit.against, audit.received, audit.lost), (AuditBasis::Acked, 2_000, 0));
    assert_eq!((audit.duplicated, audit.reordered, audit.foreign), (0, 0, 0));
    let latency = summary.end_to_end_latency.expect("a latency");
    assert_eq!(latency.count, 2_000);
    assert!(summary.arrival_latency.is_some());
    assert!(summary.counts["reads"] >= 3, "{:?}", summary.counts);
    assert_eq!(document.services[0].name, "kinesis");
    assert_eq!(document.options["stream"], STREAM);
}

#[test]
fn missing_duplicate_and_foreign_messages_are_counted() {
    let sandbox = Sandbox::new(2);
    let run = RunId::random();
    sandbox.put_messages(run, 0..100);
    sandbox.put_messages(run, 50..60);
    sandbox.put_messages(RunId::random(), 0..7);
    let sent = sandbox.sent(run, 101);
    let output = sandbox.run(&format!("--from-run {} --drain-timeout 500ms", sent.display()));
    assert_eq!(output.code, 3, "{output:?}");
    let document = sandbox.document();
    assert_eq!(document.verdict.expect("a verdict").outcome, VerdictOutcome::Invalid);
    let audit = document.summary.expect("figures").audit.expect("an audit");
    assert_eq!((audit.lost, audit.duplicated, audit.foreign), (2, 10, 7));
}

#[test]
fn expected_messages_are_awaited() {
    let sandbox = Sandbox::new(2);
    let run = RunId::random();
    let waiting = Running::start(sandbox.command("--expected 500"));
    sandbox.put_messages(run, 0..200);
    until("it waits", || sandbox.path().join("results").exists());
    sandbox.put_messages(run, 200..500);
    let output = waiting.end();
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(sandbox.document().summary.expect("figures").consumed.expect("some").received, 500);

    let output = sandbox.run("--expected 501 --drain-timeout 300ms --results-dir other");
    assert_eq!(output.code, 3, "{output:?}");
    let expected = "1 of the messages expected were not received";
    assert!(output.stdout.contains(expected), "{output:?}");
}

#[test]
fn fan_out_registers_only_for_the_run() {
    let sandbox = Sandbox::new(2);
    sandbox.put_messages(RunId::random(), 0..300);
    let following = Running::start(sandbox.command("--fan-out --follow"));
    until("a consumer is registered", || !sandbox.consumers().is_empty());
    let name = sandbox.consumers().remove(0);
    assert!(name.starts_with("kin-consumer-"), "{name}");
    until("all is read", || {
        let intervals = sandbox.path().join("results");
        let folder = std::fs::read_dir(intervals).ok().and_then(|mut all| all.next()?.ok());
        let text =
            folder.and_then(|one| std::fs::read_to_string(one.path().join("intervals.csv")).ok());
        text.is_some_and(|text| text.contains(",300,"))
    });
    following.interrupt();
    let output = following.end();
    assert_eq!(output.code, 130, "{output:?}");
    until("the consumer is deregistered", || sandbox.consumers().is_empty());
    let document = sandbox.document();
    assert_eq!(document.status, Status::Incomplete);
    assert_eq!(document.summary.expect("figures").consumed.expect("some").received, 300);
}

#[test]
fn throttled_readers_lose_nothing() {
    let limits =
        KinesisLimits { enforce_writes: false, enforce_reads: true, ..KinesisLimits::default() };
    let sandbox = Sandbox::with_limits(1, &limits);
    let run = RunId::random();
    sandbox.put_messages(run, 0..3_000);
    let sent = sandbox.sent(run, 2_999);
    let args = format!(
        "--unlimited-reads --poll-interval 10ms --poll-records 100 --from-run {}",
        sent.display()
    );
    let output = sandbox.run(&args);
    assert_eq!(output.code, 0, "{output:?}");
    let summary = sandbox.document().summary.expect("figures");
    assert_eq!(summary.audit.expect("an audit").received, 3_000);
    assert!(summary.counts["reads_throttled"] > 0, "{:?}", summary.counts);
}

/// Seven books with known prices.
const BOOKS: [&str; 7] = [
    r#"{"title": "a", "author": "Austen", "price": 10.5}"#,
    r#"{"title": "b", "author": "Austen", "price": "20.5"}"#,
    r#"{"title": "c", "author": "Brontë", "price": 30}"#,
    r#"{"title": "d", "price": 39.0}"#,
    r#"{"title": "e", "author": "Austen", "price": NaN}"#,
    r#"{"title": "f", "author": "Austen", "price": "n/a"}"#,
    r#"{"title": "g", "author": "Austen"}"#,
];

#[test]
fn queries_print_exact_statistics() {
    let sandbox = Sandbox::new(2);
    sandbox.put_texts(&BOOKS);
    sandbox.put_texts(&["no JSON"]);
    let output = sandbox.run("--query price --group-by author --output json");
    assert_eq!(output.code, 0, "{output:?}");
    let answer: Value = serde_json::from_str(&output.stdout).expect("JSON");
    assert_eq!((&answer["status"], &answer["records"]), (&"complete".into(), &8.into()));
    let all = serde_json::json!({
        "count": 4, "sum": 100.0, "mean": 25.0, "min": 10.5, "max": 39.0, "p50": 20.5, "p99": 39.0,
    });
    assert_eq!(answer["all"], all);
    let skipped =
        serde_json::json!({"missing": 1, "not_finite": 1, "not_numeric": 1, "not_an_object": 1});
    assert_eq!(answer["skipped"], skipped);
    let groups: Vec<_> = answer["groups"].as_array().expect("groups").iter().collect();
    let sums: Vec<_> = groups.iter().map(|group| (&group["group"], &group["sum"])).collect();
    let expected: [(Value, Value); 3] = [
        (Value::Null, 39.0.into()),
        ("Austen".into(), 31.0.into()),
        ("Brontë".into(), 30.0.into()),
    ];
    assert_eq!(sums, expected.iter().map(|(group, sum)| (group, sum)).collect::<Vec<_>>());
    assert_eq!(answer["percentile_error"], 0.0);
    assert!(!sandbox.path().join("results").exists(), "a query leaves nothing behind");

    let output = sandbox.run("--query price --group-by author --stats count,mean --output csv");
    let expected = "\
scope,group,count,mean,records,missing,not_finite,not_numeric,not_an_object,inexact
all,,4,25,8,1,1,1,1,
group,,1,39,,,,,,
group,Austen,2,15.5,,,,,,
group,Brontë,1,30,,,,,,
";
    assert_eq!((output.code, output.stdout.as_str()), (0, expected), "{output:?}");

    let output = sandbox.run("--query price --stats count,sum,mean");
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert!(lines[0].starts_with("stream 'books': 8 records in "), "{output:?}");
    assert_eq!(lines[3..], ["     count  sum  mean", "all      4  100    25"], "{output:?}");
}

#[test]
fn whole_numbers_are_exact_and_infinite_skipped() {
    let sandbox = Sandbox::new(1);
    sandbox.put_texts(&[
        r#"{"id": 9007199254740993}"#,
        r#"{"id": "9007199254740995"}"#,
        r#"{"id": 1e400}"#,
        r#"{"id": 1, "other": -1e400}"#,
    ]);
    let output = sandbox.run("--query id --stats count,sum,min,max --output csv");
    let expected = "\
scope,group,count,sum,min,max,records,missing,not_finite,not_numeric,not_an_object,inexact
all,,3,18014398509481989,1,9007199254740995,4,0,1,0,0,
";
    assert_eq!((output.code, output.stdout.as_str()), (0, expected), "{output:?}");
    let output = sandbox.run("--query id --stats sum,p50 --output json");
    let answer: Value = serde_json::from_str(&output.stdout).expect("JSON");
    assert_eq!(answer["all"]["sum"], 18_014_398_509_481_989_u64, "{output:?}");
    assert!(answer["percentile_error"].as_f64() > Some(0.0), "doubles are rounded: {output:?}");
}

#[test]
fn fields_differing_in_case_are_suggested() {
    let sandbox = Sandbox::new(1);
    sandbox.put_texts(&BOOKS);
    let output = sandbox.run("--query Price");
    assert_eq!(output.code, 1, "{output:?}");
    let expected = "none of 7 records has a number in field 'Price'; 6 records without it have a \
                    field 'price': names are case-sensitive, so use --query price";
    assert!(output.stderr.contains(expected), "{output:?}");
    let output = sandbox.run("--query price -n 3 --stats count --output csv");
    assert!(output.stdout.contains("\nall,,3,3,"), "{output:?}");
}

#[test]
fn invalid_options_are_refused_before_anything_is_created() {
    let sandbox = Sandbox::new(1);
    let bare = ToolOutput::of(sandbox.bare_command("--stream books"));
    assert_eq!(bare.code, 2, "{bare:?}");
    assert!(bare.stderr.contains("run-suite services up kinesis"), "{bare:?}");
    for (args, hint) in [
        ("-n 0", "use at least 1"),
        ("--expected 0", "use at least 1"),
        ("--poll-interval 10m", "--poll-interval"),
        ("--from yesterday", "trim-horizon"),
        ("--fan-out x --poll-records 10", "cannot be used with"),
        ("--query price --stats median", "p100"),
        ("--query price --raw", "cannot be used with"),
        ("--query price --exactly-once", "cannot be used with"),
        ("--group-by author", "--query"),
        ("--from-run nowhere", "--from-run"),
    ] {
        let output = sandbox.run(args);
        assert_eq!(output.code, 2, "{args}: {output:?}");
        assert!(output.stderr.contains(hint), "{args}: {output:?}");
    }
    assert_eq!(std::fs::read_dir(sandbox.path()).expect("a folder").count(), 0);
}

#[test]
fn missing_streams_and_shards_are_named() {
    let sandbox = Sandbox::new(1);
    let mut command = sandbox.bare_command("--stream missing --query price");
    command.env("AWS_ENDPOINT_URL_KINESIS", sandbox.endpoint_url()).env("AWS_REGION", "us-east-1");
    let output = ToolOutput::of(command);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("stream 'missing' does not exist"), "{output:?}");
    let output = sandbox.run("--from sequence:5/1");
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("shard 'shardId-000000000005' does not exist"), "{output:?}");
}

#[test]
fn interrupted_queries_still_print_results() {
    let sandbox = Sandbox::new(1);
    sandbox.put_texts(&BOOKS);
    let following =
        Running::start(sandbox.command("--query price --follow --fan-out --output json"));
    // The only visible effect before it ends.
    until("a consumer is registered", || !sandbox.consumers().is_empty());
    following.interrupt();
    let output = following.end();
    assert_eq!(output.code, 130, "{output:?}");
    let answer: Value = serde_json::from_str(&output.stdout).expect("JSON");
    assert_eq!(answer["status"], "incomplete");
    assert!(answer["records"].as_u64().is_some_and(|records| records <= 7), "{output:?}");
    until("the consumer is deregistered", || sandbox.consumers().is_empty());
}

#[test]
fn interrupts_while_connecting_end_the_tool() {
    for args in ["", "--query price", "--fan-out"] {
        let silent = Silent::new();
        let sandbox = bench_testing::tool::Sandbox::new(env!("CARGO_BIN_EXE_kin-consumer"));
        let mut command = sandbox.command(&format!("{args} --timeout 1h"));
        command.env("AWS_ENDPOINT_URL_KINESIS", silent.url());
        command.env("AWS_ACCESS_KEY_ID", "key").env("AWS_SECRET_ACCESS_KEY", "hush");
        let output = silent.interrupt(command);
        assert_eq!((output.code, output.stdout.as_str()), (130, ""), "{args}: {output:?}");
        assert!(output.stderr.contains("interrupted while "), "{args}: {output:?}");
        let is_named = output.stderr.contains("deregister-stream-consumer");
        assert_eq!(is_named, args == "--fan-out", "{args}: {output:?}");
    }
}

#[test]
fn invalid_addresses_and_missing_regions_are_refused() {
    let sandbox = bench_testing::tool::Sandbox::new(env!("CARGO_BIN_EXE_kin-consumer"));
    for (args, message) in [
        ("--endpoint-url 127.0.0.1:4566", "write http://127.0.0.1:4566"),
        ("--endpoint-url http://127.0.0.1:65536", "from 1 to 65535"),
        ("--endpoint-url http://[::1", "IPv6"),
        ("--profile x", "--region: no region is set"),
        ("--region EU", "use a form such as eu-west-1"),
    ] {
        let refused = sandbox.run(args);
        assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{args}: {refused:?}");
        assert!(refused.stderr.contains(message), "{args}: {refused:?}");
    }
    assert_eq!(sandbox.entries(), <[&str; 0]>::default());
}

#[test]
fn consumers_beyond_a_limit_are_refused() {
    let sandbox = bench_testing::tool::Sandbox::new(env!("CARGO_BIN_EXE_kin-consumer"));
    // Nothing listens there: the error comes before connecting.
    let output = sandbox.run_limited("ulimit -n 200", "-c 100 --endpoint-url http://127.0.0.1:1");
    assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{output:?}");
    assert!(output.stderr.starts_with("error: --consumers: 100 consumers need "), "{output:?}");
    assert!(
        output.stderr.contains("ulimit -n") && output.stderr.contains("; use fewer"),
        "{output:?}"
    );
    assert_eq!(sandbox.entries(), <[&str; 0]>::default());
}
