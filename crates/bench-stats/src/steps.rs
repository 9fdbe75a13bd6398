//! Steps in the course of a run.

use serde::{Deserialize, Serialize};

use crate::sample::{mean, median, variance};
use crate::student::two_sided_p;

/// The fewest intervals on either side of a step.
const SIDE_MIN: usize = 5;

/// Above this probability a difference is left to chance. It is small, since the place of a step is
/// looked for among all intervals (Hunter, arXiv 2301.03034, section 3).
const P_MAX: f64 = 0.0003;

/// Below this probability a part is divided further: a step up and a step down hide each other.
const P_MAX_TO_DIVIDE: f64 = 0.05;

/// A lasting change of level.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The first interval on the new level.
    pub at: usize,
    /// The level before it, back to the step before: the median.
    pub before: f64,
    /// The level from it on, up to the next step: the median.
    pub after: f64,
}

/// The steps of a series of one value per interval, in order of time, that change the level by at least
/// `size_min`: E-divisive (Matteson and James, arXiv 1306.4933) with a t-test in place of permutations
/// (Hunter, arXiv 2301.03034), which makes it deterministic. The series is divided generously, and then
/// the least certain steps are taken back. The t-test that decides counts the values that would say as
/// much if they did not depend on each other.
#[must_use]
pub fn steps(values: &[f64], size_min: f64) -> Vec<Step> {
    let mut places = Vec::new();
    divide(values, 0, &mut places);
    places.sort_unstable();
    while let Some(weakest) = weakest(values, &places, size_min) {
        places.remove(weakest);
    }
    let step = |index: usize| {
        let (before, after) = around(values, &places, index);
        let level = |part: &[f64]| median(part).unwrap_or_default();
        Step { at: places[index], before: level(before), after: level(after) }
    };
    (0..places.len()).map(step).collect()
}

/// Adds where a part of the series, which begins at `offset`, may have steps.
fn divide(values: &[f64], offset: usize, places: &mut Vec<usize>) {
    let Some(at) = farthest_split(values) else { return };
    let (before, after) = values.split_at(at);
    if difference_p(before, after) >= P_MAX_TO_DIVIDE {
        return;
    }
    places.push(offset + at);
    divide(before, offset, places);
    divide(after, offset + at, places);
}

/// The least certain of the steps that chance or the usual range explains. How far values spread, and
/// how much they depend on each other, is taken from all parts together: neighbours may be short.
fn weakest(values: &[f64], places: &[usize], size_min: f64) -> Option<usize> {
    let ends: Vec<usize> =
        [0].into_iter().chain(places.iter().copied()).chain([values.len()]).collect();
    let parts: Vec<&[f64]> = ends.windows(2).map(|ends| &values[ends[0]..ends[1]]).collect();
    let share = independent_share(unbiased(autocorrelation(&parts), &parts));
    let degrees = values.len() as f64 * share - parts.len() as f64;
    let variance = pooled_variance(&parts);
    let p = |(before, after): (&[f64], &[f64])| {
        let size = median(before).zip(median(after)).map(|(before, after)| (after - before).abs());
        if size.is_none_or(|size| size < size_min) {
            return f64::INFINITY;
        }
        let inverse = 1.0 / before.len() as f64 + 1.0 / after.len() as f64;
        p_of(mean(after) - mean(before), (variance * inverse / share).sqrt(), degrees)
    };
    let steps = parts.windows(2).map(|two| p((two[0], two[1]))).enumerate();
    let weak = steps.filter(|(_, p)| *p >= P_MAX);
    weak.max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(index, _)| index)
}

/// The variance inside parts that have a mean of their own each.
fn pooled_variance(parts: &[&[f64]]) -> f64 {
    let degrees = |part: &[f64]| part.len() as f64 - 1.0;
    let squares: f64 = parts.iter().map(|part| variance(part) * degrees(part)).sum();
    squares / parts.iter().map(|part| degrees(part)).sum::<f64>()
}

/// The parts before and after a step, up to the neighbouring steps.
fn around<'a>(values: &'a [f64], places: &[usize], index: usize) -> (&'a [f64], &'a [f64]) {
    let begin = index.checked_sub(1).map_or(0, |before| places[before]);
    let end = places.get(index + 1).copied().unwrap_or(values.len());
    (&values[begin..places[index]], &values[places[index]..end])
}

/// Where the two parts are farthest from each other by their energy distance: the mean distance of
/// values across less those inside, weighed by the sizes.
fn farthest_split(values: &[f64]) -> Option<usize> {
    if values.len() < 2 * SIDE_MIN {
        return None;
    }
    let distances =
        |from: f64, to: &[f64]| to.iter().map(|value| (from - value).abs()).sum::<f64>();
    let mut across = 0.0;
    let mut before = 0.0;
    let mut after: f64 =
        (0..values.len()).map(|index| distances(values[index], &values[index + 1..])).sum();
    let mut farthest = None;
    for at in 1..=values.len() - SIDE_MIN {
        // One value changes sides.
        let moved = values[at - 1];
        let (to_before, to_after) =
            (distances(moved, &values[..at - 1]), distances(moved, &values[at..]));
        before += to_before;
        after -= to_after;
        across += to_after - to_before;
        if at < SIDE_MIN {
            continue;
        }
        let (m, n) = (at as f64, (values.len() - at) as f64);
        let inside = 2.0 * before / (m * (m - 1.0)) + 2.0 * after / (n * (n - 1.0));
        let energy = m * n / (m + n) * (2.0 * across / (m * n) - inside);
        if farthest.is_none_or(|(largest, _)| energy > largest) {
            farthest = Some((energy, at));
        }
    }
    farthest.map(|(_, at)| at)
}

/// The probability that two parts of independent values with one mean differ as much by chance.
fn difference_p(before: &[f64], after: &[f64]) -> f64 {
    let (m, n) = (before.len() as f64, after.len() as f64);
    let error = (pooled_variance(&[before, after]) * (1.0 / m + 1.0 / n)).sqrt();
    p_of(mean(after) - mean(before), error, m + n - 2.0)
}

/// The probability of a difference with this standard error.
pub(crate) fn p_of(difference: f64, error: f64, degrees: f64) -> f64 {
    match difference {
        0.0 => 1.0,
        _ if error == 0.0 => 0.0,
        difference => two_sided_p(difference / error, degrees.max(1.0)),
    }
}

/// The share of values that would say as much if they did not depend on each other: with an
/// autocorrelation of r from one value to the next, (1 - r) / (1 + r) (Bayley and Hammersley, Journal of
/// the Royal Statistical Society B 8, 1946).
pub(crate) fn independent_share(autocorrelation: f64) -> f64 {
    const AUTOCORRELATION_MAX: f64 = 0.95;
    let autocorrelation = autocorrelation.clamp(0.0, AUTOCORRELATION_MAX);
    (1.0 - autocorrelation) / (1.0 + autocorrelation)
}

/// The autocorrelation from one value to the next in parts that have a mean of their own each.
pub(crate) fn autocorrelation(parts: &[&[f64]]) -> f64 {
    let (mut products, mut squares) = (0.0, 0.0);
    for part in parts {
        let mean = mean(part);
        products += part.windows(2).map(|two| (two[0] - mean) * (two[1] - mean)).sum::<f64>();
        squares += part.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    }
    if squares > 0.0 { products / squares } else { 0.0 }
}

/// The autocorrelation of a series that parts of it underestimate, since each is measured from its own
/// mean (Marriott and Pope, "Bias in the estimation of autocorrelations", Biometrika 41, 1954).
fn unbiased(autocorrelation: f64, parts: &[&[f64]]) -> f64 {
    let per_value = parts.len() as f64 / parts.iter().map(|part| part.len()).sum::<usize>() as f64;
    (autocorrelation + per_value) / (1.0 - 3.0 * per_value).max(0.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A series that wavers by 0.1 around the levels.
    fn series(levels: &[(usize, f64)]) -> Vec<f64> {
        let all = levels.iter().flat_map(|&(length, level)| std::iter::repeat_n(level, length));
        all.enumerate().map(|(index, level)| level + [0.05, -0.05, 0.0][index % 3]).collect()
    }

    fn places(values: &[f64], size_min: f64) -> Vec<usize> {
        steps(values, size_min).iter().map(|step| step.at).collect()
    }

    #[test]
    fn steps_are_found_where_they_are() {
        assert_eq!(places(&series(&[(30, 1.0), (30, 2.0)]), 0.2), [30]);
        assert_eq!(places(&series(&[(20, 1.0), (20, 2.0), (20, 1.0)]), 0.2), [20, 40]);
        let found = steps(&series(&[(20, 1.0), (20, 2.0), (20, 4.0)]), 0.2);
        let levels: Vec<f64> = found.iter().map(|step| step.after).collect();
        assert!((levels[0] - 2.0).abs() < 0.01 && (levels[1] - 4.0).abs() < 0.01, "{found:?}");
        assert!((found[0].before - 1.0).abs() < 0.01, "{found:?}");
    }

    #[test]
    fn small_or_short_changes_are_no_steps() {
        assert!(places(&series(&[(60, 1.0)]), 0.2).is_empty());
        assert!(places(&series(&[(30, 1.0), (30, 1.1)]), 0.2).is_empty(), "too small");
        assert!(places(&series(&[(58, 1.0), (2, 2.0)]), 0.2).is_empty(), "too short");
        assert_eq!(places(&series(&[(54, 1.0), (6, 2.0)]), 0.2), [54]);
        assert!(places(&[1.0; 60], 0.2).is_empty());
        assert!(places(&[1.0; 3], 0.2).is_empty() && places(&[], 0.2).is_empty());
    }

    #[test]
    fn steps_without_noise_are_certain() {
        let values = [vec![0.0; 10], vec![1.0; 10]].concat();
        assert_eq!(places(&values, 0.2), [10]);
    }

    /// A slow wave is not two levels, though a t-test of independent values would say so.
    #[test]
    fn dependent_values_count_for_less() {
        let wave: Vec<f64> = (0..60).map(|index| (f64::from(index) / 20.0).sin()).collect();
        let (before, after) = wave.split_at(30);
        assert!(independent_share(autocorrelation(&[before, after])) < 0.2);
        let noise = series(&[(60, 1.0)]);
        let (before, after) = noise.split_at(30);
        assert!(independent_share(autocorrelation(&[before, after])) > 0.9);
    }
}
