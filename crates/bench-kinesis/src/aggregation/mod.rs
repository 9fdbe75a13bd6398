//! The record format of the Kinesis Producer Library, which packs many user records into one
//! Kinesis record.
//!
//! Kinesis bills and limits streams by Kinesis records, so packing small messages pays off. An
//! aggregate is four magic bytes, a protobuf message (`AggregatedRecord` of the library's
//! `aggregation-format.md`) and the MD5 digest of that message. Keys are stored in tables, to which
//! the user records refer by index.

mod decode;
mod encode;
#[cfg(test)]
mod reference;

pub use decode::{Deaggregated, UserRecord, deaggregate};
pub use encode::{Aggregate, Aggregator};

/// The first bytes of every aggregate.
const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];

/// Size of the MD5 digest at the end of every aggregate, bytes.
const DIGEST_BYTES: usize = 16;

/// The field numbers of the protobuf messages.
mod tag {
    /// `AggregatedRecord`: the table of partition keys, strings.
    pub(super) const PARTITION_KEYS: u32 = 1;
    /// `AggregatedRecord`: the table of explicit hash keys, strings.
    pub(super) const HASH_KEYS: u32 = 2;
    /// `AggregatedRecord`: the user records, messages.
    pub(super) const RECORDS: u32 = 3;
    /// `Record`: an index into the table of partition keys, from 0. Required.
    pub(super) const PARTITION_KEY_INDEX: u32 = 1;
    /// `Record`: an index into the table of explicit hash keys. Optional.
    pub(super) const HASH_KEY_INDEX: u32 = 2;
    /// `Record`: the user's bytes. Required.
    pub(super) const DATA: u32 = 3;
}
