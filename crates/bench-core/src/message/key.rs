//! Message keys: which key each message carries, and how a key is written.

use rand::distr::{Distribution as _, Uniform};
use rand_distr::Zipf;
use rand_xoshiro::Xoshiro256PlusPlus;

/// Size of every written key, in bytes.
pub const KEY_BYTES: usize = 16;

/// How keys are spread over the messages. Keys are numbered from 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum KeyDistribution {
    /// Messages have no key.
    None,
    /// One key after the other, by the sequence number of the message.
    RoundRobin {
        /// How many keys there are, at least 1.
        keys: u64,
    },
    /// Every key is equally likely.
    Uniform {
        /// How many keys there are, at least 1.
        keys: u64,
    },
    /// A few hot keys and many cold ones: key `k` comes up in proportion to `1 / (k + 1)^exponent`.
    Zipf {
        /// How many keys there are, at least 1.
        keys: u64,
        /// How unequal the keys are, 0 or more: 0 is uniform, 1 the classic law.
        exponent: f64,
    },
}

/// Why keys cannot be spread as asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// A spread over no key at all.
    #[error("keys cannot be spread over 0 keys: give at least 1 key, or ask for no keys")]
    NoKeys,
    /// An exponent that is negative, infinite or not a number.
    #[error(
        "the exponent of the Zipf distribution of keys is {exponent}: give a finite number, 0 or more"
    )]
    Exponent {
        /// The exponent given.
        exponent: f64,
    },
}

/// Chooses the key of each message. The same seed gives the same keys; only those of the Zipf
/// distribution may once in a while differ between platforms, whose mathematical libraries round
/// differently.
#[derive(Debug, Clone)]
pub struct KeyGenerator {
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    None,
    RoundRobin { keys: u64 },
    Uniform(Uniform<u64>),
    Zipf { ranks: Zipf<f64>, last: u64 },
}

impl KeyGenerator {
    /// A generator of the keys of `distribution`.
    pub fn new(distribution: &KeyDistribution) -> Result<Self, KeyError> {
        let source = match *distribution {
            KeyDistribution::None => Source::None,
            KeyDistribution::RoundRobin { keys: 0 } => return Err(KeyError::NoKeys),
            KeyDistribution::RoundRobin { keys } => Source::RoundRobin { keys },
            KeyDistribution::Uniform { keys } => {
                Source::Uniform(Uniform::new(0, keys).map_err(|_| KeyError::NoKeys)?)
            }
            KeyDistribution::Zipf { keys, exponent } => zipf(keys, exponent)?,
        };
        Ok(Self { source })
    }

    /// The number of the key of the message `sequence`, or `None` when messages have no key.
    #[inline]
    pub fn next(&self, sequence: u64, rng: &mut Xoshiro256PlusPlus) -> Option<u64> {
        match &self.source {
            Source::None => None,
            Source::RoundRobin { keys } => Some(sequence % keys),
            Source::Uniform(range) => Some(range.sample(rng)),
            Source::Zipf { ranks, last } => {
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

fn zipf(keys: u64, exponent: f64) -> Result<Source, KeyError> {
    /// The sampler divides by the distance of the exponent from 1. So near to it, the law of 1 is
    /// closer to what is asked than what rounding would leave.
    const INDISTINCT_FROM_ONE: f64 = 1e-8;

    if !exponent.is_finite() || exponent < 0.0 {
        return Err(KeyError::Exponent { exponent });
    }
    let exponent = if (exponent - 1.0).abs() < INDISTINCT_FROM_ONE { 1.0 } else { exponent };
    // With the exponent checked, only a missing key is left to refuse.
    let ranks = Zipf::new(keys as f64, exponent).map_err(|_| KeyError::NoKeys)?;
    Ok(Source::Zipf { ranks, last: keys.saturating_sub(1) })
}

/// Appends the key `number` to `out` as [`KEY_BYTES`] lower-case hexadecimal digits: printable, and
/// of one size, so that keys do not change the size of messages.
#[inline]
pub fn write_key(number: u64, out: &mut Vec<u8>) {
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

    /// How often each of the keys below `keys` comes up.
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
    fn without_keys_no_message_has_one() {
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
    fn keys_have_one_size_and_keep_the_order_of_their_numbers() {
        let mut written = Vec::new();
        write_key(0, &mut written);
        write_key(0x0123_4567_89ab_cdef, &mut written);
        write_key(u64::MAX, &mut written);
        assert_eq!(written.len(), 3 * KEY_BYTES);
        assert_eq!(written, b"00000000000000000123456789abcdefffffffffffffffff");
    }

    #[test]
    fn senseless_spreads_are_refused() {
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
