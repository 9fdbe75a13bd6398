//! Message keys: which key each message gets, and how keys are written.

use rand::distr::{Distribution as _, Uniform};
use rand_distr::Zipf;
use rand_xoshiro::Xoshiro256PlusPlus;

/// Size of every key, in bytes.
pub const KEY_BYTES: usize = 16;

/// How keys are distributed over messages. Keys are numbered from 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum KeyDistribution {
    /// Messages have no key.
    None,
    /// The keys in turn, by the sequence number of the message.
    RoundRobin {
        /// Number of keys, at least 1.
        keys: u64,
    },
    /// Every key is equally likely.
    Uniform {
        /// Number of keys, at least 1.
        keys: u64,
    },
    /// A few hot keys and many cold ones: the frequency of key `k` is proportional to
    /// `1 / (k + 1)^exponent`.
    Zipf {
        /// Number of keys, at least 1.
        keys: u64,
        /// The skew, 0 or more: 0 is uniform, 1 the classic law.
        exponent: f64,
    },
}

/// Why a key distribution is invalid.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// A distribution over no keys.
    #[error("messages cannot be distributed over 0 keys: use at least 1, or no keys at all")]
    NoKeys,
    /// An exponent that is negative, infinite or not a number.
    #[error(
        "the exponent of the Zipf distribution of keys is {exponent}: use a finite number, 0 or more"
    )]
    Exponent {
        /// The given exponent.
        exponent: f64,
    },
}

/// Chooses the key of each message. The same seed gives the same keys; only Zipf keys may rarely
/// differ between platforms, whose math libraries round differently.
#[derive(Debug, Clone)]
pub struct KeyGenerator {
    source: KeySource,
}

#[derive(Debug, Clone)]
enum KeySource {
    None,
    RoundRobin { keys: u64 },
    Uniform(Uniform<u64>),
    Zipf { ranks: Zipf<f64>, last: u64 },
}

impl KeyGenerator {
    /// A generator of the keys of `distribution`.
    pub fn new(distribution: &KeyDistribution) -> Result<Self, KeyError> {
        let source = match *distribution {
            KeyDistribution::None => KeySource::None,
            KeyDistribution::RoundRobin { keys: 0 } => return Err(KeyError::NoKeys),
            KeyDistribution::RoundRobin { keys } => KeySource::RoundRobin { keys },
            KeyDistribution::Uniform { keys } => {
                KeySource::Uniform(Uniform::new(0, keys).map_err(|_| KeyError::NoKeys)?)
            }
            KeyDistribution::Zipf { keys, exponent } => zipf(keys, exponent)?,
        };
        Ok(Self { source })
    }

    /// The key number of the message `sequence`, or `None` if messages have no key.
    #[inline]
    pub fn next(&self, sequence: u64, rng: &mut Xoshiro256PlusPlus) -> Option<u64> {
        match &self.source {
            KeySource::None => None,
            KeySource::RoundRobin { keys } => Some(sequence % keys),
            KeySource::Uniform(range) => Some(range.sample(rng)),
            KeySource::Zipf { ranks, last } => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "the cast saturates, and ranks start at 1"
                )]
                let key = ranks.sample(rng) as u64 - 1;
                // Rounding can yield the rank after the last.
                Some(key.min(*last))
            }
        }
    }
}

fn zipf(keys: u64, exponent: f64) -> Result<KeySource, KeyError> {
    /// The sampler divides by the distance of the exponent from 1. This close to 1, the law with
    /// exponent 1 is a better approximation than the rounded result.
    const INDISTINCT_FROM_ONE: f64 = 1e-8;

    if !exponent.is_finite() || exponent < 0.0 {
        return Err(KeyError::Exponent { exponent });
    }
    let exponent = if (exponent - 1.0).abs() < INDISTINCT_FROM_ONE { 1.0 } else { exponent };
    // The exponent is checked above, so only 0 keys can fail here.
    let ranks = Zipf::new(keys as f64, exponent).map_err(|_| KeyError::NoKeys)?;
    Ok(KeySource::Zipf { ranks, last: keys.saturating_sub(1) })
}

/// Appends the key `number` to `out` as [`KEY_BYTES`] lower-case hexadecimal digits: printable and
/// of fixed size, so that keys do not change message sizes.
#[inline]
pub(super) fn write_key(number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; KEY_BYTES];
    for (place, digit) in digits.iter_mut().rev().enumerate() {
        *digit = b"0123456789abcdef"[(number >> (4 * place) & 0xF) as usize];
    }
    out.extend_from_slice(&digits);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng as _;

    use super::*;

    fn draw(distribution: KeyDistribution, count: u64, seed: u64) -> Vec<Option<u64>> {
        let generator = KeyGenerator::new(&distribution).expect("valid");
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        (0..count).map(|sequence| generator.next(sequence, &mut rng)).collect()
    }

    /// The relative frequency of each key below `keys`.
    fn frequencies(distribution: KeyDistribution, keys: usize, count: u64) -> Vec<f64> {
        let mut times = vec![0_u32; keys];
        for key in draw(distribution, count, 1).into_iter().flatten() {
            times[usize::try_from(key).expect("small")] += 1;
        }
        times.iter().map(|times| f64::from(*times) / count as f64).collect()
    }

    #[test]
    fn round_robin_cycles_through_the_keys() {
        let keys = draw(KeyDistribution::RoundRobin { keys: 3 }, 7, 0);
        assert_eq!(keys, [0, 1, 2, 0, 1, 2, 0].map(Some));
    }

    #[test]
    fn no_keys_means_none_on_any_message() {
        assert_eq!(draw(KeyDistribution::None, 3, 0), [None; 3]);
    }

    #[test]
    fn uniform_keys_cover_every_key_evenly() {
        // 10,000 each: four standard deviations are 4 %.
        for share in frequencies(KeyDistribution::Uniform { keys: 100 }, 100, 1_000_000) {
            assert!((share * 100.0 - 1.0).abs() < 0.04, "{share}");
        }
    }

    #[test]
    fn zipf_keys_follow_the_law() {
        let count = 1_000_000;
        for exponent in [0.0, 0.5, 1.0 - 1e-6, 1.0, 1.0 + 1e-9, 1.2, 2.0] {
            let shares = frequencies(KeyDistribution::Zipf { keys: 100, exponent }, 100, count);
            let weight = |key: usize| ((key + 1) as f64).powf(-exponent);
            let total: f64 = (0..100).map(weight).sum();
            for (key, share) in shares.into_iter().enumerate() {
                let expected = weight(key) / total;
                let tolerance = 4.0 * (expected / count as f64).sqrt();
                assert!(
                    (share - expected).abs() < tolerance,
                    "key {key} with exponent {exponent}: {share}, not {expected}"
                );
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_keys() {
        for distribution in [
            KeyDistribution::Uniform { keys: 1_000 },
            KeyDistribution::Zipf { keys: 1_000, exponent: 0.9 },
        ] {
            assert_eq!(draw(distribution, 1_000, 7), draw(distribution, 1_000, 7));
            assert_ne!(draw(distribution, 1_000, 7), draw(distribution, 1_000, 8));
        }
    }

    #[test]
    fn keys_have_fixed_size_and_sort_by_number() {
        let mut written = Vec::new();
        write_key(0, &mut written);
        write_key(0x0123_4567_89ab_cdef, &mut written);
        write_key(u64::MAX, &mut written);
        assert_eq!(written.len(), 3 * KEY_BYTES);
        assert_eq!(written, b"00000000000000000123456789abcdefffffffffffffffff");
    }

    #[test]
    fn invalid_distributions_are_refused() {
        for distribution in [
            KeyDistribution::RoundRobin { keys: 0 },
            KeyDistribution::Uniform { keys: 0 },
            KeyDistribution::Zipf { keys: 0, exponent: 1.0 },
        ] {
            let error = KeyGenerator::new(&distribution).expect_err("refused");
            assert_eq!(error, KeyError::NoKeys);
        }
        for exponent in [-0.1, f64::NAN, f64::INFINITY] {
            let error = KeyGenerator::new(&KeyDistribution::Zipf { keys: 10, exponent })
                .expect_err("refused");
            assert!(matches!(error, KeyError::Exponent { .. }), "{error}");
        }
    }

    proptest! {
        #[test]
        fn keys_stay_below_their_number(
            keys in prop_oneof![1..10_u64, 1..=u64::MAX, Just(u64::MAX)],
            exponent in prop_oneof![0.0..3.0, 0.999_999..1.000_001, 0.0..f64::MAX],
            seed: u64,
        ) {
            for distribution in [
                KeyDistribution::RoundRobin { keys },
                KeyDistribution::Uniform { keys },
                KeyDistribution::Zipf { keys, exponent },
            ] {
                for key in draw(distribution, 50, seed) {
                    prop_assert!(key.is_some_and(|key| key < keys), "{key:?} of {distribution:?}");
                }
            }
        }
    }
}
