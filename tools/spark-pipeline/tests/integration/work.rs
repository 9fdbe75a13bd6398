//! What the job does with events: counts, joins, and what it drops.

use bench_record::{RunDocument, Summary};
use bench_testing::tool::Sandbox;

use crate::Spark;

/// The job of the tool.
const JOB: &str = include_str!("../../../../experiments/kafka-spark/stream.py");

fn summary(document: &RunDocument) -> &Summary {
    document.summary.as_ref().expect("figures")
}

#[test]
fn counts_add_up_to_the_events() {
    let Some(spark) = Spark::for_test("counting events") else { return };
    let sandbox = Sandbox::new(crate::TOOL);
    let args = "--topic counted --work aggregate --rate 300/s --duration 8s --trigger 0 \
                --partitions 2 --drain-timeout 60s";
    let output = spark.run(&sandbox, args);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("by number only: 2,400 acked, 2,400 received"), "{output:?}");
    let document = sandbox.document("results");
    let summary = summary(&document);
    assert_eq!(summary.counts["events_processed"], 2_400);
    assert_eq!(summary.counts["results_unreadable"], 0);
    let results = summary.counts["results"];
    // Four types of event in at least one window, and no result without an event.
    assert!((4..=2_400).contains(&results), "{results}");
    assert_eq!(summary.durations["result_time"].count, results);
}

#[test]
fn counts_that_miss_events_are_invalid() {
    let Some(spark) = Spark::for_test("counts that miss events") else { return };
    let sandbox = Sandbox::new(crate::TOOL);
    let kept = r#"good.withColumn("at""#;
    let job = JOB.replace(kept, r#"good.where("event.event_type <> 'login'").withColumn("at""#);
    assert_ne!(job, JOB);
    sandbox.write("job.py", &job);
    let args = "--topic miscounted --work aggregate --rate 300/s --duration 4s --trigger 0 \
                --partitions 2 --drain-timeout 5s --job job.py";
    let output = spark.run(&sandbox, args);
    assert_eq!(output.code, 3, "{output:?}");
    assert!(output.stdout.contains("fewer messages were received"), "{output:?}");
}

#[test]
fn malformed_events_are_counted_and_dropped() {
    let Some(spark) = Spark::for_test("malformed events") else { return };
    let sandbox = Sandbox::new(crate::TOOL);
    let args = "--topic malformed --work join --malformed 5% --rate 300/s --duration 6s \
                --trigger 0 --partitions 2 --drain-timeout 60s";
    let output = spark.run(&sandbox, args);
    assert_eq!(output.code, 0, "{output:?}");
    let document = sandbox.document("results");
    let summary = summary(&document);
    let audit = summary.audit.as_ref().expect("an audit");
    assert_eq!((audit.received, audit.lost, audit.foreign, audit.corrupt), (1_800, 0, 0, 0));
    let count = |name: &str| summary.counts[name];
    assert_eq!((count("events_malformed_sent"), count("events_malformed")), (90, 90));
    let table = sandbox.run_folder("results").join("intervals.csv");
    let mut table = csv::Reader::from_path(table).expect("a table");
    let head = table.headers().expect("a header").clone();
    let column = |name: &str| head.iter().position(|column| column == name).expect("a column");
    let (processed, backlog) = (column("events_processed"), column("backlog"));
    let rows: Vec<_> = table.records().map(|row| row.expect("a row")).collect();
    let number =
        |row: &csv::StringRecord, column: usize| row[column].parse::<u64>().expect("a number");
    assert_eq!(rows.iter().map(|row| number(row, processed)).sum::<u64>(), 1_800);
    assert!(rows.iter().any(|row| number(row, backlog) > 0), "nothing waited for its batch");
}
