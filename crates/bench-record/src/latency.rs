//! Latencies: their kinds, their names, and their figures.

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The largest latency that the histograms hold, in nanoseconds: one hour.
pub const LATENCY_MAX_NS: u64 = 3_600_000_000_000;

/// Significant decimal digits of every latency.
pub const SIGNIFICANT_DIGITS: u8 = 3;

/// The value that `percentile` percent (0 to 100) of the samples do not exceed; 0 without samples.
#[must_use]
pub fn percentile_ns(histogram: &Histogram<u64>, percentile: f64) -> u64 {
    let samples = histogram.len() as f64;
    // 99.9 is not an exact binary number, yet 99.9 % of 1,000 samples must be 999.
    let rank = (percentile * samples / 100.0 - 1e-6).ceil().max(1.0);
    // Half a sample below the rank, rounding cannot reach another one.
    histogram.value_at_quantile((rank - 0.5) / samples.max(1.0))
}

/// A latency of messages.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum LatencyKind {
    /// Acked less intended.
    Publish,
    /// Acked less sent.
    ServiceTime,
    /// Received minus intended (closed loop: minus sent).
    EndToEnd,
    /// Arrived in the stream, by the stream's wall clock, less intended.
    Arrival,
    /// Landed (the write of the row was confirmed) less intended.
    Landing,
    /// Landed less received: the time spent on the table.
    TableTime,
    /// Sent less intended.
    ScheduleLag,
}

impl LatencyKind {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 7] = [
        Self::Publish,
        Self::ServiceTime,
        Self::EndToEnd,
        Self::Arrival,
        Self::Landing,
        Self::TableTime,
        Self::ScheduleLag,
    ];

    /// Those that count from the beginning of a message, the longest way first. The service time stands in
    /// for the others where there is no schedule.
    pub const WAYS: [Self; 4] = [Self::Landing, Self::EndToEnd, Self::Publish, Self::ServiceTime];

    /// The only place where latencies get their names, in the order of the functions below.
    const fn names(self) -> [&'static str; 4] {
        match self {
            Self::Publish => ["publish_latency", "publish", "publish latency", "publish"],
            Self::ServiceTime => ["service_time", "service_time", "service time", "service time"],
            Self::EndToEnd => {
                ["end_to_end_latency", "end_to_end", "end-to-end latency", "end-to-end"]
            }
            Self::Arrival => ["arrival_latency", "arrival", "arrival latency", "arrival"],
            Self::Landing => ["landing_latency", "landing", "landing latency", "landing"],
            Self::TableTime => ["table_time", "table_time", "table time", "table time"],
            Self::ScheduleLag => ["schedule_lag", "schedule_lag", "schedule lag", "schedule lag"],
        }
    }

    /// Name of its field in `run.json`, and of its interval log.
    #[must_use]
    pub const fn field(self) -> &'static str {
        self.names()[0]
    }

    /// First part of the names of its columns, before `_p99_ns`.
    #[must_use]
    pub const fn column(self) -> &'static str {
        self.names()[1]
    }

    /// Its name for people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.names()[2]
    }

    /// Its name for people where the context says that it is a latency.
    #[must_use]
    pub const fn short_title(self) -> &'static str {
        self.names()[3]
    }
}

/// A distribution of latencies, nanoseconds, read from an HDR histogram of three significant
/// digits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatencySummary {
    /// Samples in the distribution.
    pub count: u64,
    /// Arithmetic mean.
    pub mean_ns: f64,
    /// Standard deviation.
    pub std_dev_ns: f64,
    /// Smallest sample.
    pub min_ns: u64,
    /// Median.
    pub p50_ns: u64,
    /// 75th percentile.
    pub p75_ns: u64,
    /// 90th percentile.
    pub p90_ns: u64,
    /// 95th percentile.
    pub p95_ns: u64,
    /// 99th percentile.
    pub p99_ns: u64,
    /// 99.9th percentile.
    pub p99_9_ns: u64,
    /// 99.99th percentile.
    pub p99_99_ns: u64,
    /// Largest sample.
    pub max_ns: u64,
    /// Samples of messages that were never answered, counted with the time they had waited. Their
    /// latency is at least that.
    #[serde(default)]
    pub unanswered: u64,
    /// The shortest of these waits: percentiles from there on are lower bounds. 0 if there is none.
    #[serde(default)]
    pub unanswered_min_ns: u64,
    /// Samples below zero, excluded from percentiles: a sign that clocks disagree.
    pub negative: u64,
    /// The most negative sample; 0 if there is none.
    pub negative_min_ns: i64,
    /// Samples beyond the histogram's range, excluded from percentiles.
    pub beyond_range: u64,
    /// The largest of them; 0 if there is none.
    pub beyond_range_max_ns: u64,
}

impl LatencySummary {
    /// Whether a percentile of `latency_ns` is a lower bound because it includes unanswered messages.
    #[must_use]
    pub fn is_lower_bound(&self, latency_ns: u64) -> bool {
        self.unanswered > 0 && latency_ns >= self.unanswered_min_ns
    }
}
