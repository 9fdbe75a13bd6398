//! What the job does with events: what it counts, and what it drops.

use std::path::Path;

use bench_testing::tool::Sandbox;

use crate::{Spark, changed_job};

#[test]
fn counts_add_up_to_the_events_that_are_not_malformed() {
    let Some(spark) = Spark::for_test("counting events") else { return };
    let sandbox = Sandbox::new(crate::TOOL);
    let args = "--topic counted --work aggregate --malformed 5% --rate 300/s --duration 6s \
                --trigger 0 --partitions 2 --drain-timeout 60s";
    let output = spark.run(&sandbox, args);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("by number only: 1,800 acked, 1,800 received"), "{output:?}");
    let document = sandbox.document("results");
    let summary = document.summary.as_ref().expect("figures");
    let count = |name: &str| summary.counts[name];
    assert_eq!((count("events_processed"), count("results_unreadable")), (1_800, 0));
    assert_eq!((count("events_malformed_sent"), count("events_malformed")), (90, 90));
    // Four types of event in at least one window, and no result without an event.
    let results = count("results");
    assert!((4..=1_800).contains(&results), "{results}");
    assert_eq!(summary.durations["result_time"].count, results);
    assert_intervals(&sandbox.run_folder("results").join("intervals.csv"));
}

/// Asserts that the table has what the job processed, and what waited for it.
fn assert_intervals(table: &Path) {
    let mut table = csv::Reader::from_path(table).expect("a table");
    let head = table.headers().expect("a header").clone();
    let rows: Vec<_> = table.records().map(|row| row.expect("a row")).collect();
    let numbers = |name: &str| -> Vec<u64> {
        let column = head.iter().position(|column| column == name).expect("a column");
        rows.iter().map(|row| row[column].parse().expect("a number")).collect()
    };
    assert_eq!(numbers("events_processed").iter().sum::<u64>(), 1_800);
    assert!(numbers("backlog").iter().any(|&events| events > 0), "nothing waited for its batch");
}

#[test]
#[ignore = "a minute of Spark"]
fn counts_that_miss_events_are_invalid() {
    let Some(spark) = Spark::for_test("counts that miss events") else { return };
    let sandbox = Sandbox::new(crate::TOOL);
    let kept = r#"good.withColumn("at""#;
    let lacking = r#"good.where("event.event_type <> 'login'").withColumn("at""#;
    sandbox.write("job.py", &changed_job(&[(kept, lacking)]));
    let args = "--topic miscounted --work aggregate --rate 300/s --duration 4s --trigger 0 \
                --partitions 2 --drain-timeout 5s --job job.py";
    let output = spark.run(&sandbox, args);
    assert_eq!(output.code, 3, "{output:?}");
    assert!(output.stdout.contains("fewer messages were received"), "{output:?}");
}
