//! Checks aggregates against a second implementation: `prost`'s derived protobuf messages.

use md5::{Digest as _, Md5};
use proptest::prelude::*;
use prost::Message;

use super::{Aggregator, DIGEST_BYTES, Deaggregated, MAGIC, UserRecord, deaggregate};

#[derive(Clone, PartialEq, Message)]
struct AggregatedRecord {
    #[prost(string, repeated, tag = "1")]
    partition_key_table: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    explicit_hash_key_table: Vec<String>,
    #[prost(message, repeated, tag = "3")]
    records: Vec<Record>,
}

#[derive(Clone, PartialEq, Message)]
struct Record {
    #[prost(uint64, required, tag = "1")]
    partition_key_index: u64,
    #[prost(uint64, optional, tag = "2")]
    explicit_hash_key_index: Option<u64>,
    #[prost(bytes = "vec", required, tag = "3")]
    data: Vec<u8>,
    #[prost(message, repeated, tag = "4")]
    tags: Vec<Tag>,
}

#[derive(Clone, PartialEq, Message)]
struct Tag {
    #[prost(string, required, tag = "1")]
    key: String,
    #[prost(string, optional, tag = "2")]
    value: Option<String>,
}

/// A user record that owns its parts.
type Owned = (String, Option<String>, Vec<u8>);

fn user_record() -> impl Strategy<Value = Owned> {
    let key = prop_oneof!["[a-c]", "\\PC{1,40}"];
    let hash_key = proptest::option::of(prop_oneof!["[0-9]", "[1-9][0-9]{0,37}"]);
    // Lengths around those at which the length prefix grows by a byte.
    let length = prop_oneof![0..4_usize, 110..140_usize, 16_370..16_400_usize];
    let data = length.prop_flat_map(|length| proptest::collection::vec(any::<u8>(), length));
    (key, hash_key, data)
}

/// Packs the records, except those that fit no aggregate.
fn packed(records: &[Owned], limit_bytes: usize) -> (Vec<super::Aggregate>, Vec<Owned>) {
    let mut aggregator = Aggregator::new(limit_bytes);
    let (mut aggregates, mut taken) = (Vec::new(), Vec::new());
    for record in records {
        let (key, hash_key, data) = record;
        if !aggregator.push(key, hash_key.as_deref(), data) {
            aggregates.extend(aggregator.close());
            if !aggregator.push(key, hash_key.as_deref(), data) {
                continue;
            }
        }
        taken.push(record.clone());
    }
    aggregates.extend(aggregator.close());
    (aggregates, taken)
}

fn owned(record: &UserRecord<'_>) -> Owned {
    let key = record.partition_key.expect("an aggregate has keys").to_owned();
    (key, record.explicit_hash_key.map(str::to_owned), record.data.to_vec())
}

proptest! {
    #[test]
    fn packed_records_unpack_in_order_within_the_limit(
        records in proptest::collection::vec(user_record(), 0..40),
        limit_bytes in 20..40_000_usize,
    ) {
        let (aggregates, taken) = packed(&records, limit_bytes);
        let mut back = Vec::new();
        for aggregate in &aggregates {
            prop_assert!(aggregate.data.len() + aggregate.partition_key.len() <= limit_bytes);
            let found = deaggregate(&aggregate.data);
            prop_assert_eq!(found.records().len(), aggregate.user_records);
            prop_assert!(matches!(found, Deaggregated::Aggregate(_)));
            let first = owned(&found.records()[0]);
            prop_assert_eq!((&first.0, &first.1), (&aggregate.partition_key, &aggregate.explicit_hash_key));
            back.extend(found.records().iter().map(owned));
        }
        prop_assert_eq!(back, taken);
    }

    #[test]
    fn messages_equal_the_protobuf_encoding(
        records in proptest::collection::vec(user_record(), 1..20),
    ) {
        for aggregate in packed(&records, 100_000).0 {
            let message = &aggregate.data[MAGIC.len()..aggregate.data.len() - DIGEST_BYTES];
            let reference = AggregatedRecord::decode(message).expect("it is well-formed");
            prop_assert_eq!(reference.encode_to_vec(), message);
        }
    }

    #[test]
    fn damaged_messages_decode_like_protobuf_or_pass_through(
        records in proptest::collection::vec(user_record(), 1..5),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for aggregate in packed(&records, 100_000).0 {
            let mut message = aggregate.data[MAGIC.len()..aggregate.data.len() - DIGEST_BYTES].to_vec();
            for (place, byte) in &damage {
                let place = place.index(message.len());
                message[place] = *byte;
            }
            let data = [&MAGIC, &message[..], &Md5::digest(&message)[..]].concat();
            if let Deaggregated::Aggregate(found) = deaggregate(&data) {
                let reference = AggregatedRecord::decode(&message[..]);
                // The derived decoder may be stricter only about fields that are not used.
                if let Ok(reference) = reference {
                    let datas: Vec<_> = reference.records.iter().map(|r| &r.data[..]).collect();
                    let ours: Vec<_> = found.iter().map(|record| record.data).collect();
                    prop_assert_eq!(datas, ours);
                }
            }
        }
    }

    #[test]
    fn any_bytes_can_be_unpacked(data in proptest::collection::vec(any::<u8>(), 0..200)) {
        let with_magic = [&MAGIC, &data[..], &Md5::digest(&data)[..]].concat();
        for data in [&data[..], &with_magic] {
            let bytes: usize = deaggregate(data).records().iter().map(|r| r.data.len()).sum();
            prop_assert!(bytes <= data.len());
        }
    }
}
