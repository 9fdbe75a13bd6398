//! Percentiles of arbitrary numbers in bounded memory.

use std::collections::BTreeMap;

/// The factor between buckets.
const GROWTH: f64 = 1.01;

/// The largest relative error of a percentile from buckets: half a bucket.
pub(crate) const ERROR: f64 = (GROWTH - 1.0) / (GROWTH + 1.0);

/// The numbers of one group, either exact or counted in exponential buckets.
#[derive(Debug, Clone)]
pub(crate) enum Distribution {
    /// In order of arrival.
    Exact(Vec<f64>),
    Bucketed(Buckets),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Buckets {
    count: u64,
    zeros: u64,
    /// By the exponent of [`GROWTH`] of the upper bound.
    positive: BTreeMap<i32, u64>,
    /// The same of the numbers without their sign.
    negative: BTreeMap<i32, u64>,
}

impl Default for Distribution {
    fn default() -> Self {
        Self::Exact(Vec::new())
    }
}

impl Distribution {
    /// Adds a finite number. Keeps it exactly as long as `exact_left`, which all distributions
    /// share, has room; after that it needs no room and returns what it had.
    pub(crate) fn add(&mut self, number: f64, exact_left: &mut usize) {
        if let (Self::Exact(numbers), 0) = (&mut *self, *exact_left) {
            *exact_left += numbers.len();
            let mut buckets = Buckets::default();
            for number in numbers.drain(..) {
                buckets.add(number);
            }
            *self = Self::Bucketed(buckets);
        }
        match self {
            Self::Exact(numbers) => {
                numbers.push(number);
                *exact_left -= 1;
            }
            Self::Bucketed(buckets) => buckets.add(number),
        }
    }

    pub(crate) fn is_exact(&self) -> bool {
        matches!(self, Self::Exact(_))
    }

    /// The smallest number that is not below this percentage of all; `None` without numbers.
    pub(crate) fn percentiles(&self, percents: &[f64]) -> Vec<Option<f64>> {
        match self {
            Self::Exact(numbers) => {
                let mut sorted = numbers.clone();
                sorted.sort_unstable_by(f64::total_cmp);
                let at = |percent: &f64| sorted.get(rank(*percent, sorted.len() as u64)).copied();
                percents.iter().map(at).collect()
            }
            Self::Bucketed(buckets) => {
                percents.iter().map(|percent| buckets.at(rank(*percent, buckets.count))).collect()
            }
        }
    }
}

/// The index among `count` sorted numbers.
fn rank(percent: f64, count: u64) -> usize {
    let place = (percent / 100.0 * count as f64).ceil();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to the count"
    )]
    let place = place as usize;
    place.saturating_sub(1)
}

impl Buckets {
    fn add(&mut self, number: f64) {
        self.count += 1;
        let side = if number > 0.0 {
            &mut self.positive
        } else if number < 0.0 {
            &mut self.negative
        } else {
            self.zeros += 1;
            return;
        };
        #[expect(clippy::cast_possible_truncation, reason = "at most 75,000 either way")]
        let exponent = (number.abs().ln() / GROWTH.ln()).ceil() as i32;
        *side.entry(exponent).or_default() += 1;
    }

    fn at(&self, rank: usize) -> Option<f64> {
        let middle = |exponent: i32| GROWTH.powi(exponent) * 2.0 / (GROWTH + 1.0);
        let below = self.negative.iter().rev().map(|(&bucket, &count)| (-middle(bucket), count));
        let above = self.positive.iter().map(|(&bucket, &count)| (middle(bucket), count));
        let mut passed = 0;
        below.chain([(0.0, self.zeros)]).chain(above).find_map(|(number, count)| {
            passed += count;
            (passed > rank as u64).then_some(number)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distribution(numbers: impl Iterator<Item = f64>, room: usize) -> (Distribution, usize) {
        let (mut distribution, mut left) = (Distribution::default(), room);
        for number in numbers {
            distribution.add(number, &mut left);
        }
        (distribution, left)
    }

    #[test]
    fn percentiles_are_actual_numbers() {
        let (few, left) = distribution([3.5, 1.0, 2.0].into_iter(), 10);
        assert_eq!(left, 7);
        let found = few.percentiles(&[0.0, 33.3, 50.0, 67.0, 100.0]);
        assert_eq!(found, [1.0, 1.0, 2.0, 3.5, 3.5].map(Some));
        assert_eq!(Distribution::default().percentiles(&[50.0]), [None]);
    }

    #[test]
    fn buckets_approximate_percentiles_and_free_room() {
        let numbers = || (1..=1_000).map(|n| f64::from(n) * f64::from(n) - 250_000.0);
        let (exact, _) = distribution(numbers(), 1_000);
        let (bucketed, left) = distribution(numbers(), 400);
        assert!(exact.is_exact() && !bucketed.is_exact());
        assert_eq!(left, 400);
        let percents: Vec<f64> = (1..=100).map(f64::from).collect();
        let pairs = exact.percentiles(&percents).into_iter().zip(bucketed.percentiles(&percents));
        for (exact, near) in pairs {
            let (exact, near) = (exact.expect("one"), near.expect("one"));
            assert!((exact - near).abs() <= exact.abs() * (ERROR + 1e-9), "{exact} {near}");
        }
    }

    #[test]
    fn extreme_numbers_have_buckets() {
        let widest = [f64::MIN_POSITIVE, f64::MAX, f64::MIN, 0.0, -0.0];
        let (bucketed, _) = distribution(widest.into_iter(), 0);
        let found = bucketed.percentiles(&[1.0, 50.0, 75.0, 100.0]);
        let found: Vec<f64> = found.into_iter().flatten().collect();
        assert_eq!(found.len(), 4);
        assert!(found[0] < -1e307 && found[1] == 0.0 && found[3] > 1e307, "{found:?}");
    }
}
