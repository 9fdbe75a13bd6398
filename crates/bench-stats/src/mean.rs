//! How sure the mean of one run is.
//!
//! Neighbouring intervals of a run resemble each other, so the run is cut into stretches of 1, 2, 4 and
//! more intervals, and how much their means differ says how sure the mean of all is; the stretches that
//! say it is least sure count (batch means: Conway, "Some tactical problems in digital simulation",
//! Management Science 10, 1963).

use crate::sample::{mean, variance};
use crate::student::t_quantile;

/// The fewest stretches from which a variance is taken.
const BATCHES_MIN: usize = 6;

/// Half the width of the interval of the mean at `level`, as a share of the mean; `None` with fewer than
/// six values, and unless the mean is above 0.
#[must_use]
pub fn mean_half_width(values: &[f64], level: f64) -> Option<f64> {
    let of_all = mean(values);
    let mut worst: Option<f64> = None;
    let mut size = 1;
    while values.len() / size >= BATCHES_MIN {
        let means: Vec<f64> = values.chunks_exact(size).map(mean).collect();
        let count = means.len() as f64;
        let half = t_quantile(level, count - 1.0) * (variance(&means) / count).sqrt();
        worst = Some(worst.map_or(half, |widest| widest.max(half)));
        size *= 2;
    }
    worst.filter(|_| of_all > 0.0).map(|half| half / of_all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn independent_values_give_the_interval_of_student() {
        // Six values: one size of batches alone. Mean 3.5, standard error 0.7638, t 2.571.
        let found = mean_half_width(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 0.95).expect("six");
        assert!((found - 2.570_582 * 0.763_763 / 3.5).abs() < 1e-5, "{found}");
    }

    #[test]
    fn long_waves_make_a_mean_unsure() {
        let wave = |length: usize| -> Vec<f64> {
            let level =
                |index: usize| if (index / length).is_multiple_of(2) { 90.0 } else { 110.0 };
            (0..128).map(level).collect()
        };
        let (short, long) = (mean_half_width(&wave(1), 0.95), mean_half_width(&wave(16), 0.95));
        assert!(long > short.map(|short| 2.0 * short), "{short:?} {long:?}");
    }

    #[test]
    fn few_values_or_none_above_zero_say_nothing() {
        assert_eq!(mean_half_width(&[1.0; 5], 0.95), None);
        assert_eq!(mean_half_width(&[0.0; 9], 0.95), None);
        assert_eq!(mean_half_width(&[2.0; 9], 0.95), Some(0.0));
    }
}
