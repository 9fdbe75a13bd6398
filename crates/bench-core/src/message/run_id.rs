//! The id of a run.

/// Identifies a run in each of its messages: 40 random bits, shown as ten hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(u64);

impl RunId {
    /// Keeps the low 40 bits of `bits`.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        Self(bits & ((1 << 40) - 1))
    }

    /// A random id, as unique as 40 random bits can be.
    #[must_use]
    pub fn random() -> Self {
        // The standard library seeds its hash maps from the system's randomness.
        use std::hash::{BuildHasher as _, RandomState};
        Self::from_bits(RandomState::new().hash_one(std::process::id()))
    }

    /// The id as a number below 2^40.
    #[must_use]
    pub fn to_bits(self) -> u64 {
        self.0
    }
}

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:010x}", self.0)
    }
}

impl std::str::FromStr for RunId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self::from_bits)
    }
}
