//! Whether a figure grows or shrinks over a run.

use serde::{Deserialize, Serialize};

use crate::sample::{Bounds, mean, median};
use crate::student::t_quantile;

/// The most batches: far enough apart that they hardly depend on each other.
const BATCHES_MAX: usize = 12;

/// The fewest batches from which a trend is judged.
const BATCHES_MIN: usize = 6;

/// A trend, per interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Trend {
    /// The slope.
    pub slope: f64,
    /// Its interval.
    pub interval: Bounds,
}

/// The trend of a series of one value per interval at `level`: the median of the slopes between all pairs
/// of batches (Theil 1950), with the interval of Sen ("Estimates of the regression coefficient based on
/// Kendall's tau", JASA 63, 1968). Batches are equally long; intervals that fill none are left out at
/// the beginning. `None` of fewer than six intervals.
#[must_use]
pub fn trend(values: &[f64], level: f64) -> Option<Trend> {
    let size = values.len().div_ceil(BATCHES_MAX).max(1);
    let left_out = values.len() % size;
    let batches: Vec<f64> = values[left_out..].chunks_exact(size).map(mean).collect();
    let count = batches.len();
    if count < BATCHES_MIN {
        return None;
    }
    let mut slopes = Vec::with_capacity(count * (count - 1) / 2);
    for (index, first) in batches.iter().enumerate() {
        for (steps, second) in batches[index + 1..].iter().enumerate() {
            slopes.push((second - first) / ((steps + 1) * size) as f64);
        }
    }
    slopes.sort_unstable_by(f64::total_cmp);
    let slope = median(&slopes)?;
    let n = count as f64;
    let variance = n * (n - 1.0) * (2.0 * n + 5.0) / 18.0;
    let reach = t_quantile(level, 1e6) * variance.sqrt();
    let last = slopes.len() - 1;
    let below = ((slopes.len() as f64 - reach) / 2.0).floor() - 1.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to last")]
    let below = below.clamp(0.0, last as f64) as usize;
    Some(Trend { slope, interval: Bounds { low: slopes[below], high: slopes[last - below] } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_those_of_lines_despite_outliers() {
        let mut line: Vec<f64> = (0..60).map(|index| 5.0 + 0.5 * f64::from(index)).collect();
        line[10] += 1000.0;
        line[40] -= 1000.0;
        let found = trend(&line, 0.95).expect("60 intervals");
        assert!((found.slope - 0.5).abs() < 0.05, "{found:?}");
        assert!(found.interval.low > 0.0, "{found:?}");
    }

    #[test]
    fn wavering_has_no_trend() {
        let wavering: Vec<f64> = (0..61).map(|index| f64::from(index * 7919 % 13)).collect();
        let found = trend(&wavering, 0.95).expect("61 intervals");
        assert!(found.interval.holds(0.0), "{found:?}");
        assert!(trend(&wavering[..5], 0.95).is_none());
    }

    /// The Theil-Sen slope of y = (2, 4, 3, 6, 5, 8) is the 8th of the 15 slopes -1, -1, 1/3, 1/2, 1/2, 2/3,
    /// 1, 1, ...; with n = 6 the interval at 90 % reaches 1.645 * sqrt(28.33) = 8.76 slopes, from the
    /// 3rd to the 13th.
    #[test]
    fn intervals_are_those_of_sen() {
        let found = trend(&[2.0, 4.0, 3.0, 6.0, 5.0, 8.0], 0.90).expect("six intervals");
        assert!((found.slope - 1.0).abs() < 1e-12, "{found:?}");
        let slopes = [
            2.0,
            0.5,
            4.0 / 3.0,
            0.75,
            1.2,
            -1.0,
            1.0,
            1.0 / 3.0,
            1.0,
            3.0,
            1.0,
            5.0 / 3.0,
            -1.0,
            1.0,
            3.0,
        ];
        let mut sorted = slopes.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        assert!((found.interval.low - sorted[2]).abs() < 1e-12, "{found:?} {sorted:?}");
        assert!((found.interval.high - sorted[12]).abs() < 1e-12, "{found:?} {sorted:?}");
    }
}
