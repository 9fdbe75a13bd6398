//! Runs on the embedded broker: producing and consuming at once, without a server.

use std::fmt::Write as _;

use bench_core::audit::AckLedger;
use bench_core::message::KEY_BYTES;
use bench_core::message::json::JSON_BYTES_MIN;
use bench_record::{
    AuditBasis, LoadModel, RunDocument, ServiceOrigin, Status, Summary, VerdictOutcome,
};
use bench_testing::tool::Sandbox;

use crate::TOOL;

/// Runs the tool and returns its document; all `messages` messages must arrive once and in order.
fn all_arrive(args: &str, messages: u64) -> RunDocument {
    let sandbox = Sandbox::new(TOOL);
    let output = sandbox.run(args);
    assert_eq!(output.code, 0, "{args}: {output:?}");
    let document = sandbox.document("results");
    assert_everything_arrived(&document, messages, args);
    document
}

fn assert_everything_arrived(document: &RunDocument, messages: u64, args: &str) {
    assert_eq!(document.status, Status::Complete, "{args}");
    let verdict = document.verdict.as_ref().expect("a verdict");
    assert_eq!(verdict.outcome, VerdictOutcome::Valid, "{args}: {verdict:?}");
    let summary = summary(document);
    let produced = summary.produced.as_ref().expect("it sent");
    assert_eq!((produced.sent, produced.acked), (messages, messages), "{args}");
    assert_eq!((produced.failed, produced.unresolved), (0, 0), "{args}");
    let consumed = summary.consumed.as_ref().expect("it received");
    assert_eq!(consumed.received, messages, "{args}");
    assert_eq!(consumed.received_bytes, produced.acked_bytes, "{args}");
    let audit = summary.audit.as_ref().expect("an audit");
    assert_eq!((audit.against, audit.received), (AuditBasis::Acked, messages), "{args}");
    let troubles = [
        audit.lost,
        audit.duplicated,
        audit.reordered,
        audit.corrupt,
        audit.foreign,
        audit.unacked_received,
    ];
    assert_eq!(troubles, [0; 6], "{args}: {audit:?}");
}

fn summary(document: &RunDocument) -> &Summary {
    document.summary.as_ref().expect("figures")
}

fn acked_bytes(document: &RunDocument) -> u64 {
    summary(document).produced.as_ref().expect("it sent").acked_bytes
}

#[test]
fn runs_without_server_use_a_labelled_embedded_broker() {
    let sandbox = Sandbox::new(TOOL);
    let output = sandbox.run("-n 5000");
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(output.stderr, "");
    assert_eq!(sandbox.entries(), ["results"]);
    let heading: Vec<_> = output.stdout.lines().take(3).collect();
    assert!(heading[0].ends_with("complete, VALID"), "{output:?}");
    assert!(heading[1].starts_with("kafka: embedded (librdkafka "), "{output:?}");
    assert!(heading[2].contains("not the performance of kafka"), "{output:?}");
    let folder = sandbox.run_folder("results");
    let name = folder.file_name().and_then(|name| name.to_str()).expect("a name");
    assert!(output.stdout.contains(&format!("results/{name}")), "{output:?}");

    let document = sandbox.document("results");
    assert_everything_arrived(&document, 5_000, "-n 5000");
    let [service] = &document.services[..] else { panic!("{:?}", document.services) };
    assert_eq!((service.name.as_str(), service.origin), ("kafka", ServiceOrigin::Embedded));
    assert!(service.address.starts_with("127.0.0.1:"), "{service:?}");
    assert!(name.ends_with(&document.run_id), "{name}");
    assert_eq!(document.options["messages"], "5000");
    assert_eq!(document.options["linger"], "5ms", "defaults are recorded too");
    assert!(document.versions.contains_key("librdkafka"), "{:?}", document.versions);
}

#[test]
fn result_folders_hold_intervals_histograms_and_acks() {
    let sandbox = Sandbox::new(TOOL);
    let output = sandbox.run("-n 3000 --rate 3k/s -p 2 --interval 100ms");
    assert_eq!(output.code, 0, "{output:?}");
    let folder = sandbox.run_folder("results");
    let ledger = AckLedger::read(&folder).expect("acked.json");
    assert_eq!((ledger.streams().count(), ledger.len()), (2, 3_000));
    for latency in ["publish_latency", "service_time", "schedule_lag", "end_to_end_latency"] {
        let log = std::fs::read_to_string(folder.join(format!("{latency}.hlog"))).expect(latency);
        let histograms = log.lines().filter(|line| line.contains(",HIST")).count();
        assert!(histograms >= 2, "{latency}: {log}");
    }
    let table = std::fs::read_to_string(folder.join("intervals.csv")).expect("intervals.csv");
    let mut rows = table.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = rows.next().expect("a header");
    let position = |name| header.iter().position(|column| *column == name).expect(name);
    let (sent, acked, received) = (position("sent"), position("acked"), position("received"));
    let mut sums = [0_u64; 3];
    for row in rows {
        for (sum, column) in sums.iter_mut().zip([sent, acked, received]) {
            *sum += row[column].parse::<u64>().expect("a number");
        }
    }
    assert_eq!(sums, [3_000; 3]);
}

#[test]
fn json_output_equals_the_recorded_document() {
    let sandbox = Sandbox::new(TOOL);
    let output = sandbox.run("-n 2000 --output json");
    assert_eq!(output.code, 0, "{output:?}");
    let text =
        std::fs::read_to_string(sandbox.run_folder("results").join("run.json")).expect("run.json");
    let kept: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let printed: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
    assert_eq!(printed, kept);
    assert_eq!(printed["status"], "complete");
}

#[test]
fn csv_output_is_a_header_and_a_row() {
    let output = Sandbox::new(TOOL).run("-n 2000 --output csv");
    assert_eq!(output.code, 0, "{output:?}");
    let lines: Vec<Vec<_>> = output.stdout.lines().map(|line| line.split(',').collect()).collect();
    let [header, row] = &lines[..] else { panic!("{output:?}") };
    let value = |name| row[header.iter().position(|column| *column == name).expect(name)];
    assert_eq!((value("tool"), value("origin")), ("kafka-prodcon", "embedded"));
    assert_eq!((value("status"), value("verdict")), ("complete", "valid"));
    assert_eq!((value("acked"), value("received"), value("lost")), ("2000", "2000", "0"));
}

#[test]
fn all_numbers_of_partitions_producers_and_consumers_work() {
    for partitions in [1, 4] {
        for producers in [1, 3] {
            for consumers in [1, 3] {
                let args =
                    format!("-n 10001 --partitions {partitions} -p {producers} -c {consumers}");
                let document = all_arrive(&args, 10_001);
                let audit = summary(&document).audit.as_ref().expect("an audit");
                let acked: Vec<_> = audit.producers.iter().map(|producer| producer.acked).collect();
                let shares: &[u64] =
                    if producers == 1 { &[10_001] } else { &[3_334, 3_334, 3_333] };
                assert_eq!(acked, shares, "{args}");
                let idle = document.warnings.iter().any(|warning| warning.contains("no partition"));
                assert_eq!(idle, consumers > partitions, "{args}: {:?}", document.warnings);
            }
        }
    }
}

#[test]
fn every_compression_works() {
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let args = format!("-n 20000 --compression {codec} --compressibility 0.7");
        let document = all_arrive(&args, 20_000);
        assert_eq!(document.options["compression"], codec);
    }
}

#[test]
fn every_key_distribution_works() {
    for keys in ["round-robin:10", "uniform:1k", "zipf:100", "zipf:100:1.2"] {
        let document = all_arrive(&format!("-n 5000 --partitions 3 --key {keys}"), 5_000);
        assert_eq!(acked_bytes(&document), 5_000 * (100 + KEY_BYTES as u64), "{keys}");
    }
}

#[test]
fn binary_and_json_messages_have_the_requested_size() {
    let document = all_arrive("-n 5000 -r 40", 5_000);
    assert_eq!(acked_bytes(&document), 5_000 * 40);
    let size = JSON_BYTES_MIN + 23;
    let document = all_arrive(&format!("-n 5000 --format json -r {size}"), 5_000);
    assert_eq!(acked_bytes(&document), 5_000 * size as u64);
    assert!(summary(&document).end_to_end_latency.is_some());
}

#[test]
fn raw_messages_are_only_counted() {
    let sandbox = Sandbox::new(TOOL);
    // The number of messages ends it; otherwise the test would take an hour.
    let output = sandbox.run("-n 5000 --format raw -r 7 -p 2 --drain-timeout 1h");
    assert_eq!(output.code, 0, "{output:?}");
    assert!(
        output.stdout.contains("audit       by number only: 5,000 acked, 5,000 received"),
        "{output:?}"
    );
    let document = sandbox.document("results");
    let summary = summary(&document);
    assert_eq!(summary.consumed.as_ref().expect("it received").received, 5_000);
    assert_eq!(acked_bytes(&document), 5_000 * 7);
    assert_eq!((&summary.audit, &summary.end_to_end_latency), (&None, &None));
    assert!(summary.service_time.is_some());
}

#[test]
fn sizes_follow_their_distribution() {
    for (sizes, mean_bytes) in [
        ("uniform:50..150", 100),
        ("normal:mean=1000,sd=100", 1_000),
        ("lognormal:median=500,sigma=0.2", 510),
        ("weighted:100=0.5,1kB=0.5", 550),
        ("1.5kB", 1_500),
        ("2MiB", 2 << 20),
    ] {
        let messages = if sizes == "2MiB" { 10 } else { 5_000 };
        let document = all_arrive(&format!("-n {messages} -r {sizes}"), messages);
        let mean = acked_bytes(&document) / messages;
        let tolerance = mean_bytes / 20;
        assert!(mean.abs_diff(mean_bytes) <= tolerance, "{sizes}: {mean} instead of {mean_bytes}");
    }
}

#[test]
fn rates_give_an_open_loop_with_publish_latency() {
    let document = all_arrive("-n 2000 --rate 4k/s -p 2", 2_000);
    let summary = summary(&document);
    assert_eq!(summary.load, LoadModel::Open);
    let produced = summary.produced.as_ref().expect("it sent");
    assert_eq!(produced.target_rate_msg_per_s, Some(4_000.0));
    // The last message is due half a second after the first, so the run cannot be shorter.
    assert!(summary.elapsed_s > 0.49, "{}", summary.elapsed_s);
    for latency in [
        &summary.publish_latency,
        &summary.service_time,
        &summary.schedule_lag,
        &summary.end_to_end_latency,
    ] {
        let latency = latency.as_ref().expect("measured");
        assert_eq!((latency.count + latency.beyond_range, latency.negative), (2_000, 0));
        assert!(latency.p50_ns <= latency.p99_ns && latency.p99_ns <= latency.max_ns);
    }
    assert_eq!(summary.self_check.as_ref().expect("a self-check").unsent, 0);
    let clock = summary.end_to_end_clock.as_ref().expect("compared");
    assert_eq!((clock.monotonic, clock.wall), (2_000, 0));
}

#[test]
fn runs_without_rate_are_closed_loop() {
    let document = all_arrive("-n 2000", 2_000);
    let summary = summary(&document);
    assert_eq!(summary.load, LoadModel::Closed);
    assert_eq!((&summary.publish_latency, &summary.schedule_lag), (&None, &None));
    assert_eq!(summary.self_check, None);
    assert_eq!(summary.service_time.as_ref().expect("measured").count, 2_000);
    assert_eq!(summary.end_to_end_latency.as_ref().expect("measured").count, 2_000);
}

#[test]
fn every_schedule_sends_all_messages() {
    for schedule in ["poisson", "ramp:1k:500ms", "burst:250"] {
        all_arrive(&format!("-n 2000 --rate 4k/s --schedule {schedule}"), 2_000);
    }
}

#[test]
fn durations_start_after_the_warm_up() {
    let args = "--duration 500ms --warm-up 300ms --rate 2k/s";
    let document = all_arrive(args, 1_600);
    let summary = summary(&document);
    assert!((summary.warm_up_s - 0.3).abs() < 1e-9, "{}", summary.warm_up_s);
    for latency in [&summary.publish_latency, &summary.schedule_lag, &summary.end_to_end_latency] {
        assert_eq!(latency.as_ref().expect("measured").count, 1_000, "only those of the 500 ms");
    }
}

#[test]
fn guarantees_can_be_chosen() {
    for args in [
        "-n 5000 --acks 1",
        "-n 5000 --acks all --idempotent -p 2 -c 2",
        "-n 5000 --transactional -p 2 -c 2 --transaction-size 500",
        "-n 500 --transactional --rate 1k/s --linger 0s",
    ] {
        let document = all_arrive(args, if args.contains("-n 500 ") { 500 } else { 5_000 });
        assert!(!document.warnings.iter().any(|w| w.contains("--acks")), "{:?}", document.warnings);
    }
    let document = all_arrive("-n 5000 --acks 0", 5_000);
    assert!(document.warnings[0].contains("with --acks 0"), "{:?}", document.warnings);
}

#[test]
fn consumers_need_no_group() {
    all_arrive("-n 5000 --no-group --partitions 4 -c 3", 5_000);
    let document = all_arrive("-n 5000 --group mine --partitions 4 -c 3", 5_000);
    assert_eq!(document.options["group"], "mine");
}

#[test]
fn records_come_from_a_file() {
    let sandbox = Sandbox::new(TOOL);
    let rows = (0..7).fold("title,price\n".to_owned(), |mut rows, row| {
        writeln!(rows, "Book {row},1{row}.50").expect("writing to a string cannot fail");
        rows
    });
    std::fs::write(sandbox.path().join("books.csv"), rows).expect("written");
    let output = sandbox.run("-n 1000 --input books.csv --format json");
    assert_eq!(output.code, 0, "{output:?}");
    assert_everything_arrived(&sandbox.document("results"), 1_000, "books.csv");
    let record = r#"{"title":"Book 0","price":"10.50"}"#;
    assert!(acked_bytes(&sandbox.document("results")) > 1_000 * record.len() as u64);

    let sandbox = Sandbox::new(TOOL);
    std::fs::write(sandbox.path().join("lines.txt"), "one\nthree\n").expect("written");
    let output = sandbox.run("-n 1000 --input lines.txt --format raw");
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(
        acked_bytes(&sandbox.document("results")),
        500 * ("one".len() + "three".len()) as u64
    );
}

#[test]
fn batches_are_limited_for_the_embedded_broker() {
    let document = all_arrive("-n 20000 -r 1kB -b 10MB --linger 50ms", 20_000);
    assert!(document.warnings[0].contains("2097152 bytes"), "{:?}", document.warnings);
}

#[test]
fn config_properties_override_the_tools_own() {
    let sandbox = Sandbox::new(TOOL);
    // By default, the tool sets this to at least a million.
    let output = sandbox.run("-n 100 -r 2kB --config message.max.bytes=1000 --drain-timeout 1s");
    assert_eq!(output.code, 3, "nothing was acknowledged: {output:?}");
    let document = sandbox.document("results");
    assert_eq!(document.options["config"]["message.max.bytes"], "1000");
    let produced = summary(&document).produced.as_ref().expect("it tried to send");
    assert_eq!((produced.sent, produced.acked, produced.failed), (100, 0, 100));
    let reason = produced.failures.keys().next().expect("a reason");
    assert!(reason.contains("larger than the client's message.max.bytes"), "{reason}");
}

#[test]
fn properties_files_set_what_options_leave_unset() {
    let sandbox = Sandbox::new(TOOL);
    std::fs::write(sandbox.path().join("client.properties"), "acks=0\nlinger.ms=7\n")
        .expect("writes");
    let output = sandbox.run("-n 100 --properties client.properties --linger 3ms");
    assert_eq!(output.code, 0, "{output:?}");
    let document = sandbox.document("results");
    let option = |name: &str| document.options[name].as_str();
    assert_eq!((option("acks"), option("linger")), (Some("0"), Some("3ms")));
    assert_eq!(option("compression"), Some("none"), "a default");
    let warned = document.warnings.iter().any(|warning| warning.starts_with("with --acks 0"));
    assert!(warned, "{:?}", document.warnings);
}

#[test]
fn unsupported_options_of_embedded_brokers_are_refused() {
    let sandbox = Sandbox::new(TOOL);
    for (args, expected) in [
        ("-n 10 --transactional --abort-every 2", "--abort-every: the embedded broker delivers"),
        ("-n 10 --transactional --abort-every 1", "must be at least 2"),
        ("-n 10 --kill-consumer 2@1s", "--kill-consumer: no consumer 2"),
        ("-n 10 --no-group --kill-consumer 1@1s", "--kill-consumer: without a group"),
    ] {
        let output = sandbox.run(args);
        assert_eq!(output.code, 2, "{output:?}");
        assert!(output.stderr.contains(expected), "{output:?}");
    }
    assert!(sandbox.entries().is_empty());
}

#[test]
fn killed_consumers_lose_nothing() {
    let sandbox = Sandbox::new(TOOL);
    let output = sandbox.run("--rate 2k/s --duration 3s -c 2 --kill-consumer 1@1s+500ms");
    assert_eq!(output.code, 0, "{output:?}");
    let document = sandbox.document("results");
    let audit = document.summary.and_then(|summary| summary.audit).expect("an audit");
    assert_eq!((audit.received, audit.lost), (6_000, 0));
    assert!(audit.duplicated > 0, "{audit:?}");
}

#[test]
fn warm_ups_longer_than_the_run_warn() {
    let document = all_arrive("-n 1000 --rate 2k/s --warm-up 5s", 1_000);
    let summary = summary(&document);
    let (produced, consumed) = (summary.produced.as_ref(), summary.consumed.as_ref());
    assert_eq!(produced.and_then(|produced| produced.rate_msg_per_s), None);
    assert_eq!(consumed.and_then(|consumed| consumed.rate_msg_per_s), None);
    assert_eq!((&summary.self_check, &summary.publish_latency), (&None, &None));
    assert!(document.warnings.iter().any(|warning| warning.contains("shorten --warm-up")));
}

#[test]
fn requests_in_flight_default_to_five() {
    let sandbox = Sandbox::new(TOOL);
    sandbox.write("client.properties", "max.in.flight=3\n");
    let config = "--config max.in.flight=7";
    for (number, (args, requests)) in [
        ("", "5"),
        ("--transactional", "5"),
        ("--requests-in-flight 2", "2"),
        (config, "7"),
        (&format!("--requests-in-flight 2 {config}"), "7"),
        ("--properties client.properties", "3"),
        ("--properties client.properties --requests-in-flight 4", "4"),
    ]
    .into_iter()
    .enumerate()
    {
        let output = sandbox.run(&format!("-n 500 --results-dir {number} {args}"));
        assert_eq!(output.code, 0, "{args}: {output:?}");
        let document = sandbox.document(&number.to_string());
        assert_eq!(document.options["requests-in-flight"], requests, "{args}");
        let queued = document.warnings.iter().any(|warning| warning.contains("requests queued"));
        assert!(!queued, "{args}: {:?}", document.warnings);
    }
}

/// Maximum memory of 40 producers and 40 consumers, a third above the manual's figure. With huge
/// pages and flight tables that are written at once they take 490 MB.
const EIGHTY_CLIENTS_BYTES_MAX: u64 = 340_000_000;

#[test]
fn many_clients_stay_within_the_documented_memory() {
    let document = all_arrive("-n 20000 -p 40 -c 40", 20_000);
    let taken = summary(&document).resources.memory_max_bytes;
    assert!(taken < EIGHTY_CLIENTS_BYTES_MAX, "{taken} bytes");
}
