//! Whether a run was steady when its measurement began.

use serde::{Deserialize, Serialize};

use crate::sample::{mean, variance};
use crate::steps::{autocorrelation, independent_share, p_of};
use crate::trend::trend;

/// Intervals per batch, of MSER-5.
const BATCH: usize = 5;

/// The fewest batches that are judged.
const BATCHES_MIN: usize = 6;

/// Above this probability a difference is left to chance.
const P_MAX: f64 = 0.01;

/// What the beginning of a series shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WarmUp {
    /// Steady from the first interval on.
    Over,
    /// The first intervals are not like the others.
    NotOver {
        /// Their number.
        intervals: usize,
    },
    /// More than half of the intervals are not like the last ones.
    NeverSteady,
}

/// Judges a series of one value per interval, the warm-up that the run itself excludes left out. A
/// beginning counts if it lies at least `size_min` off. `None` of fewer than 30 intervals.
///
/// MSER-5 cuts off the batches of five without which the mean of the others is surest (White, Cobb and
/// Spratt, "A comparison of five steady-state truncation heuristics for simulation", WSC 2000; Hoad,
/// Robinson and Davies, WSC 2008). A cut in the second half cannot be trusted: there is no steady state.
/// A t-test leaves out what chance explains, since MSER-5 cuts off a little of any series.
#[must_use]
pub fn warm_up(values: &[f64], size_min: f64) -> Option<WarmUp> {
    let batches: Vec<f64> = values.chunks_exact(BATCH).map(mean).collect();
    if batches.len() < BATCHES_MIN {
        return None;
    }
    let cut = cut(&batches);
    if cut > batches.len() / 2 {
        let is_steady = !differs(&batches, cut, size_min) && !has_trend(&batches, size_min);
        return Some(if is_steady { WarmUp::Over } else { WarmUp::NeverSteady });
    }
    if cut == 0 || !differs(&batches, cut, size_min) {
        return Some(WarmUp::Over);
    }
    Some(WarmUp::NotOver { intervals: cut * BATCH })
}

/// Whether the first batches differ from the others by more than chance explains. How much chance
/// explains is told by the others: the first may be on their way somewhere.
fn differs(batches: &[f64], cut: usize, size_min: f64) -> bool {
    let (first, staying) = batches.split_at(cut);
    let difference = mean(first) - mean(staying);
    let share = independent_share(autocorrelation(&[staying]));
    let (m, n) = (first.len() as f64 * share, staying.len() as f64 * share);
    let error = (variance(staying) * (1.0 / m + 1.0 / n)).sqrt();
    difference.abs() >= size_min && p_of(difference, error, n - 1.0) < P_MAX
}

/// Whether the whole series goes up or down by more than chance explains.
fn has_trend(batches: &[f64], size_min: f64) -> bool {
    trend(batches, 1.0 - P_MAX).is_some_and(|found| {
        !found.interval.holds(0.0) && found.slope.abs() * batches.len() as f64 >= size_min
    })
}

/// The number of batches without which the squared standard error of the mean is least. The last batches
/// stay, whose few values are close to each other by chance.
fn cut(batches: &[f64]) -> usize {
    const STAYING_MIN: usize = 3;
    let error = |cut: usize| {
        let staying = &batches[cut..];
        let mean = mean(staying);
        let squares: f64 = staying.iter().map(|batch| (batch - mean).powi(2)).sum();
        squares / (staying.len() as f64).powi(2)
    };
    let cuts = 0..=batches.len() - STAYING_MIN;
    cuts.min_by(|&a, &b| error(a).total_cmp(&error(b))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wavering(level: impl Fn(usize) -> f64, length: usize) -> Vec<f64> {
        (0..length).map(|index| level(index) + [0.02, -0.03, 0.01, 0.0][index % 4]).collect()
    }

    #[test]
    fn steady_series_are_over_at_once() {
        assert_eq!(warm_up(&wavering(|_| 1.0, 60), 0.05), Some(WarmUp::Over));
        assert_eq!(warm_up(&[1.0; 60], 0.05), Some(WarmUp::Over));
        assert_eq!(warm_up(&[1.0; 29], 0.05), None);
    }

    #[test]
    fn beginnings_that_differ_are_cut_off() {
        let begins_slow = |index: usize| if index < 15 { 2.0 } else { 1.0 };
        assert_eq!(
            warm_up(&wavering(begins_slow, 60), 0.05),
            Some(WarmUp::NotOver { intervals: 15 })
        );
        assert_eq!(warm_up(&wavering(begins_slow, 60), 1.5), Some(WarmUp::Over), "too small");
    }

    #[test]
    fn series_that_settle_late_or_never_are_not_steady() {
        let settles_late = |index: usize| if index < 45 { 2.0 } else { 1.0 };
        assert_eq!(warm_up(&wavering(settles_late, 60), 0.05), Some(WarmUp::NeverSteady));
        let grows = |index: usize| index as f64 * 0.1;
        assert_eq!(warm_up(&wavering(grows, 60), 0.05), Some(WarmUp::NeverSteady));
    }
}
