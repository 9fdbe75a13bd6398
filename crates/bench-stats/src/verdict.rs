//! What an interval says about a change, and what it would take to know more.

use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::sample::Bounds;
use crate::student::{t_inverse, t_quantile};

/// More repeats than this are not worth a number.
const REPEATS_MAX: usize = 1_000;

/// The chance of finding a change for which a number of repeats is named.
const POWER: f64 = 0.8;

/// What is known about a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// The second side has the higher value.
    Higher,
    /// The second side has the lower value.
    Lower,
    /// The difference lies within the margin.
    Same,
    /// Neither is shown.
    Undecided {
        /// Repeats that would decide it if the figures stay as they are; absent beyond a thousand.
        more_repeats: Option<usize>,
    },
}

/// What a change shows at `level`, with the probability `p` of it after the correction for the family
/// of figures that it belongs to. It is the same if its whole interval lies within the margin (0.05 for
/// 5 %), which is stricter than two one-sided tests (Schuirmann, 1987); "not significant" alone is
/// undecided.
#[must_use]
pub fn finding(change: &Change, p: f64, margin: f64, level: f64) -> Finding {
    let within = Bounds { low: 1.0 / (1.0 + margin), high: 1.0 + margin };
    if within.holds(change.interval.low) && within.holds(change.interval.high) {
        return Finding::Same;
    }
    match change.ratio {
        ratio if p < 1.0 - level && ratio > 1.0 => Finding::Higher,
        ratio if p < 1.0 - level && ratio < 1.0 => Finding::Lower,
        _ => Finding::Undecided { more_repeats: more_repeats(change, margin, level) },
    }
}

/// The fewest further repeats with which the interval would leave out 1, or lie within the margin, if
/// ratio and spread stay as they are.
fn more_repeats(change: &Change, margin: f64, level: f64) -> Option<usize> {
    let distance = change.ratio.ln().abs();
    let spread = change.standard_error * (change.runs as f64).sqrt();
    let limit = margin.ln_1p();
    // Unpaired sides have the degrees of freedom of both.
    let degrees_per_run = (change.degrees / (change.runs as f64 - 1.0)).max(1.0);
    let decides = |runs: usize| {
        let degrees = degrees_per_run * (runs as f64 - 1.0);
        let half = t_quantile(level, degrees) * spread / (runs as f64).sqrt();
        distance > half || distance + half < limit
    };
    let runs = (change.runs + 1..=REPEATS_MAX).find(|&runs| decides(runs))?;
    Some(runs - change.runs)
}

/// The smallest change (0.05 for 5 %) that so many pairs show with a chance of 80 %, given the standard
/// deviation of the ratios' logarithms. `None` of fewer than two pairs.
///
/// The sum of both quantiles stands for the noncentral t (Julious, "Sample sizes for clinical trials",
/// 2010, 3.4), which is a little too optimistic with three pairs.
#[must_use]
pub fn detectable_change(spread: f64, pairs: usize, level: f64) -> Option<f64> {
    let degrees = pairs.checked_sub(1).filter(|degrees| *degrees > 0)? as f64;
    let factor = t_quantile(level, degrees) + t_inverse(POWER, degrees);
    Some((factor * spread / (pairs as f64).sqrt()).exp_m1())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::paired;

    fn found(b: &[f64], margin: f64) -> Finding {
        let a = vec![100.0; b.len()];
        let change = paired(&a, b, 0.95).expect("pairs");
        finding(&change, change.p, margin, 0.95)
    }

    #[test]
    fn intervals_decide() {
        assert_eq!(found(&[110.0, 111.0, 109.0, 110.0], 0.05), Finding::Higher);
        assert_eq!(found(&[90.0, 91.0, 89.0, 90.0], 0.05), Finding::Lower);
        assert_eq!(found(&[100.5, 99.5, 100.0, 100.2], 0.05), Finding::Same);
        // Shown to differ, and by less than anyone cares for.
        assert_eq!(found(&[101.0, 101.1, 100.9, 101.0], 0.05), Finding::Same);
        assert_eq!(found(&[101.0, 101.1, 100.9, 101.0], 0.0), Finding::Higher);
    }

    #[test]
    fn few_noisy_pairs_are_undecided() {
        let Finding::Undecided { more_repeats } = found(&[90.0, 112.0, 104.0], 0.05) else {
            panic!("three pairs that contradict each other decide nothing");
        };
        assert!(more_repeats.is_some_and(|more| more > 3), "{more_repeats:?}");
        assert_eq!(found(&[1.0, 10_000.0], 0.05), Finding::Undecided { more_repeats: None });
    }

    #[test]
    fn corrections_for_families_can_undecide() {
        let change = paired(&[100.0; 4], &[110.0, 111.0, 109.0, 110.0], 0.95).expect("pairs");
        assert!(matches!(finding(&change, 0.2, 0.05, 0.95), Finding::Undecided { .. }));
    }

    /// The simulated power of the paired t is 50 % for 10 % with five pairs at a spread of 6 % per run
    /// (8.5 % of the ratio), and 88 % with ten.
    #[test]
    fn detectable_changes_follow_spread_and_pairs() {
        let shown = |pairs| detectable_change(0.085, pairs, 0.95).expect("pairs");
        assert!((0.14..0.16).contains(&shown(5)), "{}", shown(5));
        assert!((0.08..0.10).contains(&shown(10)), "{}", shown(10));
        assert_eq!(detectable_change(0.085, 1, 0.95), None);
    }
}
