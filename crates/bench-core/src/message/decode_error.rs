//! Why bytes are not a message of this benchmark.

use super::header;

/// Why bytes are not a message of this benchmark.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Shorter than the header.
    #[error(
        "a message of {size_bytes} bytes is shorter than the {}-byte header",
        header::HEADER_BYTES
    )]
    TooShort {
        /// The size of the message.
        size_bytes: usize,
    },
    /// Not written by this benchmark, or in another version of the layout.
    #[error("the first byte is {first_byte:#04x}, not {:#04x}", header::MAGIC)]
    NotOurs {
        /// The byte in place of the magic one.
        first_byte: u8,
    },
    /// Written by this benchmark and altered since.
    #[error("the checksum does not match")]
    Checksum,
    /// JSON, but not a message of this benchmark.
    #[error("not the JSON form of a message")]
    Json,
}
