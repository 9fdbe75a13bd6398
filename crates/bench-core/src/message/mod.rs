//! Messages: header, JSON form, sizes, payloads, keys, and the factory that builds them.

mod csv_file;
mod decode_error;
mod event;
mod factory;
pub mod header;
pub mod json;
mod json_fault;
mod key;
mod payload;
mod record_error;
mod records;
mod run_id;
mod size;
mod source;

pub use csv_file::CsvFile;
pub use decode_error::DecodeError;
pub use factory::{Content, MESSAGE_BYTES_MAX, MessageError, MessageFactory, MessageSpec};
pub use key::{KEY_BYTES, KeyDistribution, KeyError, KeyGenerator};
pub use payload::{PayloadAlphabet, PayloadError, PayloadGenerator, TEXT_COMPRESSIBILITY_MIN};
pub use record_error::RecordError;
pub use records::RecordFile;
pub use run_id::RunId;
pub use size::{SizeDistribution, SizeError, SizeSampler};
pub use source::RecordFormat;

/// Reads and verifies the header of a message in either form, including JSON as wrapped by Kafka
/// Connect (see [`json::decode`]).
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
    /// The same with the fields of a click-stream event before them.
    Event,
    /// The payload alone: no latency, no audit.
    Raw,
}
