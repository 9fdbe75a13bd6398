//! Unpacks aggregates without copying their contents.

use md5::{Digest as _, Md5};
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use super::{DIGEST_BYTES, MAGIC, tag};

/// A record that the user put into the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserRecord<'a> {
    /// Its partition key; `None` if the Kinesis record is not an aggregate: then that record's own
    /// key applies.
    pub partition_key: Option<&'a str>,
    /// Its explicit hash key, a decimal number, if it has one.
    pub explicit_hash_key: Option<&'a str>,
    /// The bytes.
    pub data: &'a [u8],
}

/// The user records of one Kinesis record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deaggregated<'a> {
    /// The Kinesis record is not an aggregate, but the user's record itself.
    Plain(UserRecord<'a>),
    /// The user records of an aggregate, in their original order.
    Aggregate(Vec<UserRecord<'a>>),
}

impl<'a> Deaggregated<'a> {
    /// The user records, oldest first.
    #[must_use]
    pub fn records(&self) -> &[UserRecord<'a>] {
        match self {
            Self::Plain(record) => std::slice::from_ref(record),
            Self::Aggregate(records) => records,
        }
    }
}

/// Unpacks the data of a Kinesis record. Data that is not a well-formed aggregate (without magic
/// bytes, with a wrong digest or a reference to a missing key) is passed through unchanged, as in
/// the Kinesis Client Library.
#[must_use]
pub fn deaggregate(data: &[u8]) -> Deaggregated<'_> {
    let message = data
        .strip_prefix(&MAGIC)
        .and_then(<[u8]>::split_last_chunk::<DIGEST_BYTES>)
        .filter(|(message, digest)| Md5::digest(message)[..] == digest[..]);
    match message.and_then(|(message, _)| user_records(message)) {
        Some(records) => Deaggregated::Aggregate(records),
        None => {
            Deaggregated::Plain(UserRecord { partition_key: None, explicit_hash_key: None, data })
        }
    }
}

/// A user record whose keys are still table indexes.
struct Indexed<'a> {
    partition_key: u64,
    hash_key: Option<u64>,
    data: &'a [u8],
}

impl<'a> Indexed<'a> {
    /// Looks up the record's keys; `None` if one is missing from its table.
    fn named(
        self,
        (partition_keys, hash_keys): &(Vec<&'a str>, Vec<&'a str>),
    ) -> Option<UserRecord<'a>> {
        let explicit_hash_key = match self.hash_key {
            Some(index) => Some(entry(hash_keys, index)?),
            None => None,
        };
        let partition_key = Some(entry(partition_keys, self.partition_key)?);
        Some(UserRecord { partition_key, explicit_hash_key, data: self.data })
    }
}

/// Parses an `AggregatedRecord`; `None` if the bytes are malformed.
fn user_records(mut message: &[u8]) -> Option<Vec<UserRecord<'_>>> {
    let (mut partition_keys, mut hash_keys, mut records) = (Vec::new(), Vec::new(), Vec::new());
    while !message.is_empty() {
        let (tag, wire_type) = decode_key(&mut message).ok()?;
        match tag {
            tag::PARTITION_KEYS => partition_keys.push(text(wire_type, &mut message)?),
            tag::HASH_KEYS => hash_keys.push(text(wire_type, &mut message)?),
            tag::RECORDS => records.push(indexed(bytes(wire_type, &mut message)?)?),
            _ => skip_field(wire_type, tag, &mut message, DecodeContext::default()).ok()?,
        }
    }
    let tables = (partition_keys, hash_keys);
    records.into_iter().map(|record| record.named(&tables)).collect()
}

/// Parses a `Record`. Its tags, which no library uses, are skipped.
fn indexed(mut message: &[u8]) -> Option<Indexed<'_>> {
    let (mut partition_key, mut hash_key, mut data) = (None, None, None);
    while !message.is_empty() {
        let (tag, wire_type) = decode_key(&mut message).ok()?;
        match tag {
            tag::PARTITION_KEY_INDEX => partition_key = Some(number(wire_type, &mut message)?),
            tag::HASH_KEY_INDEX => hash_key = Some(number(wire_type, &mut message)?),
            tag::DATA => data = Some(bytes(wire_type, &mut message)?),
            _ => skip_field(wire_type, tag, &mut message, DecodeContext::default()).ok()?,
        }
    }
    Some(Indexed { partition_key: partition_key?, hash_key, data: data? })
}

fn entry<'a>(table: &[&'a str], index: u64) -> Option<&'a str> {
    table.get(usize::try_from(index).ok()?).copied()
}

fn number(wire_type: WireType, message: &mut &[u8]) -> Option<u64> {
    if wire_type != WireType::Varint {
        return None;
    }
    decode_varint(message).ok()
}

fn bytes<'a>(wire_type: WireType, message: &mut &'a [u8]) -> Option<&'a [u8]> {
    if wire_type != WireType::LengthDelimited {
        return None;
    }
    let length = usize::try_from(decode_varint(message).ok()?).ok()?;
    let (bytes, rest) = message.split_at_checked(length)?;
    *message = rest;
    Some(bytes)
}

fn text<'a>(wire_type: WireType, message: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(bytes(wire_type, message)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Builds an aggregate around any message.
    fn sealed(message: &[u8]) -> Vec<u8> {
        [&MAGIC, message, &Md5::digest(message)[..]].concat()
    }

    fn is_plain(data: &[u8]) -> bool {
        let found = deaggregate(data);
        let [record] = found.records() else { return false };
        matches!(found, Deaggregated::Plain(_)) && record.data == data
    }

    #[test]
    fn plain_records_are_passed_through() {
        let good = sealed(b"\x0A\x01k\x1A\x05\x08\x00\x1A\x01v");
        assert_eq!(deaggregate(&good).records()[0].data, b"v");
        let mut wrong_digest = good.clone();
        *wrong_digest.last_mut().expect("a digest") ^= 1;
        for data in [&b""[..], b"hello", &MAGIC, &good[1..], &good[..good.len() - 1], &wrong_digest]
        {
            assert!(is_plain(data), "{data:?}");
        }
    }

    #[test]
    fn malformed_aggregates_are_passed_through() {
        for message in [
            &b"\x0A\x01k\x1A\x05\x08\x01\x1A\x01v"[..], // Partition key index out of range.
            b"\x0A\x01k\x1A\x07\x08\x00\x10\x00\x1A\x01v", // Explicit hash key index out of range.
            b"\x0A\x01k\x1A\x03\x1A\x01v",              // No partition key.
            b"\x0A\x01k\x1A\x02\x08\x00",               // No data.
            b"\x0A\x01\xFF\x1A\x05\x08\x00\x1A\x01v",   // A key that is not UTF-8.
            b"\x0A\x7Fk",                               // Longer than the message.
            b"\x08\x01",                                // A number instead of a key.
            b"\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01k", // Longer than memory.
            b"\x00",                                    // No field at all.
        ] {
            assert!(is_plain(&sealed(message)), "{message:?}");
        }
    }

    #[test]
    fn unknown_fields_are_skipped() {
        let data = sealed(b"\x1A\x0A\x08\x00\x1A\x01v\x22\x03\x0A\x01t\x0A\x01k\x52\x01x");
        let expected = UserRecord { partition_key: Some("k"), explicit_hash_key: None, data: b"v" };
        assert_eq!(deaggregate(&data), Deaggregated::Aggregate(vec![expected]));
    }
}
