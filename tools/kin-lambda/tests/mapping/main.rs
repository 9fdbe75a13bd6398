//! A stream, the event source mapping, the real function and the table, end to end.

mod faults;
mod harness;
mod shards;

use std::collections::BTreeMap;

use bench_kinesis::aggregation::Aggregator;
use bench_service_lambda::MappingSettings;
use harness::Bench;
use local_lambda::MappingState;

/// Settings that nothing but these is different in.
fn settings(changes: &[(&str, &str)]) -> MappingSettings {
    let mut settings = MappingSettings::default();
    for (name, value) in changes {
        settings.set(name, value).expect("it can be");
    }
    settings
}

#[test]
fn every_record_lands_once_the_last_one_included() {
    let bench = Bench::new("every-record", 1);
    bench.put_messages(0..1_003);
    let mapping = bench.start(bench.config(settings(&[])));
    bench.await_messages(0..1_003);
    let report = mapping.stop();
    assert!(bench.counts().values().all(|count| *count == 1), "each once");
    assert!(bench.rows().iter().all(|row| row.message == bench.message(row.sequence)));
    assert_eq!(report.state, MappingState::Stopped);
    assert_eq!((report.counts.records_read, report.counts.records_done), (1_003, 1_003));
    assert_eq!(report.invoked.invocations, 11, "batches of 100");
    assert_eq!((report.invoked.cold_starts, report.invoked.concurrency_max), (1, 1));
    assert!(report.invoked.billed_ms >= 11 && report.invoked.init_ms > 0, "{report:?}");
    assert_eq!(bench.report().expect("a file"), report);
    assert!(bench.workers().is_empty(), "its workers end with the mapping");
}

#[test]
fn the_records_of_aggregates_land_one_by_one() {
    let bench = Bench::new("aggregates", 1);
    let mut aggregator = Aggregator::new(20_000);
    let mut records = vec![("plain".to_owned(), bench.message(0))];
    let mut close = |aggregator: &mut Aggregator| {
        let aggregate = aggregator.close().expect("it holds something");
        records.push((aggregate.partition_key, aggregate.data));
    };
    for sequence in 1..500 {
        let message = bench.message(sequence);
        if !aggregator.push("user", None, &message) {
            close(&mut aggregator);
            assert!(aggregator.push("user", None, &message));
        }
    }
    close(&mut aggregator);
    assert!(records.len() > 3);
    bench.put(records);
    let mapping = bench.start(bench.config(settings(&[])));
    bench.await_messages(0..500);
    drop(mapping);
    assert!(bench.counts().values().all(|count| *count == 1), "each once");
    let keys: BTreeMap<u64, String> =
        bench.rows().into_iter().map(|row| (row.sequence, row.key)).collect();
    assert_eq!((keys[&0].as_str(), keys[&499].as_str()), ("plain", "user"));
}

#[test]
fn lanes_work_at_the_same_time_and_keep_the_order_of_each_key() {
    let bench = Bench::new("lanes", 1);
    let key = |sequence: u64| format!("key-{}", sequence % 20);
    bench.put((0..3_000).map(|sequence| (key(sequence), bench.message(sequence))));
    let changes = [("parallelization-factor", "5"), ("batch-size", "20")];
    let mapping = bench.start(bench.config(settings(&changes)));
    bench.await_messages(0..3_000);
    let report = mapping.stop();
    let mut rows = bench.rows();
    assert_eq!(rows.len(), 3_000);
    rows.sort_unstable_by_key(|row| row.sequence);
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for row in &rows {
        assert_eq!(row.key, key(row.sequence));
        let before = last.insert(&row.key, row.received_ns).unwrap_or(0);
        assert!(before <= row.received_ns, "{} of {} came too early", row.sequence, row.key);
    }
    assert!((2..=5).contains(&report.invoked.concurrency_max), "{report:?}");
    assert_eq!(report.invoked.cold_starts, u64::from(report.invoked.concurrency_max));
}

#[test]
fn a_window_collects_records_that_come_one_by_one() {
    let bench = Bench::new("window", 1);
    let changes = [("batching-window-ms", "1500"), ("batch-size", "1000")];
    let mapping = bench.start(bench.config(settings(&changes)));
    for sequence in 0..10 {
        bench.put_messages(sequence..sequence + 1);
    }
    bench.await_messages(0..10);
    assert!(mapping.stop().invoked.invocations < 10);
}

#[test]
fn a_mapping_that_is_started_again_goes_on_where_it_was() {
    let bench = Bench::new("again", 2);
    let put = |range: std::ops::Range<u64>| {
        bench.put(range.map(|sequence| (sequence.to_string(), bench.message(sequence))));
    };
    put(0..200);
    let config = bench.config(settings(&[]));
    let first = bench.start(config.clone());
    bench.await_messages(0..200);
    first.stop();
    put(200..300);
    let second = bench.start(config);
    bench.await_messages(0..300);
    let report = second.stop();
    assert_eq!(report.counts.records_read, 100, "nothing is read twice");
    assert!(bench.counts().values().all(|count| *count == 1));
}

#[test]
fn from_the_latest_on_nothing_older_is_read() {
    let bench = Bench::new("latest", 1);
    bench.put_messages(0..50);
    let mapping = bench.start(bench.config(settings(&[("starting-position", "latest")])));
    bench.until("the shard is being read", || {
        bench.report().is_some_and(|report| report.counts.read_calls > 0)
    });
    bench.put_messages(50..100);
    bench.await_messages(50..100);
    assert_eq!(mapping.stop().counts.records_read, 50);
}
