//! Names of the files in a result folder.

/// The document of the run.
pub const DOCUMENT: &str = "run.json";

/// The table of intervals.
pub const INTERVALS: &str = "intervals.csv";

/// What the run's producers had acknowledged.
pub const ACKED: &str = "acked.json";

/// What a driver has found out about the course of the run.
pub const ANALYSIS: &str = "analysis.json";

/// The figures of the run as the last reader of its metrics could have seen them.
pub const METRICS: &str = "metrics.txt";

/// How the latencies of the run were distributed, over all of it and over time.
pub const DISTRIBUTIONS: &str = "distributions.json";

/// The interval log of a latency or duration.
#[must_use]
pub fn interval_log(name: &str) -> String {
    format!("{name}.hlog")
}
