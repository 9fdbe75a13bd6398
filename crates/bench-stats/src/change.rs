//! The change of a figure from one side to the other.

use serde::{Deserialize, Serialize};

use crate::sample::{Bounds, logs, mean, variance};
use crate::student::{t_quantile, two_sided_p};

/// Pairs from which a permutation test can find anything at the usual levels, and up to which all
/// permutations are counted.
const SIGN_FLIP_PAIRS: std::ops::RangeInclusive<usize> = 6..=20;

/// The change from side A to side B, as a ratio B / A.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The typical ratio.
    pub ratio: f64,
    /// Its interval.
    pub interval: Bounds,
    /// The probability of a difference at least as large between equal sides.
    pub p: f64,
    /// The number of pairs, or of runs on the smaller side.
    pub runs: usize,
    /// Standard error of the ratio's logarithm.
    pub standard_error: f64,
    /// Degrees of freedom of Student's t.
    pub degrees: f64,
}

/// The change between values that were measured side by side: value i of `a` in the same block as
/// value i of `b`. By Student's t on the logarithms of the ratios; what drifts from block to block
/// cancels (Abedi and Brecht, "Conducting repeatable experiments in highly variable cloud computing
/// environments", ICPE 2017). `None` of fewer than two pairs, or of values that are not positive.
#[must_use]
pub fn paired(a: &[f64], b: &[f64], level: f64) -> Option<Change> {
    let ratios = log_ratios(a, b).filter(|ratios| ratios.len() >= 2)?;
    let runs = ratios.len();
    let standard_error = (variance(&ratios) / runs as f64).sqrt();
    Some(change(mean(&ratios), standard_error, runs as f64 - 1.0, runs, level))
}

/// The change between values of two sides that were not measured side by side, by Welch's t on the
/// logarithms (Welch, Biometrika 34, 1947). What drifted between the sides counts as a change. `None`
/// of fewer than two values on a side, or of values that are not positive.
#[must_use]
pub fn unpaired(a: &[f64], b: &[f64], level: f64) -> Option<Change> {
    let (a, b) = logs(a).zip(logs(b)).filter(|(a, b)| a.len() >= 2 && b.len() >= 2)?;
    let square = |side: &[f64]| variance(side) / side.len() as f64;
    let (of_a, of_b) = (square(&a), square(&b));
    let sum = of_a + of_b;
    let part = |square: f64, side: &[f64]| square * square / (side.len() as f64 - 1.0);
    let parts = part(of_a, &a) + part(of_b, &b);
    // Without any variance every number of degrees gives the same.
    let degrees = if parts > 0.0 { sum * sum / parts } else { 1.0 };
    Some(change(mean(&b) - mean(&a), sum.sqrt(), degrees, a.len().min(b.len()), level))
}

fn change(log_ratio: f64, standard_error: f64, degrees: f64, runs: usize, level: f64) -> Change {
    let half = t_quantile(level, degrees) * standard_error;
    let p = if standard_error > 0.0 {
        two_sided_p(log_ratio / standard_error, degrees)
    } else if log_ratio == 0.0 {
        1.0
    } else {
        0.0
    };
    Change {
        ratio: log_ratio.exp(),
        interval: Bounds::around(log_ratio, half).map(f64::exp),
        p,
        runs,
        standard_error,
        degrees,
    }
}

/// The exact probability that equal sides differ at least as much: every ratio could as well have been
/// its inverse (Fisher's randomisation test). `None` of fewer than 6 pairs, which can never be
/// significant, of more than 20, or of values that are not positive.
#[must_use]
pub fn sign_flip_p(a: &[f64], b: &[f64]) -> Option<f64> {
    let ratios = log_ratios(a, b).filter(|ratios| SIGN_FLIP_PAIRS.contains(&ratios.len()))?;
    let observed = ratios.iter().sum::<f64>().abs();
    // Sums that differ by rounding alone are equal.
    let limit = observed - 1e-12 * ratios.iter().map(|ratio| ratio.abs()).sum::<f64>();
    let all = 1_u32 << ratios.len();
    // In the order of a Gray code, each combination flips one sign of the one before.
    let mut signs = vec![1.0; ratios.len()];
    let mut sum: f64 = ratios.iter().sum();
    let mut at_least = u32::from(sum.abs() >= limit);
    for number in 1..all {
        let flipped = number.trailing_zeros() as usize;
        signs[flipped] = -signs[flipped];
        sum += 2.0 * signs[flipped] * ratios[flipped];
        at_least += u32::from(sum.abs() >= limit);
    }
    Some(f64::from(at_least) / f64::from(all))
}

fn log_ratios(a: &[f64], b: &[f64]) -> Option<Vec<f64>> {
    let (a, b) = logs(a).zip(logs(b)).filter(|(a, b)| a.len() == b.len())?;
    Some(a.iter().zip(&b).map(|(a, b)| b - a).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Student's sleep data, "The probable error of a mean", Biometrika 6, 1908: ten pairs with a mean
    /// difference of 1.58, t = 4.0621, p = 0.002833, interval 0.70 to 2.46.
    const SLEEP: ([f64; 10], [f64; 10]) = (
        [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0],
        [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4],
    );

    fn sleep() -> (Vec<f64>, Vec<f64>) {
        let exp = |side: [f64; 10]| side.map(f64::exp).to_vec();
        (exp(SLEEP.0), exp(SLEEP.1))
    }

    #[test]
    fn pairs_give_students_own_figures() {
        let (a, b) = sleep();
        let found = paired(&a, &b, 0.95).expect("pairs");
        assert!((found.ratio.ln() - 1.58).abs() < 1e-9, "{found:?}");
        assert!((found.p - 0.002_833).abs() < 1e-6, "{found:?}");
        assert!((found.interval.low.ln() - 0.700_114).abs() < 1e-5, "{found:?}");
        assert!((found.interval.high.ln() - 2.459_886).abs() < 1e-5, "{found:?}");
    }

    /// R's example of Welch's test on the same data: t = -1.8608, df = 17.776, p = 0.07939, interval
    /// 3.3654832 to -0.2054832.
    #[test]
    fn unpaired_sides_give_those_of_welch() {
        let (a, b) = sleep();
        let found = unpaired(&a, &b, 0.95).expect("sides");
        assert!((found.degrees - 17.776_5).abs() < 1e-3, "{found:?}");
        assert!((found.p - 0.079_394).abs() < 1e-5, "{found:?}");
        assert!((found.interval.low.ln() + 0.205_483).abs() < 1e-5, "{found:?}");
        assert!((found.interval.high.ln() - 3.365_483).abs() < 1e-5, "{found:?}");
    }

    #[test]
    fn sign_flips_are_counted_exactly() {
        let ones = [1.0; 6];
        let grown = [1.1, 1.2, 1.05, 1.3, 1.01, 1.15];
        assert_eq!(sign_flip_p(&ones, &grown), Some(2.0 / 64.0), "all signs agree");
        assert_eq!(sign_flip_p(&ones, &ones), Some(1.0));
        assert_eq!(sign_flip_p(&ones[..5], &grown[..5]), None, "five are never significant");
        // The zero counts on both sides: of the nine others all signs agree.
        let (a, b) = sleep();
        assert_eq!(sign_flip_p(&a, &b), Some(4.0 / 1024.0));
    }

    #[test]
    fn equal_values_are_no_change() {
        let found = paired(&[5.0, 5.0], &[5.0, 5.0], 0.95).expect("pairs");
        assert!((found.p - 1.0).abs() < 1e-12 && (found.ratio - 1.0).abs() < 1e-12, "{found:?}");
        let found = unpaired(&[5.0, 5.0], &[6.0, 6.0], 0.95).expect("sides");
        assert!(found.p.abs() < 1e-12 && found.interval.low > 1.0, "{found:?}");
        assert!(paired(&[5.0], &[5.0], 0.95).is_none());
        assert!(paired(&[5.0, 0.0], &[5.0, 1.0], 0.95).is_none());
        assert!(paired(&[5.0, 6.0], &[5.0], 0.95).is_none());
    }
}
