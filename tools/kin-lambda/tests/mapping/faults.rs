//! Functions that fail: what is lost is named, and what is not lost arrives.

use std::time::Duration;

use bench_proxy::Proxy;
use bench_service_lambda::MappingConfig;
use rustix::process::{Signal, kill_process};

use super::harness::Bench;
use super::settings;

const POISON: u64 = 137;

fn poisoned(bench: &Bench, changes: &[(&str, &str)]) -> MappingConfig {
    let mut config = bench.config(settings(changes));
    config.function.environment.insert("BENCH_POISON_SEQUENCE".into(), POISON.to_string());
    config
}

/// The poison isolated by bisecting: exactly its record is given up, all others land.
fn bisecting_isolates_it(bench: &Bench, reports: &str) {
    let numbers = bench.put_messages(0..300);
    let changes = [
        ("bisect-batch-on-function-error", "true"),
        ("report-batch-item-failures", reports),
        ("maximum-retry-attempts", "1"),
    ];
    let mapping = bench.start(poisoned(bench, &changes));
    bench.until("something is given up", || !bench.given_up().is_empty());
    bench.await_messages((0..300).filter(|sequence| *sequence != POISON));
    let report = mapping.stop();
    let poison = numbers[usize::try_from(POISON).expect("small")].clone();
    assert_eq!(bench.given_up(), [("RetryAttemptsExhausted".to_owned(), vec![poison])]);
    assert_eq!((report.counts.given_up_retries, report.counts.records_done), (1, 299));
    assert!(report.counts.bisections >= 5, "{report:?}");
}

#[test]
fn bisecting_isolates_a_poison_record_by_errors_alone() {
    let bench = Bench::new("poison-errors", 1);
    bisecting_isolates_it(&bench, "false");
    assert!(bench.report().expect("a report").invoked.errors >= 7);
}

#[test]
fn bisecting_isolates_a_poison_record_that_is_reported() {
    let bench = Bench::new("poison-reported", 1);
    bisecting_isolates_it(&bench, "true");
    let report = bench.report().expect("a report");
    assert_eq!(report.invoked.errors, 0, "a partial failure is no error of the function");
    assert!(report.counts.partial_failures >= 1);
}

#[test]
fn a_partial_failure_is_tried_again_from_its_record_and_then_given_up_with_what_follows() {
    let bench = Bench::new("partial", 1);
    let numbers = bench.put_messages(0..300);
    let mapping = bench.start(poisoned(&bench, &[("maximum-retry-attempts", "2")]));
    bench.until("something is given up", || !bench.given_up().is_empty());
    bench.await_messages((0..300).filter(|sequence| *sequence != POISON));
    let report = mapping.stop();
    // The batch of 100 in which it is; what stands before it was done at the first attempt.
    let given_up = numbers[137..200].to_vec();
    assert_eq!(bench.given_up(), [("RetryAttemptsExhausted".to_owned(), given_up)]);
    assert_eq!((report.counts.retries, report.counts.partial_failures), (2, 1));
    let counts = bench.counts();
    assert_eq!((counts[&136], counts[&138], counts[&200]), (1, 3, 1), "landed, though given up");
}

#[test]
fn a_crash_in_mid_event_loses_nothing() {
    let bench = Bench::new("crash", 1);
    // The table is slow, so that the function can be met in mid-event.
    let proxy = Proxy::listen().expect("a port");
    proxy.set_target(bench.dynamodb_address());
    let mut config = bench.config(settings(&[("batch-size", "500")]));
    let url = format!("http://127.0.0.1:{}", proxy.port());
    config.function.environment.insert("AWS_ENDPOINT_URL_DYNAMODB".into(), url);
    let mapping = bench.start(config);
    bench.put_messages(0..1);
    bench.await_messages(0..1);
    proxy.set_bandwidth(Some(50_000));
    bench.put_messages(1..500);
    bench.until("some rows are there", || bench.rows().len() > 50);
    assert!(bench.rows().len() < 500, "in mid-event");
    let workers = bench.workers();
    assert_eq!(workers.len(), 1);
    kill_process(workers[0], Signal::KILL).expect("killed");
    proxy.set_bandwidth(None);
    bench.await_messages(0..500);
    let report = mapping.stop();
    assert_eq!((report.invoked.crashes, report.counts.records_done), (1, 500));
    assert_eq!((report.invoked.cold_starts, report.counts.retries), (2, 1));
    assert!(bench.rows().len() > 500, "what had landed landed again");
}

#[test]
fn a_function_that_takes_too_long_is_killed_and_tried_again() {
    let bench = Bench::new("timeout", 1);
    let mut config = bench.config(settings(&[]));
    config.function.timeout_ms = 1_000;
    let mapping = bench.start(config);
    bench.put_messages(0..1);
    bench.await_messages(0..1);
    let workers = bench.workers();
    assert_eq!(workers.len(), 1);
    kill_process(workers[0], Signal::STOP).expect("stopped");
    bench.put_messages(1..20);
    bench.await_messages(0..20);
    let report = mapping.stop();
    assert_eq!((report.invoked.timeouts, report.invoked.cold_starts), (1, 2));
    assert!(report.invoked.duration_max_ms >= 1_000);
}

#[test]
fn records_that_are_too_old_are_given_up_and_reported() {
    let bench = Bench::new("too-old", 1);
    let old = bench.put_messages(0..10);
    // Streams that stand in tell arrival times in whole seconds.
    std::thread::sleep(Duration::from_secs(7));
    bench.put_messages(10..15);
    let mapping = bench.start(bench.config(settings(&[("maximum-record-age-s", "5")])));
    bench.await_messages(10..15);
    let report = mapping.stop();
    assert_eq!(bench.given_up(), [("RecordAgeExceeded".to_owned(), old)]);
    assert_eq!((report.counts.given_up_age, report.counts.records_done), (10, 5));
}

#[test]
fn a_function_that_does_not_start_is_tried_again_and_what_it_missed_is_named() {
    let bench = Bench::new("no-start", 1);
    let numbers = bench.put_messages(0..3);
    let mut config = bench.config(settings(&[("maximum-retry-attempts", "1")]));
    config.function.environment.insert("BENCH_CONFIRM".into(), "maybe".into());
    let mapping = bench.start(config);
    bench.until("all is given up", || !bench.given_up().is_empty());
    let report = mapping.stop();
    assert_eq!(bench.given_up(), [("RetryAttemptsExhausted".to_owned(), numbers)]);
    assert_eq!((report.invoked.init_failures, report.invoked.invocations), (2, 0));
    assert!(bench.function_log().contains("BENCH_CONFIRM is 'maybe'"), "{}", bench.function_log());
}
