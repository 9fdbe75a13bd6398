//! Message sizes: fixed, or drawn from a distribution.

use rand::RngExt as _;
use rand::distr::{Distribution as _, Uniform};
use rand_distr::StandardNormal;
use rand_xoshiro::Xoshiro256PlusPlus;

/// The sizes of whole messages, header included.
#[derive(Debug, Clone, PartialEq)]
pub enum SizeDistribution {
    /// Every message has the same size.
    Fixed {
        /// The size of each message.
        size_bytes: usize,
    },
    /// Every size of a range is equally likely.
    Uniform {
        /// The smallest size, inclusive.
        min_bytes: usize,
        /// The largest size, inclusive.
        max_bytes: usize,
    },
    /// Sizes are symmetric around a mean.
    Normal {
        /// The mean before clipping.
        mean_bytes: f64,
        /// The standard deviation before clipping, 0 or more.
        std_dev_bytes: f64,
    },
    /// Many small messages and a long tail of large ones, as in much real traffic.
    LogNormal {
        /// The median size, above 0.
        median_bytes: f64,
        /// The standard deviation of the natural logarithm of the size, 0 or more.
        sigma: f64,
    },
    /// Sizes from a list, each with its weight: a size of weight 2 is twice as frequent as one of
    /// weight 1. Weights are finite, 0 or more, and not all 0.
    Weighted(Vec<(usize, f64)>),
}

impl SizeDistribution {
    /// The mean size in bytes, before unbounded distributions are clipped. Meaningful only if
    /// [`SizeSampler::new`] accepts the distribution.
    #[must_use]
    pub fn mean_bytes(&self) -> f64 {
        match self {
            Self::Fixed { size_bytes } => *size_bytes as f64,
            Self::Uniform { min_bytes, max_bytes } => {
                f64::midpoint(*min_bytes as f64, *max_bytes as f64)
            }
            Self::Normal { mean_bytes, .. } => *mean_bytes,
            // exp(mu + sigma^2 / 2), with exp(mu) the median.
            Self::LogNormal { median_bytes, sigma } => median_bytes * (sigma * sigma / 2.0).exp(),
            Self::Weighted(sizes) => {
                let total: f64 = sizes.iter().map(|(_, weight)| weight).sum();
                sizes.iter().map(|(size, weight)| *size as f64 * (weight / total)).sum()
            }
        }
    }
}

/// Why a size distribution is invalid.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SizeError {
    /// A size, or the middle of an unbounded distribution, too small for the header.
    #[error(
        "a message of {size_bytes} bytes cannot hold the {smallest_bytes}-byte header: \
         the smallest size is {smallest_bytes} bytes"
    )]
    BelowSmallest {
        /// The requested size.
        size_bytes: usize,
        /// The smallest possible size.
        smallest_bytes: usize,
    },
    /// A size, or the middle of an unbounded distribution, above what the system accepts.
    #[error(
        "a message of {size_bytes} bytes is too large: the largest size is {largest_bytes} bytes"
    )]
    AboveLargest {
        /// The requested size.
        size_bytes: usize,
        /// The largest allowed size.
        largest_bytes: usize,
    },
    /// A uniform range that ends before it starts.
    #[error(
        "uniform sizes from {min_bytes} to {max_bytes} bytes are an empty range: \
         put the smaller size first"
    )]
    EmptyRange {
        /// Start of the range.
        min_bytes: usize,
        /// End of the range.
        max_bytes: usize,
    },
    /// A parameter that is negative, infinite or not a number.
    #[error("the {parameter} of the message sizes is {value}: use a finite number, 0 or more")]
    Parameter {
        /// Name of the parameter.
        parameter: &'static str,
        /// The given value.
        value: f64,
    },
    /// A log-normal distribution with median 0.
    #[error("the median of log-normal message sizes is 0: use a median above 0")]
    ZeroMedian,
    /// A weight that is negative, infinite or not a number.
    #[error("size {size_bytes} has the weight {weight}: use a finite number, 0 or more")]
    Weight {
        /// The size with that weight.
        size_bytes: usize,
        /// The given weight.
        weight: f64,
    },
    /// Finite weights with an infinite sum.
    #[error("the sum of the message size weights overflows: scale them down")]
    WeightsOverflow,
    /// Weighted sizes that all have weight 0.
    #[error("all message size weights are 0: give at least one size a weight above 0")]
    NothingWeighted,
}

/// Draws message sizes. The same seed gives the same sizes; only normal and log-normal ones may
/// rarely differ by a byte between platforms, whose math libraries round differently.
#[derive(Debug, Clone)]
pub struct SizeSampler {
    source: SizeSource,
    smallest_bytes: usize,
    largest_bytes: usize,
}

#[derive(Debug, Clone)]
enum SizeSource {
    Fixed(usize),
    Uniform(Uniform<usize>),
    Normal { mean_bytes: f64, std_dev_bytes: f64 },
    LogNormal { log_median: f64, sigma: f64 },
    Weighted(CumulativeWeights),
}

impl SizeSampler {
    /// A sampler of sizes from `smallest_bytes` to `largest_bytes`, both inclusive.
    ///
    /// Explicit sizes must be in that range, and so must the mean of a normal and the median of a
    /// log-normal distribution. The tails of these two are clipped to it.
    pub fn new(
        distribution: &SizeDistribution,
        smallest_bytes: usize,
        largest_bytes: usize,
    ) -> Result<Self, SizeError> {
        let within = |size_bytes| {
            if size_bytes < smallest_bytes {
                Err(SizeError::BelowSmallest { size_bytes, smallest_bytes })
            } else if size_bytes > largest_bytes {
                Err(SizeError::AboveLargest { size_bytes, largest_bytes })
            } else {
                Ok(())
            }
        };
        let (source, largest_bytes) = match *distribution {
            SizeDistribution::Fixed { size_bytes } => {
                within(size_bytes)?;
                (SizeSource::Fixed(size_bytes), size_bytes)
            }
            SizeDistribution::Uniform { min_bytes, max_bytes } => {
                within(min_bytes)?;
                within(max_bytes)?;
                let range = Uniform::new_inclusive(min_bytes, max_bytes)
                    .map_err(|_| SizeError::EmptyRange { min_bytes, max_bytes })?;
                (SizeSource::Uniform(range), max_bytes)
            }
            SizeDistribution::Normal { mean_bytes, std_dev_bytes } => {
                check("mean", mean_bytes)?;
                check("standard deviation", std_dev_bytes)?;
                within(round(mean_bytes))?;
                (SizeSource::Normal { mean_bytes, std_dev_bytes }, largest_bytes)
            }
            SizeDistribution::LogNormal { median_bytes, sigma } => {
                check("median", median_bytes)?;
                check("sigma", sigma)?;
                if median_bytes == 0.0 {
                    return Err(SizeError::ZeroMedian);
                }
                within(round(median_bytes))?;
                (SizeSource::LogNormal { log_median: median_bytes.ln(), sigma }, largest_bytes)
            }
            SizeDistribution::Weighted(ref sizes) => {
                sizes.iter().try_for_each(|(size_bytes, _)| within(*size_bytes))?;
                let weights = CumulativeWeights::new(sizes)?;
                let max_bytes = weights.max_bytes();
                (SizeSource::Weighted(weights), max_bytes)
            }
        };
        Ok(Self { source, smallest_bytes, largest_bytes })
    }

    /// Draws the size of the next message, in bytes.
    #[inline]
    pub fn sample(&self, rng: &mut Xoshiro256PlusPlus) -> usize {
        match &self.source {
            SizeSource::Fixed(size_bytes) => *size_bytes,
            SizeSource::Uniform(range) => range.sample(rng),
            SizeSource::Normal { mean_bytes, std_dev_bytes } => {
                let deviation: f64 = StandardNormal.sample(rng);
                self.clip(mean_bytes + std_dev_bytes * deviation)
            }
            SizeSource::LogNormal { log_median, sigma } => {
                let deviation: f64 = StandardNormal.sample(rng);
                self.clip((log_median + sigma * deviation).exp())
            }
            SizeSource::Weighted(weights) => weights.sample(rng),
        }
    }

    /// The largest size that [`sample`](Self::sample) can return, in bytes.
    #[must_use]
    pub fn max_bytes(&self) -> usize {
        self.largest_bytes
    }

    #[inline]
    fn clip(&self, size_bytes: f64) -> usize {
        round(size_bytes).clamp(self.smallest_bytes, self.largest_bytes)
    }
}

/// Sizes of positive weight, each with the cumulative weight up to and including its own.
#[derive(Debug, Clone)]
struct CumulativeWeights {
    sizes: Vec<(usize, f64)>,
    total: f64,
}

impl CumulativeWeights {
    fn new(weighted: &[(usize, f64)]) -> Result<Self, SizeError> {
        let mut sizes = Vec::with_capacity(weighted.len());
        let mut total = 0.0;
        for &(size_bytes, weight) in weighted {
            if !weight.is_finite() || weight < 0.0 {
                return Err(SizeError::Weight { size_bytes, weight });
            }
            if weight > 0.0 {
                total += weight;
                sizes.push((size_bytes, total));
            }
        }
        if sizes.is_empty() {
            return Err(SizeError::NothingWeighted);
        }
        if !total.is_finite() {
            return Err(SizeError::WeightsOverflow);
        }
        Ok(Self { sizes, total })
    }

    #[inline]
    fn sample(&self, rng: &mut Xoshiro256PlusPlus) -> usize {
        // At most (1 - 2^-53) times the total, which rounds to below it, so a size is always found.
        let point = rng.random::<f64>() * self.total;
        self.sizes[self.sizes.partition_point(|(_, sum)| *sum <= point)].0
    }

    fn max_bytes(&self) -> usize {
        self.sizes.iter().map(|(size_bytes, _)| *size_bytes).max().unwrap_or(0)
    }
}

fn check(parameter: &'static str, value: f64) -> Result<(), SizeError> {
    if value.is_finite() && value >= 0.0 {
        Ok(())
    } else {
        Err(SizeError::Parameter { parameter, value })
    }
}

#[inline]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and values out of range are clipped or refused"
)]
fn round(size_bytes: f64) -> usize {
    size_bytes.round() as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng as _;

    use super::*;

    const DRAWS: u32 = 200_000;

    fn sample(distribution: &SizeDistribution, seed: u64) -> Vec<usize> {
        let sampler = SizeSampler::new(distribution, 40, 4_096).expect("valid");
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        (0..DRAWS).map(|_| sampler.sample(&mut rng)).collect()
    }

    fn mean(sizes: &[usize]) -> f64 {
        sizes.iter().sum::<usize>() as f64 / sizes.len() as f64
    }

    fn refusal(distribution: &SizeDistribution) -> SizeError {
        SizeSampler::new(distribution, 40, 4_096).expect_err("refused")
    }

    /// Distributions far from the clipping bounds of `sample`.
    fn unclipped() -> Vec<SizeDistribution> {
        vec![
            SizeDistribution::Fixed { size_bytes: 100 },
            SizeDistribution::Uniform { min_bytes: 50, max_bytes: 150 },
            SizeDistribution::Normal { mean_bytes: 1_000.0, std_dev_bytes: 100.0 },
            SizeDistribution::LogNormal { median_bytes: 400.0, sigma: 0.4 },
            SizeDistribution::Weighted(vec![(50, 3.0), (60, 0.0), (1_000, 1.0)]),
        ]
    }

    #[test]
    fn every_distribution_has_its_stated_mean() {
        for distribution in unclipped() {
            let (drawn, stated) = (mean(&sample(&distribution, 1)), distribution.mean_bytes());
            assert!((drawn / stated - 1.0).abs() < 0.01, "{distribution:?}: {drawn}, not {stated}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_sizes() {
        for distribution in unclipped() {
            assert_eq!(sample(&distribution, 7), sample(&distribution, 7));
        }
        let uniform = SizeDistribution::Uniform { min_bytes: 50, max_bytes: 150 };
        assert_ne!(sample(&uniform, 7), sample(&uniform, 8));
    }

    #[test]
    fn uniform_sizes_cover_their_range_evenly() {
        let sizes = sample(&SizeDistribution::Uniform { min_bytes: 40, max_bytes: 43 }, 2);
        for size_bytes in 40..=43 {
            let share = sizes.iter().filter(|size| **size == size_bytes).count();
            assert!((49_000..51_000).contains(&share), "{size_bytes} came up {share} times");
        }
    }

    #[test]
    fn normal_and_log_normal_sizes_follow_their_parameters() {
        let normal = SizeDistribution::Normal { mean_bytes: 1_000.0, std_dev_bytes: 100.0 };
        let log_normal = SizeDistribution::LogNormal { median_bytes: 400.0, sigma: 0.4 };
        // Median and 84.13th percentile, one standard deviation above it.
        for (distribution, median, upper) in
            [(normal, 1_000.0, 1_100.0), (log_normal, 400.0, 400.0 * 0.4_f64.exp())]
        {
            let mut sizes = sample(&distribution, 3);
            sizes.sort_unstable();
            let percentile = |p: usize| sizes[sizes.len() * p / 10_000] as f64;
            assert!((percentile(5_000) / median - 1.0).abs() < 0.01, "{distribution:?}");
            assert!((percentile(8_413) / upper - 1.0).abs() < 0.01, "{distribution:?}");
        }
    }

    #[test]
    fn weighted_sizes_follow_their_weights() {
        let sizes = sample(&SizeDistribution::Weighted(vec![(50, 3.0), (60, 0.0), (70, 1.0)]), 4);
        let times = |size_bytes| sizes.iter().filter(|size| **size == size_bytes).count();
        assert!((149_000..151_000).contains(&times(50)));
        assert_eq!(times(60), 0);
        assert_eq!(times(50) + times(70), sizes.len());
    }

    #[test]
    fn tails_are_clipped_to_the_range() {
        let wide = SizeDistribution::Normal { mean_bytes: 100.0, std_dev_bytes: 10_000.0 };
        let sizes = sample(&wide, 5);
        assert_eq!(sizes.iter().min(), Some(&40));
        assert_eq!(sizes.iter().max(), Some(&4_096));
    }

    #[test]
    fn largest_size_is_as_small_as_possible() {
        let largest = |distribution: &SizeDistribution| {
            SizeSampler::new(distribution, 40, 4_096).expect("valid").max_bytes()
        };
        let of_each = unclipped().iter().map(largest).collect::<Vec<_>>();
        assert_eq!(of_each, [100, 150, 4_096, 4_096, 1_000]);
        assert_eq!(largest(&SizeDistribution::Weighted(vec![(50, 1.0), (60, 0.0)])), 50);
    }

    #[test]
    fn refusals_of_small_sizes_name_the_smallest() {
        for distribution in [
            SizeDistribution::Fixed { size_bytes: 10 },
            SizeDistribution::Uniform { min_bytes: 10, max_bytes: 100 },
            SizeDistribution::Normal { mean_bytes: 10.0, std_dev_bytes: 1.0 },
            SizeDistribution::LogNormal { median_bytes: 10.0, sigma: 1.0 },
            SizeDistribution::Weighted(vec![(100, 1.0), (10, 1.0)]),
        ] {
            assert_eq!(
                refusal(&distribution).to_string(),
                "a message of 10 bytes cannot hold the 40-byte header: \
                 the smallest size is 40 bytes"
            );
        }
    }

    #[test]
    fn sizes_above_the_largest_are_refused() {
        let expected = SizeError::AboveLargest { size_bytes: 5_000, largest_bytes: 4_096 };
        for distribution in [
            SizeDistribution::Fixed { size_bytes: 5_000 },
            SizeDistribution::Uniform { min_bytes: 100, max_bytes: 5_000 },
            SizeDistribution::Normal { mean_bytes: 5_000.0, std_dev_bytes: 1.0 },
            SizeDistribution::LogNormal { median_bytes: 5_000.0, sigma: 1.0 },
            SizeDistribution::Weighted(vec![(100, 1.0), (5_000, 0.0)]),
        ] {
            assert_eq!(refusal(&distribution), expected);
        }
    }

    #[test]
    fn invalid_parameters_are_refused() {
        let reversed = SizeDistribution::Uniform { min_bytes: 200, max_bytes: 100 };
        assert_eq!(refusal(&reversed), SizeError::EmptyRange { min_bytes: 200, max_bytes: 100 });
        for value in [-1.0, f64::NAN, f64::INFINITY] {
            for distribution in [
                SizeDistribution::Normal { mean_bytes: value, std_dev_bytes: 1.0 },
                SizeDistribution::Normal { mean_bytes: 100.0, std_dev_bytes: value },
                SizeDistribution::LogNormal { median_bytes: value, sigma: 1.0 },
                SizeDistribution::LogNormal { median_bytes: 100.0, sigma: value },
            ] {
                let error = refusal(&distribution);
                assert!(matches!(error, SizeError::Parameter { .. }), "{error}");
            }
            let error = refusal(&SizeDistribution::Weighted(vec![(100, 1.0), (200, value)]));
            assert!(matches!(error, SizeError::Weight { size_bytes: 200, .. }), "{error}");
        }
        let zero_median = SizeDistribution::LogNormal { median_bytes: 0.0, sigma: 1.0 };
        assert_eq!(refusal(&zero_median), SizeError::ZeroMedian);
        for nothing in [vec![], vec![(100, 0.0), (200, 0.0)]] {
            assert_eq!(refusal(&SizeDistribution::Weighted(nothing)), SizeError::NothingWeighted);
        }
        let overflow = SizeDistribution::Weighted(vec![(100, f64::MAX), (200, f64::MAX)]);
        assert_eq!(refusal(&overflow), SizeError::WeightsOverflow);
    }

    fn any_distribution() -> impl Strategy<Value = SizeDistribution> {
        let size = 0..10_000_usize;
        prop_oneof![
            size.clone().prop_map(|size_bytes| SizeDistribution::Fixed { size_bytes }),
            (size.clone(), size.clone()).prop_map(|(min_bytes, max_bytes)| {
                SizeDistribution::Uniform { min_bytes, max_bytes }
            }),
            (any::<f64>(), any::<f64>()).prop_map(|(mean_bytes, std_dev_bytes)| {
                SizeDistribution::Normal { mean_bytes, std_dev_bytes }
            }),
            (0.0..10_000.0, 0.0..f64::MAX).prop_map(|(median_bytes, sigma)| {
                SizeDistribution::LogNormal { median_bytes, sigma }
            }),
            prop::collection::vec((size, any::<f64>()), 0..5).prop_map(SizeDistribution::Weighted),
        ]
    }

    proptest! {
        #[test]
        fn accepted_distributions_stay_in_range(distribution in any_distribution(), seed: u64) {
            if let Ok(sampler) = SizeSampler::new(&distribution, 40, 4_096) {
                let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
                for _ in 0..100 {
                    let size_bytes = sampler.sample(&mut rng);
                    prop_assert!((40..=sampler.max_bytes()).contains(&size_bytes));
                }
                prop_assert!(sampler.max_bytes() <= 4_096);
            }
        }
    }
}
