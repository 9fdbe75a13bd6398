//! Payloads of a chosen compressibility.
//!
//! Every payload is fresh random bytes followed by a constant run. Unlike many load generators,
//! this one never reuses random bytes from a pool: clients and brokers compress many messages at
//! once, so a compressor would find the repetition in its window and remove it, and the benchmark
//! would ship only a fraction of the bytes it believes it ships.

use rand::Rng as _;
use rand_xoshiro::Xoshiro256PlusPlus;

/// The lowest compressibility of [`PayloadAlphabet::Text`]: random text over 64 characters carries
/// six bits per byte, which any compressor with an entropy stage exploits.
pub const TEXT_COMPRESSIBILITY_MIN: f64 = 0.25;

/// Which bytes payloads consist of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadAlphabet {
    /// Any byte.
    Bytes,
    /// 64 printable ASCII characters that JSON and CSV do not escape: letters, `0` and
    /// ``?@[]^_`{|}~``. Compressibilities below [`TEXT_COMPRESSIBILITY_MIN`] are raised to it.
    Text,
}

/// Why payload settings are invalid.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PayloadError {
    /// A compressibility outside 0 to 1.
    #[error("the payload's compressibility is {compressibility}: use a number from 0 to 1")]
    Compressibility {
        /// The given value.
        compressibility: f64,
    },
}

/// Fills payloads. The same seed gives the same payloads on every platform.
#[derive(Debug, Clone)]
pub struct PayloadGenerator {
    alphabet: PayloadAlphabet,
    /// The share of random bytes, 0 to 1.
    random_share: f64,
    /// The fraction of a random byte, below 1, carried over from earlier payloads.
    owed_bytes: f64,
}

impl PayloadGenerator {
    /// A generator of payloads that zstd, at its default level and over many of them at once,
    /// shrinks to about `1 - compressibility` of their size. `compressibility` ranges from 0
    /// (random) to 1 (constant).
    ///
    /// Compressors ignore runs shorter than about eight bytes, so small payloads of low
    /// compressibility shrink less than requested.
    pub fn new(compressibility: f64, alphabet: PayloadAlphabet) -> Result<Self, PayloadError> {
        if !(0.0..=1.0).contains(&compressibility) {
            return Err(PayloadError::Compressibility { compressibility });
        }
        let incompressible = 1.0 - compressibility;
        let random_share = match alphabet {
            PayloadAlphabet::Bytes => incompressible,
            PayloadAlphabet::Text => (incompressible / (1.0 - TEXT_COMPRESSIBILITY_MIN)).min(1.0),
        };
        Ok(Self { alphabet, random_share, owed_bytes: 0.0 })
    }

    /// Fills `payload` with random bytes and then a constant run.
    #[inline]
    pub fn fill(&mut self, rng: &mut Xoshiro256PlusPlus, payload: &mut [u8]) {
        let (random, constant) = payload.split_at_mut(self.random_bytes(payload.len()));
        rng.fill_bytes(random);
        match self.alphabet {
            PayloadAlphabet::Bytes => constant.fill(0),
            PayloadAlphabet::Text => {
                for byte in random {
                    *byte = to_text(*byte);
                }
                constant.fill(to_text(0));
            }
        }
    }

    /// Number of random bytes in the next payload. Fractions carry over to later payloads, so that
    /// the share is right over many of them.
    #[inline]
    fn random_bytes(&mut self, payload_bytes: usize) -> usize {
        let due_bytes = payload_bytes as f64 * self.random_share + self.owed_bytes;
        self.owed_bytes = due_bytes.fract();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative, and no larger than the payload"
        )]
        let random_bytes = due_bytes as usize;
        random_bytes.min(payload_bytes)
    }
}

/// Maps the low six bits of `byte` to the 64 characters from `?` to `~`, with `0` in place of the
/// backslash, which JSON escapes. A single comparison, so that the loop is vectorized.
#[inline]
fn to_text(byte: u8) -> u8 {
    match b'?' + (byte & 0x3F) {
        b'\\' => b'0',
        character => character,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng as _;

    use super::*;

    const SAMPLE_BYTES: usize = 1 << 20;

    /// Payloads of one size, concatenated.
    fn packed(
        compressibility: f64,
        alphabet: PayloadAlphabet,
        payload_bytes: usize,
        seed: u64,
    ) -> Vec<u8> {
        let mut generator = PayloadGenerator::new(compressibility, alphabet).expect("valid");
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut sample = vec![b'!'; SAMPLE_BYTES - SAMPLE_BYTES % payload_bytes];
        for payload in sample.chunks_exact_mut(payload_bytes) {
            generator.fill(&mut rng, payload);
        }
        sample
    }

    #[test]
    fn zstd_shrinks_payloads_by_the_compressibility() {
        // The tolerance is what zstd spends on encoding one run per payload.
        for (payload_bytes, tolerance) in [(60, 0.025), (200, 0.015), (1_024, 0.005)] {
            for alphabet in [PayloadAlphabet::Bytes, PayloadAlphabet::Text] {
                for compressibility in [0.0, 0.25, 0.5, 0.75, 1.0] {
                    let sample = packed(compressibility, alphabet, payload_bytes, 1);
                    let compressed = zstd::bulk::compress(&sample, 0).expect("compresses");
                    let remaining = compressed.len() as f64 / sample.len() as f64;
                    let expected = 1.0
                        - match alphabet {
                            PayloadAlphabet::Bytes => compressibility,
                            PayloadAlphabet::Text => compressibility.max(TEXT_COMPRESSIBILITY_MIN),
                        };
                    assert!(
                        (remaining - expected).abs() < tolerance,
                        "{alphabet:?} payloads of {payload_bytes} bytes and compressibility \
                         {compressibility} shrank to {remaining}, not {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_payloads() {
        for alphabet in [PayloadAlphabet::Bytes, PayloadAlphabet::Text] {
            assert_eq!(packed(0.3, alphabet, 77, 5), packed(0.3, alphabet, 77, 5));
            assert_ne!(packed(0.3, alphabet, 77, 5), packed(0.3, alphabet, 77, 6));
        }
    }

    #[test]
    fn payloads_are_the_same_everywhere() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(42);
        let mut payload = [b'!'; 12];
        let mut fill = |alphabet| {
            let mut generator = PayloadGenerator::new(0.4, alphabet).expect("valid");
            generator.fill(&mut rng, &mut payload);
            payload
        };
        let bytes = fill(PayloadAlphabet::Bytes);
        assert_eq!(bytes, [159, 104, 118, 68, 79, 77, 118, 0, 0, 0, 0, 0]);
        let text = fill(PayloadAlphabet::Text);
        assert_eq!(&text, b"PvnVs@]PK???");
    }

    #[test]
    fn random_bytes_are_never_reused() {
        let sample = packed(0.5, PayloadAlphabet::Bytes, 64, 1);
        let mut random = sample.chunks_exact(64).map(|payload| &payload[..8]).collect::<Vec<_>>();
        let payloads = random.len();
        random.sort_unstable();
        random.dedup();
        assert_eq!(random.len(), payloads);
    }

    #[test]
    fn text_uses_64_characters_json_does_not_escape() {
        let mut characters = (0..=255).map(to_text).collect::<Vec<_>>();
        characters.sort_unstable();
        characters.dedup();
        assert_eq!(characters.len(), 64);
        let text = String::from_utf8(characters).expect("ASCII");
        let json = serde_json::to_string(&text).expect("serializes");
        assert_eq!(json, format!("\"{text}\""));
    }

    #[test]
    fn compressibilities_outside_the_range_are_refused() {
        for compressibility in [-0.01, 1.01, f64::NAN, f64::INFINITY] {
            let error = PayloadGenerator::new(compressibility, PayloadAlphabet::Bytes)
                .expect_err("refused");
            assert!(error.to_string().contains("from 0 to 1"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn random_share_is_unbiased_for_any_sizes(
            compressibility in 0.0..=1.0,
            sizes in prop::collection::vec(0..5_000_usize, 1..200),
        ) {
            let mut generator =
                PayloadGenerator::new(compressibility, PayloadAlphabet::Bytes).expect("valid");
            let mut random_bytes = 0;
            for payload_bytes in &sizes {
                let of_this = generator.random_bytes(*payload_bytes);
                prop_assert!(of_this <= *payload_bytes);
                random_bytes += of_this;
            }
            let expected = sizes.iter().sum::<usize>() as f64 * (1.0 - compressibility);
            prop_assert!((random_bytes as f64 - expected).abs() < 1.001, "{random_bytes}");
        }
    }
}
