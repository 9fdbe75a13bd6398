//! The windows file, and the command line of the earlier script.

use bench_testing::tool::Running;

use crate::tables::Tables;

/// The rows of the file, as numbers.
fn rows(tables: &Tables, name: &str) -> Vec<[f64; 6]> {
    let text = std::fs::read_to_string(tables.sandbox.path().join(name)).expect("a file");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("time_from_start,p50,p75,p85,p95,p99"));
    let row = |line: &str| {
        let numbers = line.split(',').map(|cell| cell.parse().expect("a number"));
        numbers.collect::<Vec<f64>>().try_into().expect("six columns")
    };
    lines.map(row).collect()
}

#[test]
fn old_command_line_writes_one_row_per_window() {
    let Some(tables) = Tables::new("the earlier script's consumer") else { return };
    let reading = "--lake-path s3://bench/t --output-path out/2000.csv --expected-messages 8000 \
                   --log-frequency 2000 --s3-backend s3 --autocommit-duration-ms 100";
    let consumer = Running::start(tables.command(reading));
    tables.send(
        "--lake-path s3://bench/t --rate 2000 --seconds-to-stream 4 --s3-backend s3 \
         --autocommit-duration-ms 100",
    );
    let output = consumer.end();
    assert_eq!(output.code, 0, "{output:?}");
    let rows = rows(&tables, "out/2000.csv");
    assert!((2..=5).contains(&rows.len()), "{rows:?}");
    for [_, p50, p75, p85, p95, p99] in &rows {
        assert!(p50 <= p75 && p75 <= p85 && p85 <= p95 && p95 <= p99, "{rows:?}");
        assert!(*p50 > 1.0 && *p99 < 60_000.0, "milliseconds: {rows:?}");
    }
    assert!(rows.is_sorted_by(|one, other| one[0] < other[0]), "{rows:?}");
    assert_eq!(tables.sandbox.document("results").options["poll-interval"], "5ms");
}

#[test]
fn time_windows_may_be_shorter_than_intervals() {
    let Some(tables) = Tables::new("windows of time") else { return };
    let reading =
        "--lake-path t --output_path w.csv --expected_messages 6000 --log_frequency 500ms";
    let consumer = Running::start(tables.command(reading));
    tables.send("--lake-path t --rate 2000 --duration 3s --commit-interval 50ms");
    let output = consumer.end();
    assert_eq!(output.code, 0, "{output:?}");
    let rows = rows(&tables, "w.csv");
    assert!((5..=20).contains(&rows.len()), "{rows:?}");
}

#[test]
fn windows_without_messages_have_no_row() {
    let Some(tables) = Tables::new("windows of nothing") else { return };
    tables.send("--lake-path t -n 10 --commit-interval 50ms");
    let output = tables.run("--lake-path t --from end --follow --duration 1s --output-path w.csv");
    assert_eq!(output.code, 3, "a run without messages is not valid: {output:?}");
    assert_eq!(rows(&tables, "w.csv"), [[0.0; 6]; 0]);
}
