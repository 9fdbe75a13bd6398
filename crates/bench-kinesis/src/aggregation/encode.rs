//! Packing user records.

use std::collections::HashMap;

use md5::{Digest as _, Md5};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

use super::{DIGEST_BYTES, MAGIC, tag};

/// Packs user records into one Kinesis record at a time.
///
/// Everything is encoded as it comes, so that the size of what has come is known exactly and
/// closing a record costs little more than its digest.
#[derive(Debug)]
pub struct Aggregator {
    limit_bytes: usize,
    /// Of the Kinesis record as it stands, with everything that counts towards the limit.
    size_bytes: usize,
    partition_keys: KeyTable,
    hash_keys: KeyTable,
    records: Vec<u8>,
    user_records: usize,
    /// The keys of the first user record, which become those of the Kinesis record.
    partition_key: String,
    explicit_hash_key: Option<String>,
}

/// A Kinesis record that holds user records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregate {
    /// The partition key of the first user record.
    pub partition_key: String,
    /// The explicit hash key of the first user record, if it has one.
    pub explicit_hash_key: Option<String>,
    /// The data.
    pub data: Vec<u8>,
    /// How many user records it holds, at least 1.
    pub user_records: usize,
}

impl Aggregator {
    /// Packs records of at most `limit_bytes`: data and partition key together, as Kinesis counts.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            size_bytes: MAGIC.len() + DIGEST_BYTES,
            partition_keys: KeyTable::new(tag::PARTITION_KEYS),
            hash_keys: KeyTable::new(tag::HASH_KEYS),
            records: Vec::new(),
            user_records: 0,
            partition_key: String::new(),
            explicit_hash_key: None,
        }
    }

    /// User records that are in the open record.
    #[must_use]
    pub fn len(&self) -> usize {
        self.user_records
    }

    /// Whether no user record is in the open record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.user_records == 0
    }

    /// Size that the open record has when it is closed now: data and partition key, bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Adds a user record, unless that would make the open record larger than the limit: then
    /// nothing changes, and the answer is no. A record that an empty aggregator refuses fits into
    /// no aggregate of this limit.
    pub fn push(
        &mut self,
        partition_key: &str,
        explicit_hash_key: Option<&str>,
        data: &[u8],
    ) -> bool {
        let partition_place = self.partition_keys.place(partition_key);
        let hash_place = explicit_hash_key.map(|key| self.hash_keys.place(key));
        let record_bytes = number_bytes(tag::PARTITION_KEY_INDEX, partition_place.index)
            + hash_place.map_or(0, |place| number_bytes(tag::HASH_KEY_INDEX, place.index))
            + field_bytes(tag::DATA, data.len());
        let added_bytes = partition_place.added_bytes
            + hash_place.map_or(0, |place| place.added_bytes)
            + field_bytes(tag::RECORDS, record_bytes)
            + if self.is_empty() { partition_key.len() } else { 0 };
        if self.size_bytes + added_bytes > self.limit_bytes {
            return false;
        }
        if self.is_empty() {
            partition_key.clone_into(&mut self.partition_key);
            self.explicit_hash_key = explicit_hash_key.map(str::to_owned);
        }
        self.partition_keys.insert(partition_key, partition_place);
        encode_key(tag::RECORDS, WireType::LengthDelimited, &mut self.records);
        encode_varint(record_bytes as u64, &mut self.records);
        encode_key(tag::PARTITION_KEY_INDEX, WireType::Varint, &mut self.records);
        encode_varint(partition_place.index, &mut self.records);
        if let Some((key, place)) = explicit_hash_key.zip(hash_place) {
            self.hash_keys.insert(key, place);
            encode_key(tag::HASH_KEY_INDEX, WireType::Varint, &mut self.records);
            encode_varint(place.index, &mut self.records);
        }
        append_field(tag::DATA, data, &mut self.records);
        self.size_bytes += added_bytes;
        self.user_records += 1;
        true
    }

    /// Closes the open record and begins the next one; nothing when no user record is in it.
    pub fn close(&mut self) -> Option<Aggregate> {
        if self.is_empty() {
            return None;
        }
        let mut data = Vec::with_capacity(self.size_bytes - self.partition_key.len());
        data.extend_from_slice(&MAGIC);
        data.extend_from_slice(&self.partition_keys.encoded);
        data.extend_from_slice(&self.hash_keys.encoded);
        data.extend_from_slice(&self.records);
        let digest = Md5::digest(&data[MAGIC.len()..]);
        data.extend_from_slice(&digest);
        debug_assert_eq!(data.len() + self.partition_key.len(), self.size_bytes);
        let aggregate = Aggregate {
            partition_key: std::mem::take(&mut self.partition_key),
            explicit_hash_key: self.explicit_hash_key.take(),
            data,
            user_records: self.user_records,
        };
        self.partition_keys.clear();
        self.hash_keys.clear();
        self.records.clear();
        self.user_records = 0;
        self.size_bytes = MAGIC.len() + DIGEST_BYTES;
        Some(aggregate)
    }
}

/// Where a key stands, or would stand, in a table.
#[derive(Debug, Clone, Copy)]
struct Place {
    index: u64,
    /// What the table grows by, bytes: 0 for a key that it has.
    added_bytes: usize,
}

/// The keys of one aggregate, each once.
#[derive(Debug)]
struct KeyTable {
    tag: u32,
    places: HashMap<Box<str>, u64>,
    encoded: Vec<u8>,
}

impl KeyTable {
    fn new(tag: u32) -> Self {
        Self { tag, places: HashMap::new(), encoded: Vec::new() }
    }

    fn place(&self, key: &str) -> Place {
        match self.places.get(key) {
            Some(&index) => Place { index, added_bytes: 0 },
            None => Place {
                index: self.places.len() as u64,
                added_bytes: field_bytes(self.tag, key.len()),
            },
        }
    }

    fn insert(&mut self, key: &str, place: Place) {
        if place.added_bytes > 0 {
            self.places.insert(key.into(), place.index);
            append_field(self.tag, key.as_bytes(), &mut self.encoded);
        }
    }

    fn clear(&mut self) {
        self.places.clear();
        self.encoded.clear();
    }
}

fn append_field(tag: u32, bytes: &[u8], out: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Size of a field of so many bytes with its tag and its length.
fn field_bytes(tag: u32, length: usize) -> usize {
    tag_bytes(tag) + encoded_len_varint(length as u64) + length
}

/// Size of a number with its tag.
fn number_bytes(tag: u32, number: u64) -> usize {
    tag_bytes(tag) + encoded_len_varint(number)
}

fn tag_bytes(tag: u32) -> usize {
    // The wire type takes the lowest three bits.
    encoded_len_varint(u64::from(tag) << 3)
}
