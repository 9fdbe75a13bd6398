//! The figures as `OpenMetrics` text.

use std::fmt;
use std::sync::PoisonError;

use bench_core::clock::InstantNs;
use bench_core::engine::{Plan, Totals};
use bench_core::latency::LatencyHistogram;
use bench_record::LatencyKind;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::Shared;

/// Begins all names.
const PREFIX: &str = "bench";

/// Upper ends of the buckets of latencies, nanoseconds: 1, 2, 5 and so on from 10 us to 100 s.
const BUCKETS_NS: [u64; 22] = [
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
    10_000_000_000,
    20_000_000_000,
    50_000_000_000,
    100_000_000_000,
];

/// Which run it is.
#[derive(Debug)]
pub(super) struct RunInfo {
    pub(super) tool: String,
    pub(super) run_id: String,
}

/// A run's figures at one instant, from its beginning on.
#[derive(Debug, Clone, Default)]
pub(super) struct Snapshot {
    elapsed_s: f64,
    target_rate: Option<f64>,
    sent: u64,
    acked: u64,
    acked_bytes: u64,
    failed: u64,
    received: u64,
    received_bytes: u64,
    /// Whether the run receives what it sends.
    has_backlog: bool,
    latencies: Vec<(LatencyKind, Distribution)>,
}

/// A distribution in buckets.
#[derive(Debug, Clone)]
struct Distribution {
    sum_s: f64,
    count: u64,
    /// Upper end, seconds, and the samples in the bucket.
    buckets: Vec<(f64, u64)>,
}

impl Snapshot {
    pub(super) fn of(plan: &Plan, consumes: bool, now_ns: InstantNs, totals: &Totals) -> Self {
        let latencies = totals.latencies.iter().filter(|(_, latency)| !latency.is_empty());
        Self {
            elapsed_s: now_ns.saturating_sub(plan.timeline.start_ns) as f64 / 1e9,
            target_rate: plan.schedule.target_rate_per_s(),
            sent: totals.sent,
            acked: totals.acked.messages,
            acked_bytes: totals.acked.bytes,
            failed: totals.failures.values().sum(),
            received: totals.received.messages,
            received_bytes: totals.received.bytes,
            has_backlog: consumes && totals.sent > 0,
            latencies: latencies.map(|(kind, it)| (kind, Distribution::of(it))).collect(),
        }
    }
}

impl Distribution {
    fn of(latency: &LatencyHistogram) -> Self {
        let histogram = latency.histogram();
        let mut counts = [0_u64; BUCKETS_NS.len() + 1];
        for bucket in histogram.iter_recorded() {
            // A sample at the end of a bucket belongs to it, to the histogram's three digits.
            let ns = histogram.lowest_equivalent(bucket.value_iterated_to());
            let place = BUCKETS_NS.partition_point(|end| *end < ns);
            counts[place] += bucket.count_since_last_iteration();
        }
        // The last one has no end.
        let ends = BUCKETS_NS.iter().map(|ns| *ns as f64 / 1e9).chain([f64::INFINITY]);
        let count = histogram.len();
        Self {
            sum_s: histogram.mean() * count as f64 / 1e9,
            count,
            buckets: ends.zip(counts).collect(),
        }
    }
}

impl Shared {
    /// The figures as text.
    pub(super) fn text(&self) -> String {
        let mut registry = Registry::with_prefix(PREFIX);
        let RunInfo { tool, run_id } = &self.info;
        let labels = vec![("tool".to_owned(), tool.clone()), ("run_id".to_owned(), run_id.clone())];
        registry.register("run", "The run that these figures are of", Info::new(labels));
        let snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone();
        registry.register_collector(Box::new(snapshot));
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut text, &registry);
        text
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut counter = |name: &str, help: &str, unit: Option<&Unit>, value: u64| {
            let counter = ConstCounter::new(value);
            let metric = encoder.encode_descriptor(name, help, unit, MetricType::Counter)?;
            counter.encode(metric)
        };
        counter("messages_sent", "Messages handed to the client", None, self.sent)?;
        counter("messages_acked", "Messages that the system confirmed", None, self.acked)?;
        counter("messages_failed", "Messages refused or given up", None, self.failed)?;
        counter("messages_received", "Messages received", None, self.received)?;
        counter("acked", "Confirmed", Some(&Unit::Bytes), self.acked_bytes)?;
        counter("received", "Received", Some(&Unit::Bytes), self.received_bytes)?;
        let mut gauge = |name: &str, help: &str, unit: Option<&Unit>, value: f64| {
            let gauge = ConstGauge::new(value);
            let metric = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
            gauge.encode(metric)
        };
        gauge("elapsed", "Since the start of the schedule", Some(&Unit::Seconds), self.elapsed_s)?;
        if let Some(rate) = self.target_rate {
            gauge("target_messages_per_second", "What the schedule asks for", None, rate)?;
        }
        if self.has_backlog {
            let backlog = self.acked.saturating_sub(self.received) as f64;
            gauge("backlog_messages", "Messages confirmed and not yet received", None, backlog)?;
        }
        for (kind, latency) in &self.latencies {
            let name = kind.field();
            let unit = Some(&Unit::Seconds);
            let mut metric =
                encoder.encode_descriptor(name, kind.title(), unit, MetricType::Histogram)?;
            let Distribution { sum_s, count, buckets } = latency;
            metric.encode_histogram::<NoLabelSet>(*sum_s, *count, buckets, None)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_in_buckets_of_seconds() {
        let mut latency = LatencyHistogram::new();
        for ns in [5_000, 10_000, 15_000_000, 15_000_000, 200_000_000_000] {
            latency.record(ns);
        }
        let found = Distribution::of(&latency);
        let counted: Vec<(f64, u64)> =
            found.buckets.iter().filter(|(_, count)| *count > 0).copied().collect();
        assert_eq!(counted, [(1e-5, 2), (0.02, 2), (f64::INFINITY, 1)]);
        assert_eq!(found.count, 5);
        assert!((found.sum_s - 200.03).abs() < 0.3, "{}", found.sum_s);
    }
}
