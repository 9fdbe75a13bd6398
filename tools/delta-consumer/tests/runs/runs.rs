//! Existing tables: read to their end, and audited.

use bench_record::{AuditBasis, ServiceOrigin, Status, VerdictOutcome};
use bench_testing::tool::{Running, Sandbox, Signal, ToolOutput, until};

use crate::TOOL;
use crate::tables::{Tables, audit, faults};

#[test]
fn runs_are_audited_in_folders_and_on_s3() {
    for path in ["s3://bench/t", "folder"] {
        let Some(tables) = Tables::new("auditing what delta-producer sent") else { return };
        tables.send(&format!("--lake-path {path} -n 20000 -p 3 --commit-interval 50ms"));
        let named = format!("--lake-path {path} --exactly-once");
        for (index, args) in ["", &named].iter().enumerate() {
            let results = format!("r{index}");
            let output =
                tables.run(&format!("{} {args} --results-dir {results}", tables.run_option()));
            assert_eq!(output.code, 0, "{path} {args}: {output:?}");
            let document = tables.sandbox.document(&results);
            assert_eq!(document.status, Status::Complete);
            let audit = audit(&document);
            assert_eq!((audit.against, audit.received), (AuditBasis::Acked, 20_000));
            assert_eq!(faults(&document), [0; 5], "{path}");
            assert_eq!(document.services[0].origin, ServiceOrigin::External);
            let of_run = &tables.sandbox.document("sent").options["lake-path"];
            assert_eq!(&document.options["lake-path"], of_run, "{path}");
            assert!(document.versions.contains_key("deltalake"));
        }
    }
}

#[test]
fn missing_rows_are_reported_as_lost() {
    let Some(tables) = Tables::new("a commit that is taken away") else { return };
    tables.send("--lake-path t -n 3000 --rate 3k/s --commit-interval 100ms");
    // The rows of a commit are removed, as if it had added nothing.
    let entry = tables.sandbox.path().join("t/_delta_log/00000000000000000005.json");
    std::fs::write(&entry, "{\"commitInfo\":{\"timestamp\":0}}\n").expect("written");
    let output = tables.run(&tables.run_option());
    assert_eq!(output.code, 3, "{output:?}");
    assert!(output.stdout.contains("INVALID") && output.stdout.contains("lost"), "{output:?}");
    let args = "--lake-path t --expected-messages 3000 --drain-timeout 1s --results-dir other";
    let output = tables.run(args);
    assert_eq!(output.code, 3, "{output:?}");
    assert!(output.stdout.contains("of the messages expected were not received"), "{output:?}");
    let document = tables.sandbox.document("other");
    let audit = audit(&document);
    assert_eq!(audit.against, AuditBasis::Expected);
    assert!(audit.lost > 0 && audit.lost + audit.received == 3_000, "{audit:?}");
    // As many arrive as are left, and there is still a gap.
    let left = audit.received;
    let output = tables.run(&format!("--lake-path t --expected {left} --results-dir gap"));
    assert_eq!(output.code, 3, "{output:?}");
    assert!(output.stdout.contains("of the messages expected were not received"), "{output:?}");
}

#[test]
fn reading_begins_at_the_requested_start() {
    let Some(tables) = Tables::new("the places where reading begins") else { return };
    tables.send("--lake-path t -n 1000 --rate 2k/s --commit-interval 50ms");
    let entries = std::fs::read_dir(tables.sandbox.path().join("t/_delta_log")).expect("a log");
    let is_version = |path: &std::path::Path| path.extension().is_some_and(|ext| ext == "json");
    let versions = entries.flatten().filter(|entry| is_version(&entry.path())).count();
    let received = |from: &str| {
        let results = format!("r-{}", from.replace(':', "-"));
        let output = tables.run(&format!("--lake-path t --from {from} --results-dir {results}"));
        assert_eq!(output.code, 0, "{from}: {output:?}");
        let summary = tables.sandbox.document(&results).summary.expect("figures");
        summary.consumed.expect("consumed").received
    };
    for (from, expected) in
        [("beginning", 1_000), ("version:0", 1_000), ("timestamp:2020-01-01T00:00:00Z", 1_000)]
    {
        assert_eq!(received(from), expected, "{from}");
    }
    let of_last = received(&format!("version:{}", versions - 1));
    assert!((1..1_000).contains(&of_last), "{of_last}");
}

#[test]
fn rows_without_a_header_are_counted() {
    let Some(tables) = Tables::new("raw rows") else { return };
    tables.send("--lake-path t -n 500 --format raw -r 10 --commit-interval 50ms");
    let output = tables.run("--lake-path t --raw -n 500");
    assert_eq!(output.code, 0, "{output:?}");
    let summary = tables.sandbox.document("results").summary.expect("figures");
    assert_eq!(summary.consumed.map(|consumed| consumed.received_bytes), Some(5_000));
    assert!(summary.audit.is_none());
    let args = "--lake-path t --raw --expected 501 --drain-timeout 300ms --results-dir short";
    let output = tables.run(args);
    assert_eq!(output.code, 3, "{output:?}");
    let short = tables.sandbox.document("short");
    assert_eq!((audit(&short).received, audit(&short).lost), (500, 1));
}

#[test]
fn queries_read_foreign_rows() {
    let Some(tables) = Tables::new("statistics of rows") else { return };
    let books = "\
{\"author\": \"Austen\", \"price\": 10.5}
{\"author\": \"Austen\", \"price\": \"20.5\"}
{\"author\": \"Brontë\", \"price\": 30}
{\"title\": \"d\", \"price\": null}
";
    tables.sandbox.write("books.txt", books);
    tables.send("--lake-path t -n 4 --format raw --input books.txt --commit-interval 50ms");
    let output = tables.run("--lake-path t --query price --group-by author --output json");
    assert_eq!(output.code, 0, "{output:?}");
    let answer = output.json();
    let table = answer["table"].as_str().expect("the table's address");
    assert!(table.ends_with("/t") && answer["tool"]["name"] == "delta-consumer", "{answer}");
    assert_eq!((&answer["records"], &answer["skipped"]["missing"]), (&4.into(), &1.into()));
    assert_eq!((&answer["all"]["sum"], &answer["all"]["p50"]), (&61.0.into(), &20.5.into()));
    assert_eq!(answer["groups"][0]["sum"], 31.0, "{answer}");
    assert_eq!(tables.sandbox.entries(), ["books.txt", "sent", "t"], "a query leaves no files");

    let output = tables.run("--lake-path t --query price --expected 5 --drain-timeout 100ms");
    assert_eq!(output.code, 3, "{output:?}");
    assert!(output.stderr.contains("4 of 5 expected records"), "{output:?}");
    assert!(
        output.stdout.contains("4 records in ") && output.stdout.contains("INCOMPLETE"),
        "{output:?}"
    );
    let output = tables.run("--lake-path t");
    assert_eq!(output.code, 3, "{output:?}");
    assert!(output.stdout.contains("use --raw, or --query FIELD"), "{output:?}");
}

#[test]
fn killed_runs_are_audited_partially() {
    let Some(tables) = Tables::new("a producer that was killed") else { return };
    let args = "--lake-path t --rate 2k/s --duration 60s --commit-interval 50ms --interval 100ms";
    let run = Running::start(tables.producer(args));
    let entry = tables.sandbox.path().join("t/_delta_log/00000000000000000030.json");
    until("it has committed", || entry.exists());
    run.send(Signal::KILL);
    assert_eq!(run.end().code, -1);
    let output = tables.run(&tables.run_option());
    assert_eq!(output.code, 3, "the last confirmations are unknown: {output:?}");
    assert!(output.stderr.contains("waiting for its end"), "{output:?}");
    let document = tables.sandbox.document("results");
    let verdict = document.verdict.as_ref().expect("a verdict");
    assert_eq!(verdict.outcome, VerdictOutcome::Partial);
    assert!(verdict.reasons[0].contains("is partial"), "{verdict:?}");
    assert_eq!(faults(&document), [0; 5]);
    assert!(audit(&document).received > 1_000);
}

#[test]
fn embedded_tables_end_with_their_run() {
    let Some(tables) = Tables::new("the table of an embedded S3") else { return };
    let mut command = tables.producer("-n 100 --commit-interval 50ms");
    for (name, _) in tables.server.environment() {
        command.env_remove(name);
    }
    let sent = ToolOutput::of(command);
    assert_eq!(sent.code, 0, "{sent:?}");
    let output = tables.sandbox.run(&tables.run_option());
    assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{output:?}");
    for needle in ["--from-run: ", "ended with it", "run-suite services up s3"] {
        assert!(output.stderr.contains(needle), "{needle}: {output:?}");
    }
}

#[test]
fn missing_tables_are_reported() {
    let server = embedded_s3::serve_in_background().expect("a server");
    for (args, needles) in [
        ("--lake-path nothing", &["nothing", "--wait-for-table"][..]),
        ("--lake-path s3://bench/nothing", &["s3://bench/nothing", "--wait-for-table"]),
        ("--lake-path s3://nowhere/t", &["bucket 'nowhere'"]),
        ("--lake-path nothing --wait-for-table 300ms", &["nothing"]),
    ] {
        let sandbox = Sandbox::new(TOOL);
        let mut command = sandbox.command(args);
        command.envs(server.environment());
        let output = ToolOutput::of(command);
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{args}: {output:?}");
        assert_eq!(output.stderr.lines().count(), 1, "{args}: {output:?}");
        for needle in needles {
            assert!(output.stderr.contains(needle), "{args}: {needle}: {output:?}");
        }
    }
}

/// Asserts that the tool failed with this code and one line containing these words.
fn assert_refused(output: &ToolOutput, code: i32, needles: &[&str]) {
    assert_eq!((output.code, output.stdout.contains("VALID")), (code, false), "{output:?}");
    let errors = output.stderr.lines().filter(|line| line.starts_with("error: "));
    assert_eq!(errors.count(), 1, "{output:?}");
    for needle in needles {
        assert!(output.stderr.contains(needle), "{needle}: {output:?}");
    }
    assert!(!output.stderr.contains("ParsedLogPath") && output.stderr.len() < 1_000, "{output:?}");
}

#[test]
fn damaged_logs_fail_every_way_of_reading() {
    let ways = ["", "--follow", "--from version:6", "--from end --follow", "--expected 900"];
    for damage in ["an empty entry", "a gap"] {
        let Some(tables) = Tables::new("a damaged log") else { return };
        tables.send("--lake-path t -n 900 --rate 1k/s --commit-interval 100ms");
        let entry = tables.sandbox.path().join("t/_delta_log/00000000000000000003.json");
        let message = if damage == "a gap" {
            std::fs::remove_file(&entry).expect("removed");
            "version 3 is missing from the log of file:///"
        } else {
            std::fs::write(&entry, "").expect("emptied");
            "version 3 of file:///"
        };
        let of_run = format!("{} --lake-path t", tables.run_option());
        for way in ways.iter().map(|way| format!("--lake-path t {way}")).chain([of_run]) {
            assert_refused(&tables.run(&way), 1, &[message, "00000000000000000003.json"]);
        }
        let again = ToolOutput::of(tables.producer("--lake-path t -n 10"));
        assert_refused(&again, 1, &[message, "00000000000000000003.json"]);
    }
}

#[test]
fn impossible_starts_are_refused_without_traces() {
    let Some(tables) = Tables::new("starts that cannot be") else { return };
    tables.send("--lake-path t -n 100 --commit-interval 50ms");
    let before = tables.sandbox.entries();
    for (args, needles) in [
        ("--from version:99", &["has versions 0 to ", "--from version:N"][..]),
        ("--from version:99 --follow", &["there is no version 99"]),
        ("--from version:99 --wait-for-table 1h --follow", &["there is no version 99"]),
        ("--from timestamp:2100-01-01T00:00:00Z", &["2100-01-01", "the newest is version"]),
        ("--from timestamp:2100-01-01T00:00:00Z --follow", &["the newest is version"]),
        ("--from timestamp:1700000000000", &["in milliseconds", "timestamp:1700000000"]),
        ("--from end", &["--follow"]),
        ("--from version:99 --output-path windows.csv", &["there is no version 99"]),
    ] {
        let output = tables.run(&format!("--lake-path t {args}"));
        assert_refused(&output, 2, needles);
        assert_eq!(tables.sandbox.entries(), before, "{args}");
    }
    let log = tables.sandbox.path().join("t/_delta_log");
    let next = std::fs::read_dir(log).expect("a log").count();
    let args = format!("--lake-path t --from version:{next} --follow --duration 1s");
    let output = tables.run(&args);
    assert!(!output.stderr.contains("error: "), "the next version may be awaited: {output:?}");
}
