//! Moments and order statistics of small samples.

use serde::{Deserialize, Serialize};

/// An interval of values, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Bounds {
    /// Around `centre`, half as wide as this share of it.
    #[must_use]
    pub fn of_share(centre: f64, half_width: f64) -> Self {
        Self::around(centre, centre * half_width)
    }

    /// From `centre - half` to `centre + half`.
    pub(crate) fn around(centre: f64, half: f64) -> Self {
        Self { low: centre - half, high: centre + half }
    }

    /// The same interval after a function that grows.
    pub(crate) fn map(self, grow: impl Fn(f64) -> f64) -> Self {
        Self { low: grow(self.low), high: grow(self.high) }
    }

    /// Whether it holds the value.
    #[must_use]
    pub fn holds(self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// The arithmetic mean; `NaN` without values.
#[must_use]
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The sample variance, divided by n - 1; 0 of fewer than two values.
pub(crate) fn variance(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    squares / (values.len() - 1) as f64
}

/// The median; the mean of the two in the middle of an even number. `None` without values.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    let is_even = values.len().is_multiple_of(2);
    let (below, upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let upper = *upper;
    if !is_even {
        return Some(upper);
    }
    let lower = below.iter().copied().max_by(f64::total_cmp)?;
    Some(f64::midpoint(lower, upper))
}

/// The logarithms of values, all of which must be positive and finite.
pub(crate) fn logs(values: &[f64]) -> Option<Vec<f64>> {
    let log = |value: &f64| (*value > 0.0 && value.is_finite()).then(|| value.ln());
    values.iter().map(log).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_samples() {
        let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        assert!((mean(&values) - 5.0).abs() < 1e-12);
        assert!((variance(&values) - 32.0 / 7.0).abs() < 1e-12);
        assert!(variance(&[3.0]).abs() < 1e-12);
    }

    #[test]
    fn medians_of_even_samples_are_midpoints() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
    }

    #[test]
    fn logs_need_positive_values() {
        assert_eq!(logs(&[1.0, 1.0]), Some(vec![0.0, 0.0]));
        assert_eq!(logs(&[1.0, 0.0]), None);
        assert_eq!(logs(&[f64::INFINITY]), None);
    }
}
