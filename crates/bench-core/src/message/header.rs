//! The binary message header.
//!
//! Forty bytes, little-endian, at the start of every message that is not raw:
//!
//! | offset | bytes | field | |
//! |---:|---:|---|---|
//! | 0 | 1 | magic | `0xB1`: the kind (`B`) and the version (1) of the header |
//! | 1 | 3 | boot | hash of the sending host's boot id |
//! | 4 | 4 | checksum | CRC-32C of the whole message except this field |
//! | 8 | 5 | run | run id |
//! | 13 | 2 | producer | producer id |
//! | 15 | 7 | wall offset | wall clock minus monotonic clock of the sender, microseconds |
//! | 22 | 6 | sequence | position in the producer's stream, from 0 |
//! | 28 | 4 | lag | sent minus intended, see [`Lag`] |
//! | 32 | 8 | intended | instant at which the message was due, nanoseconds since boot |
//!
//! Everything before the sequence except the checksum is the same for all messages of a producer,
//! so stamping a message writes 22 bytes.

use crate::clock::{BootId, ClockOrigin, InstantNs};

use super::{DecodeError, RunId};

/// Size of the header, and thus of the smallest message, in bytes.
pub const HEADER_BYTES: usize = 40;

/// First byte of every message: `0xB` for the benchmark, `1` for the version of the layout.
pub const MAGIC: u8 = 0xB1;

/// Largest sequence number that fits the header: 48 bits, two years at 5 million per second.
pub const SEQUENCE_MAX: u64 = (1 << 48) - 1;

const CHECKSUM: std::ops::Range<usize> = 4..8;

/// The decoded header of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The run that sent the message.
    pub run: RunId,
    /// The producer within the run.
    pub producer: u16,
    /// Position in the producer's stream, from 0.
    pub sequence: u64,
    /// When the message was due, nanoseconds of the sender's monotonic clock.
    pub intended_ns: InstantNs,
    /// When it was handed to the client library. Exact up to 2.1 s after the intended instant, to
    /// the microsecond up to 35 min, and capped at 35 min.
    pub sent_ns: InstantNs,
    /// The sender's clock. The wall offset is exact to the microsecond.
    pub origin: ClockOrigin,
}

/// How long after its intended instant a message was sent, in four bytes: nanoseconds below 2^31,
/// microseconds with the top bit set above, saturating at the largest value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lag(u32);

impl Lag {
    const MICROSECONDS: u32 = 1 << 31;

    #[inline]
    fn from_ns(lag_ns: u64) -> Self {
        match u32::try_from(lag_ns) {
            Ok(ns) if ns < Self::MICROSECONDS => Self(ns),
            _ => {
                let us = (lag_ns / 1_000).min(u64::from(Self::MICROSECONDS - 1));
                #[expect(clippy::cast_possible_truncation, reason = "bounded by the line above")]
                Self(us as u32 | Self::MICROSECONDS)
            }
        }
    }

    #[inline]
    fn to_ns(self) -> u64 {
        if self.0 & Self::MICROSECONDS == 0 {
            u64::from(self.0)
        } else {
            u64::from(self.0 & !Self::MICROSECONDS) * 1_000
        }
    }
}

/// Writes the headers of one producer.
#[derive(Debug, Clone)]
pub struct HeaderWriter {
    template: [u8; HEADER_BYTES],
}

impl HeaderWriter {
    /// A writer for the messages of `producer` in `run`, with instants from a clock of `origin`.
    #[must_use]
    pub fn new(run: RunId, producer: u16, origin: ClockOrigin) -> Self {
        let mut template = [0; HEADER_BYTES];
        template[0] = MAGIC;
        template[1..4].copy_from_slice(&origin.boot.to_hash().to_le_bytes()[..3]);
        template[8..13].copy_from_slice(&run.to_bits().to_le_bytes()[..5]);
        template[13..15].copy_from_slice(&producer.to_le_bytes());
        let wall_offset_us = origin.wall_offset_ns.div_euclid(1_000);
        template[15..22].copy_from_slice(&wall_offset_us.to_le_bytes()[..7]);
        Self { template }
    }

    /// Writes the header over the first [`HEADER_BYTES`] of `message`, whose payload is in place,
    /// and seals both with the checksum.
    ///
    /// # Panics
    /// If `message` is shorter than the header, which the size generators rule out.
    #[inline]
    pub fn seal(
        &self,
        message: &mut [u8],
        sequence: u64,
        intended_ns: InstantNs,
        sent_ns: InstantNs,
    ) {
        self.write_fields(&mut message[..HEADER_BYTES], sequence, intended_ns, sent_ns);
        let checksum = checksum(message);
        message[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
    }

    #[inline]
    fn write_fields(&self, header: &mut [u8], sequence: u64, intended_ns: u64, sent_ns: u64) {
        header.copy_from_slice(&self.template);
        header[22..28].copy_from_slice(&sequence.to_le_bytes()[..6]);
        let lag = Lag::from_ns(sent_ns.saturating_sub(intended_ns));
        header[28..32].copy_from_slice(&lag.0.to_le_bytes());
        header[32..40].copy_from_slice(&intended_ns.to_le_bytes());
    }
}

impl Header {
    /// The checksum that the binary form of this header with `payload` carries.
    #[must_use]
    pub fn checksum(&self, payload: &[u8]) -> u32 {
        let mut header = [0; HEADER_BYTES];
        HeaderWriter::new(self.run, self.producer, self.origin).write_fields(
            &mut header,
            self.sequence,
            self.intended_ns,
            self.sent_ns,
        );
        crc32c::crc32c_append(checksum(&header), payload)
    }
}

/// Reads and verifies the header of a message.
#[inline]
pub fn decode(message: &[u8]) -> Result<Header, DecodeError> {
    let Some(header) = message.first_chunk::<HEADER_BYTES>() else {
        return Err(DecodeError::TooShort { size_bytes: message.len() });
    };
    if header[0] != MAGIC {
        return Err(DecodeError::NotOurs { first_byte: header[0] });
    }
    if u32::from_le_bytes([header[4], header[5], header[6], header[7]]) != checksum(message) {
        return Err(DecodeError::Checksum);
    }
    let intended_ns = little_endian(&header[32..40]);
    #[expect(clippy::cast_possible_truncation, reason = "as wide as the slices they come from")]
    let (boot, producer, lag) = (
        little_endian(&header[1..4]) as u32,
        little_endian(&header[13..15]) as u16,
        Lag(little_endian(&header[28..32]) as u32),
    );
    // Seven bytes, sign-extended.
    let wall_offset_us = (little_endian(&header[15..22]) << 8).cast_signed() >> 8;
    Ok(Header {
        run: RunId::from_bits(little_endian(&header[8..13])),
        producer,
        sequence: little_endian(&header[22..28]),
        intended_ns,
        sent_ns: intended_ns.saturating_add(lag.to_ns()),
        origin: ClockOrigin {
            boot: BootId::from_hash(boot),
            wall_offset_ns: wall_offset_us.saturating_mul(1_000),
        },
    })
}

/// The CRC-32C (Castagnoli) of everything but the checksum field.
#[inline]
fn checksum(message: &[u8]) -> u32 {
    let before = crc32c::crc32c(&message[..CHECKSUM.start]);
    crc32c::crc32c_append(before, &message[CHECKSUM.end..])
}

/// Up to eight little-endian bytes as a number.
#[inline]
fn little_endian(bytes: &[u8]) -> u64 {
    let mut wide = [0; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(wide)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn origin() -> ClockOrigin {
        ClockOrigin {
            boot: BootId::from_hash(0x00AB_CDEF),
            wall_offset_ns: 1_790_000_000_123_456_000,
        }
    }

    #[test]
    fn smallest_messages_carry_every_field() {
        let mut message = [0; HEADER_BYTES];
        let run = RunId::from_bits(0xFE_DCBA_9876);
        HeaderWriter::new(run, 513, origin()).seal(&mut message, SEQUENCE_MAX, 77, 1_077);
        let header = decode(&message).expect("decodes");
        let expected = Header {
            run,
            producer: 513,
            sequence: SEQUENCE_MAX,
            intended_ns: 77,
            sent_ns: 1_077,
            origin: origin(),
        };
        assert_eq!(header, expected);
    }

    #[test]
    fn lag_is_exact_below_two_seconds() {
        let round_trip = |ns| Lag::from_ns(ns).to_ns();
        assert_eq!(round_trip(2_147_483_647), 2_147_483_647);
        assert_eq!(round_trip(2_147_483_648), 2_147_483_000);
        assert_eq!(round_trip(90_000_000_999), 90_000_000_000);
        assert_eq!(round_trip(u64::MAX), 2_147_483_647_000, "capped at 35 minutes");
    }

    #[test]
    fn short_and_unknown_messages_are_distinguished() {
        assert_eq!(decode(&[MAGIC; 39]), Err(DecodeError::TooShort { size_bytes: 39 }));
        assert_eq!(decode(&[0x7B; 60]), Err(DecodeError::NotOurs { first_byte: 0x7B }));
    }

    proptest! {
        #[test]
        fn sealed_messages_decode_unchanged(
            run in 0..1u64 << 40,
            producer: u16,
            sequence in 0..=SEQUENCE_MAX,
            intended_ns in 0..1u64 << 62,
            lag_ns in 0..1u64 << 31,
            payload: Vec<u8>,
        ) {
            let mut message = vec![0; HEADER_BYTES];
            message.extend_from_slice(&payload);
            let run = RunId::from_bits(run);
            let sent_ns = intended_ns + lag_ns;
            HeaderWriter::new(run, producer, origin())
                .seal(&mut message, sequence, intended_ns, sent_ns);
            let header = decode(&message).expect("decodes");
            prop_assert_eq!(
                header,
                Header { run, producer, sequence, intended_ns, sent_ns, origin: origin() }
            );
            prop_assert_eq!(&message[HEADER_BYTES..], &payload[..]);
        }

        #[test]
        fn hostile_bytes_never_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes);
            let mut ours = bytes;
            ours.insert(0, MAGIC);
            prop_assert!(decode(&ours).is_err());
        }

        #[test]
        fn any_changed_byte_is_detected(at in 0usize..100, change in 1u8..) {
            let mut message = [7; 100];
            let run = RunId::from_bits(1);
            HeaderWriter::new(run, 1, origin()).seal(&mut message, 1, 1, 1);
            message[at] ^= change;
            prop_assert!(decode(&message).is_err());
        }
    }
}
