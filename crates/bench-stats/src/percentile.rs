//! How sure a percentile of one run is.
//!
//! Samples of a run depend on each other: a stall makes thousands of them slow at once. So the share of
//! samples at or below the percentile is followed over time, and how much it differs between long
//! stretches of the run says how sure it is; the share's interval is then read back as values from the
//! run's histogram (Woodruff, "Confidence intervals for medians and other position measures", JASA 47,
//! 1952; batch means of indicators: Heidelberger and Lewis, "Quantile estimation in dependent
//! sequences", Operations Research 32, 1984).

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::sample::Bounds;
use crate::student::t_quantile;

/// Fewer samples beyond a percentile give no interval.
pub const SAMPLES_BEYOND_MIN: u64 = 20;

/// The fewest stretches from which a variance is taken.
const BATCHES_MIN: usize = 6;

/// The samples of one interval of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    /// All of them.
    pub samples: u64,
    /// Those at or below the percentile of the whole run.
    pub at_or_below: u64,
}

/// The interval of a percentile of one run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PercentileInterval {
    /// Lower end, in the unit of the samples.
    pub low: u64,
    /// Upper end; absent if it lies beyond the largest sample of the run.
    pub high: Option<u64>,
    /// Samples that would say as much if they did not depend on each other.
    pub effective_samples: f64,
}

impl PercentileInterval {
    /// Its ends; the upper one is infinite if it lies beyond the largest sample.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        Bounds { low: self.low as f64, high: self.high.map_or(f64::INFINITY, |high| high as f64) }
    }
}

/// The interval of the `quantile` (0 to 1) of one run at `level`, from its intervals in order of time,
/// those without samples among them, and from the histogram of all of them. `None` with fewer than
/// [`SAMPLES_BEYOND_MIN`] samples beyond the percentile, or with fewer than six intervals.
#[must_use]
pub fn percentile_interval(
    shares: &[Share],
    merged: &Histogram<u64>,
    quantile: f64,
    level: f64,
) -> Option<PercentileInterval> {
    let samples = shares.iter().map(|share| share.samples).sum::<u64>() as f64;
    if samples * (1.0 - quantile) < SAMPLES_BEYOND_MIN as f64 {
        return None;
    }
    let independent = quantile * (1.0 - quantile) / samples;
    let mut worst: Option<(f64, f64)> = None;
    let mut size = 1;
    while shares.len() / size >= BATCHES_MIN {
        let (variance, degrees) = batch_variance(shares, size)?;
        if worst.is_none_or(|(largest, _)| variance > largest) {
            worst = Some((variance, degrees));
        }
        size *= 2;
    }
    let (variance, degrees) = worst?;
    // Chance alone spreads independent samples as much, whatever few batches show.
    let variance = variance.max(independent);
    let half = t_quantile(level, degrees) * variance.sqrt();
    let (low, high) = (quantile - half, quantile + half);
    Some(PercentileInterval {
        low: merged.value_at_quantile(low.max(0.0)),
        high: (high < 1.0).then(|| merged.value_at_quantile(high)),
        effective_samples: quantile * (1.0 - quantile) / variance,
    })
}

/// The variance of the run's share as batches of `size` intervals show it, with its degrees of freedom.
/// The share is a ratio of sums, whose variance is that of the residuals (Cochran, "Sampling
/// Techniques", 3rd edition, 6.5).
fn batch_variance(shares: &[Share], size: usize) -> Option<(f64, f64)> {
    let batches: Vec<(f64, f64)> = shares
        .chunks_exact(size)
        .map(|batch| {
            let sum = |of: fn(&Share) -> u64| batch.iter().map(of).sum::<u64>() as f64;
            (sum(|share| share.samples), sum(|share| share.at_or_below))
        })
        .collect();
    let samples: f64 = batches.iter().map(|(samples, _)| samples).sum();
    let at_or_below: f64 = batches.iter().map(|(_, at_or_below)| at_or_below).sum();
    if samples <= 0.0 {
        return None;
    }
    let share = at_or_below / samples;
    let count = batches.len() as f64;
    let residuals: f64 =
        batches.iter().map(|(samples, at_or_below)| (at_or_below - share * samples).powi(2)).sum();
    let per_batch = samples / count;
    Some((residuals / (count - 1.0) / count / per_batch.powi(2), count - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `n` intervals of the values 1 to 1000 each, of which `slow` have ten times the values.
    fn run(n: usize, slow: impl Fn(usize) -> bool) -> (Vec<Histogram<u64>>, Histogram<u64>) {
        let mut merged = Histogram::new(3).expect("three digits");
        let intervals = (0..n).map(|index| {
            let mut interval = Histogram::<u64>::new(3).expect("three digits");
            for value in 1..=1000 {
                interval.record(if slow(index) { 10 * value } else { value }).expect("in range");
            }
            merged.add(&interval).expect("fits");
            interval
        });
        let intervals = intervals.collect();
        (intervals, merged)
    }

    fn interval(n: usize, slow: impl Fn(usize) -> bool, quantile: f64) -> PercentileInterval {
        let (intervals, merged) = run(n, slow);
        let mark = merged.value_at_quantile(quantile);
        let share = |interval: &Histogram<u64>| Share {
            samples: interval.len(),
            at_or_below: interval.count_between(0, mark),
        };
        let shares: Vec<Share> = intervals.iter().map(share).collect();
        percentile_interval(&shares, &merged, quantile, 0.95).expect("enough samples")
    }

    #[test]
    fn equal_intervals_are_as_sure_as_independent_samples() {
        let found = interval(60, |_| false, 0.5);
        assert!((found.effective_samples - 60_000.0).abs() < 1.0, "{found:?}");
        // 0.5 +- 2.57 * 0.5 / sqrt(60_000), with the 6 degrees of freedom that 7 batches leave at most.
        assert!(found.low <= 499 && found.low >= 490, "{found:?}");
        assert!(found.high.is_some_and(|high| (501..=510).contains(&high)), "{found:?}");
    }

    #[test]
    fn long_stalls_make_percentiles_unsure() {
        let spread_out = interval(64, |index| index % 8 == 0, 0.9);
        let together = interval(64, |index| (24..32).contains(&index), 0.9);
        assert!(together.effective_samples < spread_out.effective_samples / 4.0);
        assert!(together.low < spread_out.low, "{together:?} {spread_out:?}");
    }

    #[test]
    fn upper_ends_beyond_all_samples_are_open() {
        let found = interval(12, |index| index == 5, 0.99);
        assert_eq!(found.high, None, "{found:?}");
    }

    #[test]
    fn few_samples_beyond_give_no_interval() {
        let (_, merged) = run(6, |_| false);
        let shares = [Share { samples: 300, at_or_below: 297 }; 6];
        assert!(percentile_interval(&shares, &merged, 0.99, 0.95).is_none(), "18 beyond");
        let shares = [Share { samples: 400, at_or_below: 396 }; 6];
        assert!(percentile_interval(&shares, &merged, 0.99, 0.95).is_some(), "24 beyond");
        assert!(percentile_interval(&shares[1..], &merged, 0.9, 0.95).is_none(), "5 intervals");
    }
}
