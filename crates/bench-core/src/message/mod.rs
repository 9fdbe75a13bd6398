//! Messages: header, JSON form, sizes, payloads, keys, and the factory that puts them together.

mod csv_file;
mod factory;
pub mod header;
pub mod json;
mod json_fault;
mod key;
mod payload;
mod record_error;
mod records;
mod size;
mod source;

pub use csv_file::CsvFile;
pub use factory::{Content, MESSAGE_BYTES_MAX, MessageError, MessageFactory, MessageSpec};
pub use key::{KEY_BYTES, KeyDistribution, KeyError, KeyGenerator, write_key};
pub use payload::{PayloadAlphabet, PayloadError, PayloadGenerator, TEXT_COMPRESSIBILITY_MIN};
pub use record_error::RecordError;
pub use records::RecordFile;
pub use size::{SizeDistribution, SizeError, SizeSampler};
pub use source::RecordFormat;

/// Identifies a run in every message that it sends: 40 random bits, shown as ten hexadecimal
/// digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(u64);

impl RunId {
    /// Keeps the low 40 bits of `bits`.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        Self(bits & ((1 << 40) - 1))
    }

    /// An id that no other run has, as far as 40 random bits go.
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

/// Why bytes are not a message of this benchmark.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Shorter than the header.
    #[error(
        "a message of {size_bytes} bytes is shorter than the {} byte header",
        header::HEADER_BYTES
    )]
    TooShort {
        /// The size of what was to be decoded.
        size_bytes: usize,
    },
    /// Not written by this benchmark, or of another version of the layout.
    #[error("the first byte is {first_byte:#04x}, not {:#04x}", header::MAGIC)]
    NotOurs {
        /// What stands where the magic byte should.
        first_byte: u8,
    },
    /// Written by this benchmark and changed since.
    #[error("the checksum does not match")]
    Checksum,
    /// JSON, but not a message of this benchmark.
    #[error("not the JSON form of a message")]
    Json,
}

/// Reads and verifies the header of a message in either form; the JSON form also as Kafka Connect
/// passes it on (see [`json::decode`]).
#[inline]
pub fn decode(message: &[u8]) -> Result<header::Header, DecodeError> {
    match message.first() {
        Some(b'{' | b'"') => json::decode(message),
        _ => header::decode(message),
    }
}

/// How a message is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MessageFormat {
    /// The binary header, then the payload.
    Binary,
    /// One JSON object with the fields of the header and the payload.
    Json,
    /// The payload alone: no latency, no audit.
    Raw,
}
