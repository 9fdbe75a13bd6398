//! Packs user records into aggregates.

use std::collections::HashMap;

use md5::{Digest as _, Md5};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

use super::{DIGEST_BYTES, MAGIC, tag};

/// Packs user records into one Kinesis record at a time.
///
/// Records are encoded as they arrive, so that the exact size is always known and closing a record
/// costs little more than its digest.
#[derive(Debug)]
pub struct Aggregator {
    limit_bytes: usize,
    /// Size of the open Kinesis record, with everything that counts towards the limit.
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

    /// Number of user records in the open record.
    #[must_use]
    pub fn len(&self) -> usize {
        self.user_records
    }

    /// Whether the open record has no user records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.user_records == 0
    }

    /// Size of the open record if it were closed now: data and partition key, bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Adds a user record; returns false, without a change, if the open record would exceed the
    /// limit. A record that does not fit an empty aggregator fits no aggregate of this limit.
    pub fn push(
        &mut self,
        partition_key: &str,
        explicit_hash_key: Option<&str>,
        data: &[u8],
    ) -> bool {
        let partition_index = self.partition_keys.key_index(partition_key);
        let hash_index = explicit_hash_key.map(|key| self.hash_keys.key_index(key));
        let record_bytes = number_bytes(tag::PARTITION_KEY_INDEX, partition_index.index)
            + hash_index.map_or(0, |key_index| number_bytes(tag::HASH_KEY_INDEX, key_index.index))
            + field_bytes(tag::DATA, data.len());
        let added_bytes = partition_index.added_bytes
            + hash_index.map_or(0, |key_index| key_index.added_bytes)
            + field_bytes(tag::RECORDS, record_bytes)
            + if self.is_empty() { partition_key.len() } else { 0 };
        if self.size_bytes + added_bytes > self.limit_bytes {
            return false;
        }
        if self.is_empty() {
            partition_key.clone_into(&mut self.partition_key);
            self.explicit_hash_key = explicit_hash_key.map(str::to_owned);
        }
        self.partition_keys.insert(partition_key, partition_index);
        encode_key(tag::RECORDS, WireType::LengthDelimited, &mut self.records);
        encode_varint(record_bytes as u64, &mut self.records);
        encode_key(tag::PARTITION_KEY_INDEX, WireType::Varint, &mut self.records);
        encode_varint(partition_index.index, &mut self.records);
        if let Some((key, key_index)) = explicit_hash_key.zip(hash_index) {
            self.hash_keys.insert(key, key_index);
            encode_key(tag::HASH_KEY_INDEX, WireType::Varint, &mut self.records);
            encode_varint(key_index.index, &mut self.records);
        }
        append_field(tag::DATA, data, &mut self.records);
        self.size_bytes += added_bytes;
        self.user_records += 1;
        true
    }

    /// Closes the open record and begins the next one; `None` if the open record is empty.
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

/// The index that a key has, or would get, in a table.
#[derive(Debug, Clone, Copy)]
struct KeyIndex {
    index: u64,
    /// Bytes that the key adds to the table: 0 if it is already there.
    added_bytes: usize,
}

/// The keys of one aggregate, each once.
#[derive(Debug)]
struct KeyTable {
    tag: u32,
    indexes: HashMap<Box<str>, u64>,
    encoded: Vec<u8>,
}

impl KeyTable {
    fn new(tag: u32) -> Self {
        Self { tag, indexes: HashMap::new(), encoded: Vec::new() }
    }

    fn key_index(&self, key: &str) -> KeyIndex {
        match self.indexes.get(key) {
            Some(&index) => KeyIndex { index, added_bytes: 0 },
            None => KeyIndex {
                index: self.indexes.len() as u64,
                added_bytes: field_bytes(self.tag, key.len()),
            },
        }
    }

    fn insert(&mut self, key: &str, key_index: KeyIndex) {
        if key_index.added_bytes > 0 {
            self.indexes.insert(key.into(), key_index.index);
            append_field(self.tag, key.as_bytes(), &mut self.encoded);
        }
    }

    fn clear(&mut self) {
        self.indexes.clear();
        self.encoded.clear();
    }
}

fn append_field(tag: u32, bytes: &[u8], out: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Size of a field of `length` bytes with its tag and length prefix.
fn field_bytes(tag: u32, length: usize) -> usize {
    tag_bytes(tag) + encoded_len_varint(length as u64) + length
}

/// Size of a number with its tag.
fn number_bytes(tag: u32, number: u64) -> usize {
    tag_bytes(tag) + encoded_len_varint(number)
}

fn tag_bytes(tag: u32) -> usize {
    // The wire type occupies the lowest three bits.
    encoded_len_varint(u64::from(tag) << 3)
}
