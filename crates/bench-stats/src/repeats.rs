//! A figure over the repeats of a cell.

use serde::{Deserialize, Serialize};

use crate::sample::{Bounds, logs, mean, variance};
use crate::student::t_quantile;

/// How sure a figure is over its repeats.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Repeats {
    /// Runs that have the figure.
    pub runs: usize,
    /// Standard deviation of the runs' logarithms: 0.05 for runs that differ by about 5 %.
    pub spread: f64,
    /// Interval of the typical run's value.
    pub interval: Bounds,
}

/// The interval of a figure at `level` from its values in each run, which must be positive, by Student's
/// t on their logarithms. `None` of fewer than two runs.
///
/// Run times and latencies vary by factors, so their logarithms are nearer to a normal distribution
/// (Kalibera and Jones, "Rigorous benchmarking in reasonable time", ISMM 2013).
#[must_use]
pub fn repeats(values: &[f64], level: f64) -> Option<Repeats> {
    let logs = logs(values).filter(|logs| logs.len() >= 2)?;
    let runs = logs.len();
    let spread = variance(&logs).sqrt();
    let half = t_quantile(level, runs as f64 - 1.0) * spread / (runs as f64).sqrt();
    Some(Repeats { runs, spread, interval: Bounds::around(mean(&logs), half).map(f64::exp) })
}

impl Repeats {
    /// Half the width of the interval as a share of its middle: 0.05 for 5 %.
    #[must_use]
    pub fn half_width(&self) -> f64 {
        (self.interval.high / self.interval.low).sqrt() - 1.0
    }
}

/// Where a figure's variance comes from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct VarianceSplit {
    /// Standard deviation of the logarithm between runs, apart from chance inside them.
    pub between: f64,
    /// Standard error of the logarithm inside a run.
    pub within: f64,
}

/// What would make a figure surer for the least time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Advice {
    /// The runs differ from each other.
    MoreRepeats,
    /// Each run is unsure by itself.
    LongerRuns,
}

/// Splits the variance of a figure, given its value and its interval at `level` inside each run: the
/// variance over runs is that between them and that inside them (analysis of variance with random
/// effects; Kalibera and Jones, arXiv 2007.10899, section 6). `None` of fewer than two runs.
#[must_use]
pub fn variance_split(values: &[f64], intervals: &[Bounds], level: f64) -> Option<VarianceSplit> {
    let logs = logs(values).filter(|logs| logs.len() >= 2 && intervals.len() == logs.len())?;
    // The factor of a normal distribution: batches are many.
    let factor = 2.0 * t_quantile(level, 1e6);
    let errors: Option<Vec<f64>> = intervals
        .iter()
        .map(|interval| Some(logs_of(*interval)?.iter().sum::<f64>() / factor))
        .collect();
    let squares: Vec<f64> = errors?.iter().map(|error| error * error).collect();
    let within = mean(&squares);
    let between = (variance(&logs) - within).max(0.0);
    Some(VarianceSplit { between: between.sqrt(), within: within.sqrt() })
}

/// The two parts of an interval's width on the scale of logarithms.
fn logs_of(interval: Bounds) -> Option<[f64; 2]> {
    let is_positive = interval.low > 0.0 && interval.high.is_finite();
    is_positive.then(|| [interval.high.ln(), -interval.low.ln()])
}

impl VarianceSplit {
    /// That of two sides together.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self { between: self.between.hypot(other.between), within: self.within.hypot(other.within) }
    }

    /// The larger part is the one to reduce.
    #[must_use]
    pub fn advice(&self) -> Advice {
        if self.within > self.between { Advice::LongerRuns } else { Advice::MoreRepeats }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R: `exp(t.test(log(c(100, 110, 121)))$conf.int)` gives 86.81 and 139.39.
    #[test]
    fn intervals_are_those_of_logarithms() {
        let found = repeats(&[100.0, 110.0, 121.0], 0.95).expect("three runs");
        assert!((found.spread - 0.095_310_2).abs() < 1e-6, "{found:?}");
        assert!((found.interval.low - 86.810).abs() < 0.01, "{found:?}");
        assert!((found.interval.high - 139.386).abs() < 0.01, "{found:?}");
        assert!((found.half_width() - 0.267_14).abs() < 1e-3, "{found:?}");
        assert!(repeats(&[100.0], 0.95).is_none());
        assert!(repeats(&[100.0, 0.0], 0.95).is_none());
    }

    #[test]
    fn the_larger_part_of_the_variance_decides_the_advice() {
        let narrow = [Bounds { low: 99.0, high: 101.0 }; 3];
        let split = variance_split(&[90.0, 100.0, 110.0], &narrow, 0.95).expect("three runs");
        assert_eq!(split.advice(), Advice::MoreRepeats);
        assert!((split.within - 0.01 / 1.96).abs() < 1e-4, "{split:?}");
        let wide = [Bounds { low: 70.0, high: 140.0 }; 3];
        let split = variance_split(&[99.0, 100.0, 101.0], &wide, 0.95).expect("three runs");
        assert_eq!(split.advice(), Advice::LongerRuns);
        assert!(split.between.abs() < 1e-12, "{split:?}");
        assert!(variance_split(&[99.0, 100.0], &wide, 0.95).is_none(), "an interval each");
    }
}
