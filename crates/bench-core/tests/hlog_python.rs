//! The interval logs of a result folder, read by an implementation that shares no code with ours:
//! the Python package `hdrhistogram`.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use bench_core::engine::{Interval, IntervalSink as _, Latencies, Timeline};
use bench_core::latency::LatencyHistogram;
use bench_core::message::RunId;
use bench_core::results::RunFolder;
use bench_record::latency::{LATENCY_MAX_NS, SIGNIFICANT_DIGITS};
use rand::SeedableRng as _;
use rand_distr::{Distribution as _, LogNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde_json::{Value, json};

const INTERVALS: u64 = 7;

/// Samples of each latency in an interval. Every percentile that is compared then falls on a sample:
/// between two of them the implementations round differently.
const SAMPLES: u64 = 50_000;

const TIMELINE: Timeline =
    Timeline { start_ns: 1_000, warm_up_end_ns: 1_000, interval_ns: 1_000_000_000 };

/// Log-normally distributed latencies.
fn samples(median_ns: f64, sigma: f64, rng: &mut Xoshiro256PlusPlus) -> LatencyHistogram {
    let distribution = LogNormal::new(median_ns.ln(), sigma).expect("valid parameters");
    let mut latency = LatencyHistogram::new();
    for _ in 0..SAMPLES {
        #[expect(clippy::cast_possible_truncation, reason = "whole nanoseconds are wanted")]
        latency.record(distribution.sample(rng) as i64);
    }
    latency
}

/// From fractions of a microsecond to minutes, so that every part of the histograms is used.
fn interval(index: u64, rng: &mut Xoshiro256PlusPlus) -> Interval {
    Interval {
        index,
        start_ns: TIMELINE.interval_start_ns(index),
        end_ns: TIMELINE.interval_start_ns(index + 1),
        latencies: Latencies {
            publish_latency: samples(5e5, 1.0, rng),
            service_time: samples(4e5, 0.5, rng),
            schedule_lag: samples(1e3, 2.0, rng),
            end_to_end_latency: samples(1e9, 1.5, rng),
            stages: None,
        },
        ..Interval::default()
    }
}

/// The figures of a log, as Python has them.
fn read_with_python(log: &Path) -> Value {
    let output = Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/read_hlog.py"))
        .arg(log)
        .args([LATENCY_MAX_NS.to_string(), SIGNIFICANT_DIGITS.to_string()])
        .output()
        .expect("python3 starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("the script prints JSON")
}

fn python_reads_histograms() -> bool {
    let status = Command::new("python3").args(["-c", "import hdrh"]).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

#[test]
fn another_implementation_reads_the_same_percentiles_from_the_interval_logs() {
    if !python_reads_histograms() {
        // Straight to the stream, which the test harness does not hide.
        let line = "skipped: reading interval logs with Python needs python3 and its package \
                    hdrhistogram (pip install hdrhistogram)\n";
        std::io::stderr().write_all(line.as_bytes()).expect("standard error");
        return;
    }
    let temporary = tempfile::tempdir().expect("temporary folder");
    let run = RunId::from_bits(1);
    let mut folder = RunFolder::create_below(temporary.path(), "tool", run, SystemTime::now())
        .expect("a folder");
    folder.set_timeline(TIMELINE);
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut whole = Latencies::default();
    for index in 0..INTERVALS {
        let interval = interval(index, &mut rng);
        whole.merge(&interval.latencies);
        folder.interval(&interval);
    }
    assert_eq!(folder.warning(), None);

    for (kind, latency) in whole.iter() {
        let name = kind.field();
        let summary = latency.summary().expect("samples");
        assert_eq!(summary.count, INTERVALS * SAMPLES, "{name}");
        let expected = json!({
            "intervals": INTERVALS,
            "count": summary.count,
            "p50_ns": summary.p50_ns,
            "p90_ns": summary.p90_ns,
            "p99_ns": summary.p99_ns,
            "p99_9_ns": summary.p99_9_ns,
            "max_ns": summary.max_ns,
        });
        assert_eq!(read_with_python(&folder.path().join(format!("{name}.hlog"))), expected);
    }
}
