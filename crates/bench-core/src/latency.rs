//! Latency distributions: HDR histograms that drop no sample silently.

use bench_record::LatencySummary;
use bench_record::latency::{LATENCY_MAX_NS, SIGNIFICANT_DIGITS, percentile_ns};
use hdrhistogram::Histogram;

/// A distribution of latencies in nanoseconds, of bounded size whatever the number of samples.
///
/// Samples below zero (clocks that disagree) and above [`LATENCY_MAX_NS`] are excluded from
/// percentiles; they are counted, with the extreme of each, and reported beside the percentiles.
///
/// The latency of a message that was never answered is at least the time it waited. Such messages are
/// included in percentiles with that time: no percentile is larger than it would be had they been
/// answered later, and percentiles from the shortest of these waits on are lower bounds.
#[derive(Clone)]
pub struct LatencyHistogram {
    histogram: Histogram<u64>,
    unanswered: u64,
    unanswered_min_ns: u64,
    negative: u64,
    negative_min_ns: i64,
    beyond: u64,
    beyond_max_ns: u64,
}

impl LatencyHistogram {
    /// An empty distribution.
    ///
    /// # Panics
    /// Never: the bounds are constants that the histogram accepts.
    #[must_use]
    pub fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LATENCY_MAX_NS, SIGNIFICANT_DIGITS)
            .expect("constant bounds are valid");
        Self {
            histogram,
            unanswered: 0,
            unanswered_min_ns: u64::MAX,
            negative: 0,
            negative_min_ns: 0,
            beyond: 0,
            beyond_max_ns: 0,
        }
    }

    /// Adds the latency from `earlier_ns` to `later_ns`, two instants of one clock.
    #[inline]
    pub fn record_between(&mut self, earlier_ns: u64, later_ns: u64) {
        self.record(later_ns.wrapping_sub(earlier_ns).cast_signed());
    }

    /// Adds a latency in nanoseconds.
    #[inline]
    pub fn record(&mut self, latency_ns: i64) {
        match u64::try_from(latency_ns) {
            Ok(ns) if self.histogram.record(ns).is_ok() => {}
            Ok(ns) => self.record_beyond(ns),
            Err(_) => self.record_negative(latency_ns),
        }
    }

    /// Adds a message that waited from `earlier_ns` to `later_ns` and got no answer: its latency is at
    /// least that. A wait beyond the range counts as [`LATENCY_MAX_NS`], which is a bound as well.
    #[cold]
    pub fn record_unanswered(&mut self, earlier_ns: u64, later_ns: u64) {
        let waited_ns = later_ns.saturating_sub(earlier_ns).min(LATENCY_MAX_NS);
        self.record(waited_ns.cast_signed());
        self.unanswered += 1;
        self.unanswered_min_ns = self.unanswered_min_ns.min(waited_ns);
    }

    #[cold]
    fn record_beyond(&mut self, latency_ns: u64) {
        self.beyond += 1;
        self.beyond_max_ns = self.beyond_max_ns.max(latency_ns);
    }

    #[cold]
    fn record_negative(&mut self, latency_ns: i64) {
        self.negative += 1;
        self.negative_min_ns = self.negative_min_ns.min(latency_ns);
    }

    /// Adds all samples of `other`.
    ///
    /// # Panics
    /// Never: all histograms have the same bounds.
    pub fn merge(&mut self, other: &Self) {
        if other.is_empty() {
            return;
        }
        self.histogram.add(&other.histogram).expect("histograms of equal bounds");
        self.unanswered += other.unanswered;
        self.unanswered_min_ns = self.unanswered_min_ns.min(other.unanswered_min_ns);
        self.negative += other.negative;
        self.negative_min_ns = self.negative_min_ns.min(other.negative_min_ns);
        self.beyond += other.beyond;
        self.beyond_max_ns = self.beyond_max_ns.max(other.beyond_max_ns);
    }

    /// Forgets all samples and keeps the memory.
    pub fn clear(&mut self) {
        if self.is_empty() {
            return;
        }
        self.histogram.reset();
        (self.unanswered, self.unanswered_min_ns) = (0, u64::MAX);
        (self.negative, self.negative_min_ns, self.beyond, self.beyond_max_ns) = (0, 0, 0, 0);
    }

    /// Whether there is no sample, not even one out of range.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.histogram.is_empty() && self.negative == 0 && self.beyond == 0
    }

    /// The samples within the range.
    #[must_use]
    pub fn histogram(&self) -> &Histogram<u64> {
        &self.histogram
    }

    /// The latency, nanoseconds, that `percentile` (0 to 100) per cent of the samples do not
    /// exceed; 0 without samples.
    #[must_use]
    pub fn percentile_ns(&self, percentile: f64) -> u64 {
        percentile_ns(&self.histogram, percentile)
    }

    /// The figures for a result; `None` without samples.
    #[must_use]
    pub fn summary(&self) -> Option<LatencySummary> {
        if self.is_empty() {
            return None;
        }
        Some(LatencySummary {
            count: self.histogram.len(),
            mean_ns: self.histogram.mean(),
            std_dev_ns: self.histogram.stdev(),
            min_ns: self.histogram.min(),
            p50_ns: self.percentile_ns(50.0),
            p75_ns: self.percentile_ns(75.0),
            p90_ns: self.percentile_ns(90.0),
            p95_ns: self.percentile_ns(95.0),
            p99_ns: self.percentile_ns(99.0),
            p99_9_ns: self.percentile_ns(99.9),
            p99_99_ns: self.percentile_ns(99.99),
            max_ns: self.histogram.max(),
            unanswered: self.unanswered,
            unanswered_min_ns: if self.unanswered > 0 { self.unanswered_min_ns } else { 0 },
            negative: self.negative,
            negative_min_ns: self.negative_min_ns,
            beyond_range: self.beyond,
            beyond_range_max_ns: self.beyond_max_ns,
        })
    }
}

impl Default for LatencyHistogram {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_three_digits_of_the_exact_ones() {
        let mut latency = LatencyHistogram::new();
        for ns in 1..=1_000_000 {
            latency.record(ns);
        }
        let summary = latency.summary().expect("samples");
        for (value, exact) in [(summary.p50_ns, 500_000.0), (summary.p99_ns, 990_000.0)] {
            assert!((value as f64 / exact - 1.0).abs() < 1e-3, "{value} against {exact}");
        }
        assert_eq!((summary.count, summary.min_ns), (1_000_000, 1));
    }

    #[test]
    fn a_percentile_is_the_sample_of_its_rank() {
        let mut latency = LatencyHistogram::new();
        assert_eq!(latency.percentile_ns(50.0), 0, "without samples");
        for ns in 1..=1_000 {
            latency.record(ns);
        }
        let of = |percentile| latency.percentile_ns(percentile);
        assert_eq!([of(0.0), of(50.0), of(99.0), of(99.9), of(100.0)], [1, 500, 990, 999, 1_000]);
        assert_eq!([of(99.91), of(0.05)], [1_000, 1], "a part of a sample counts as one");
    }

    #[test]
    fn samples_out_of_range_are_counted_beside_the_percentiles() {
        let mut latency = LatencyHistogram::new();
        latency.record(1_000);
        latency.record_between(500, 200);
        latency.record_between(0, 2 * LATENCY_MAX_NS);
        let mut merged = LatencyHistogram::new();
        merged.merge(&latency);
        let summary = merged.summary().expect("samples");
        assert_eq!(summary.count, 1);
        assert_eq!((summary.negative, summary.negative_min_ns), (1, -300));
        assert_eq!((summary.beyond_range, summary.beyond_range_max_ns), (1, 2 * LATENCY_MAX_NS));
        merged.clear();
        assert!(merged.is_empty() && merged.summary().is_none());
    }

    #[test]
    fn unanswered_messages_are_in_the_percentiles_as_lower_bounds() {
        let mut latency = LatencyHistogram::new();
        for _ in 0..90 {
            latency.record(1_000);
        }
        for _ in 0..10 {
            latency.record_unanswered(500, 7_500);
        }
        latency.record_unanswered(0, 2 * LATENCY_MAX_NS);
        let mut merged = LatencyHistogram::new();
        merged.merge(&latency);
        let summary = merged.summary().expect("samples");
        assert_eq!((summary.count, summary.unanswered, summary.beyond_range), (101, 11, 0));
        assert_eq!(summary.unanswered_min_ns, 7_000);
        let bounds = [summary.p50_ns, summary.p90_ns, summary.p99_ns, summary.max_ns]
            .map(|latency_ns| summary.is_lower_bound(latency_ns));
        assert_eq!(bounds, [false, true, true, true], "90 of 101 are less than 90 %");
        merged.clear();
        assert!(merged.is_empty());
        merged.record(5);
        let cleared = merged.summary().expect("a sample");
        assert_eq!((cleared.unanswered, cleared.is_lower_bound(5)), (0, false));
    }

    #[test]
    fn a_distribution_of_nothing_but_negative_samples_is_still_reported() {
        let mut latency = LatencyHistogram::new();
        latency.record(-1);
        assert_eq!(latency.summary().expect("a sample").negative, 1);
    }
}
