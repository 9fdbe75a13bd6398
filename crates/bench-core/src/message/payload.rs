//! Payload bytes of a chosen compressibility.
//!
//! Every payload is fresh random bytes followed by a constant run. The random bytes are never taken
//! from a pool that is used again, as many load generators do: a compressor that sees several
//! messages at once, as brokers and clients compress them, finds the repetition in its window and
//! removes it, so that the benchmark ships a fraction of the bytes that it believes to ship.

use rand::Rng as _;
use rand_xoshiro::Xoshiro256PlusPlus;

/// The least compressible that [`PayloadAlphabet::Text`] can be: random text of 64 characters holds
/// six bits in a byte, which every compressor with an entropy stage finds.
pub const TEXT_COMPRESSIBILITY_MIN: f64 = 0.25;

/// Which bytes payloads are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadAlphabet {
    /// Any byte.
    Bytes,
    /// 64 printable ASCII characters that JSON and CSV leave as they are: letters, `0` and
    /// ``?@[]^_`{|}~``. No less compressible than [`TEXT_COMPRESSIBILITY_MIN`]; a smaller
    /// compressibility gives that one.
    Text,
}

/// Why payloads cannot be made as asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PayloadError {
    /// A compressibility that is not a share.
    #[error("the payload's compressibility is {compressibility}: give a number from 0 to 1")]
    Compressibility {
        /// The value given.
        compressibility: f64,
    },
}

/// Fills payloads. The same seed gives the same payloads on every platform.
#[derive(Debug, Clone)]
pub struct PayloadGenerator {
    alphabet: PayloadAlphabet,
    /// The share of random bytes, 0 to 1.
    random_share: f64,
    /// The part of a random byte, below 1, that earlier payloads are short of.
    owed_bytes: f64,
}

impl PayloadGenerator {
    /// A generator of payloads that zstd, at its default level and given many of them at once,
    /// shrinks to about `1 - compressibility` of their size. `compressibility` is from 0 (random)
    /// to 1 (constant).
    ///
    /// Runs shorter than about eight bytes are not worth a compressor's while: small payloads of a
    /// small compressibility shrink less than asked.
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

    /// How many bytes of the next payload are random: whole bytes, with the fraction left to later
    /// payloads, so that the share is right over many of them.
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

/// Maps the low six bits of `byte` to the 64 characters from `?` to `~`, with `0` in the place of
/// the backslash, which JSON escapes. One comparison, so that the loop compiles to vector code.
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

    /// Payloads of one size, one after the other.
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
        // The rest is what zstd spends on finding and describing one run a payload.
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
    fn payloads_do_not_change_between_platforms_or_versions() {
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
    fn no_random_bytes_come_twice() {
        let sample = packed(0.5, PayloadAlphabet::Bytes, 64, 1);
        let mut random = sample.chunks_exact(64).map(|payload| &payload[..8]).collect::<Vec<_>>();
        let payloads = random.len();
        random.sort_unstable();
        random.dedup();
        assert_eq!(random.len(), payloads);
    }

    #[test]
    fn text_uses_64_characters_that_json_leaves_as_they_are() {
        let mut characters = (0..=255).map(to_text).collect::<Vec<_>>();
        characters.sort_unstable();
        characters.dedup();
        assert_eq!(characters.len(), 64);
        let text = String::from_utf8(characters).expect("ASCII");
        let json = serde_json::to_string(&text).expect("serializes");
        assert_eq!(json, format!("\"{text}\""));
    }

    #[test]
    fn what_is_not_a_share_is_refused() {
        for compressibility in [-0.01, 1.01, f64::NAN, f64::INFINITY] {
            let error = PayloadGenerator::new(compressibility, PayloadAlphabet::Bytes)
                .expect_err("refused");
            assert!(error.to_string().contains("from 0 to 1"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn the_random_share_is_unbiased_over_payloads_of_any_size(
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
