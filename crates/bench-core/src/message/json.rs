//! The JSON form of a message: one object with the fields of the binary header and the payload as
//! a string, for systems and experiments that need readable rows.
//!
//! The checksum is that of the binary form of the same fields and payload, so it survives systems
//! that reserialize the object with other spacing or field order.

use std::borrow::Cow;
use std::io::Write as _;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::header::{self, Header};
use super::{DecodeError, RunId};
use crate::clock::{BootId, ClockOrigin};

/// Size of the smallest JSON message, in bytes: every field at its longest and an empty payload.
pub const JSON_BYTES_MIN: usize = LONGEST.len();

const LONGEST: &str = concat!(
    r#"{"run":"ffffffffff","producer":65535,"sequence":281474976710655,"#,
    r#""intended_ns":18446744073709551615,"sent_ns":18446744073709551615,"boot":16777215,"#,
    r#""wall_offset_us":-36028797018963968,"checksum":"ffffffff","payload":""}"#
);

/// Appends the fields of the header, up to and including the payload's opening quotation mark.
pub(super) fn write_fields(out: &mut Vec<u8>, header: &Header, checksum: u32) {
    let written = write!(
        out,
        concat!(
            r#""run":"{}","producer":{},"sequence":{},"intended_ns":{},"sent_ns":{},"boot":{},"#,
            r#""wall_offset_us":{},"checksum":"{:08x}","payload":""#
        ),
        header.run,
        header.producer,
        header.sequence,
        header.intended_ns,
        header.sent_ns,
        header.origin.boot.to_hash(),
        header.origin.wall_offset_ns.div_euclid(1_000),
        checksum,
    );
    debug_assert!(written.is_ok(), "writing to memory does not fail");
}

/// The end of the message, after the payload.
pub(super) const TAIL: &[u8] = br#""}"#;

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    run: Cow<'a, str>,
    producer: u16,
    sequence: u64,
    intended_ns: u64,
    sent_ns: u64,
    boot: u32,
    wall_offset_us: i64,
    #[serde(borrow)]
    checksum: Cow<'a, str>,
    #[serde(borrow)]
    payload: Cow<'a, str>,
}

/// A line of text as wrapped by the `JsonConverter` of Kafka Connect with `schemas.enable=true`.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "schema")]
    _schema: IgnoredAny,
    #[serde(borrow)]
    payload: Cow<'a, str>,
}

/// Reads and verifies a message in its JSON form: bare, or as Kafka Connect wraps a line that holds
/// one, either as a JSON string or as the string in an envelope of schema and payload.
pub fn decode(bytes: &[u8]) -> Result<Header, DecodeError> {
    if bytes.first() == Some(&b'"') {
        let Text(line) = parse(bytes)?;
        return verify(&parse(line.as_bytes())?);
    }
    if let Ok(message) = parse(bytes) {
        return verify(&message);
    }
    let envelope: Envelope<'_> = parse(bytes)?;
    // Envelopes are not nested: the payload is a line as it was written.
    verify(&parse(envelope.payload.as_bytes())?)
}

/// A string, borrowed if it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    serde_json::from_slice(bytes).map_err(|_| DecodeError::Json)
}

fn verify(message: &Message<'_>) -> Result<Header, DecodeError> {
    let run: RunId = message.run.parse().map_err(|_| DecodeError::Json)?;
    // The checksum covers the difference of the two instants, which is never negative.
    if message.sequence > header::SEQUENCE_MAX || message.sent_ns < message.intended_ns {
        return Err(DecodeError::Json);
    }
    let origin = ClockOrigin {
        boot: BootId::from_hash(message.boot),
        wall_offset_ns: message.wall_offset_us.saturating_mul(1_000),
    };
    let header = Header {
        run,
        producer: message.producer,
        sequence: message.sequence,
        intended_ns: message.intended_ns,
        sent_ns: message.sent_ns,
        origin,
    };
    let checksum = u32::from_str_radix(&message.checksum, 16).map_err(|_| DecodeError::Json)?;
    if header.checksum(message.payload.as_bytes()) == checksum {
        Ok(header)
    } else {
        Err(DecodeError::Checksum)
    }
}
