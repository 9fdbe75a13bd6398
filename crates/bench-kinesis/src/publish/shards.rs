//! Predicts a record's shard by Kinesis's own rule.

use std::sync::Arc;

use md5::{Digest as _, Md5};

use crate::admin::Shard;

/// The open shards of a stream, sorted by hash key.
#[derive(Debug, Clone)]
pub(super) struct ShardMap {
    /// First hash key of each shard, ascending.
    firsts: Vec<u128>,
    ids: Vec<String>,
    /// The hash key in the middle of each shard.
    middles: Vec<Arc<str>>,
}

impl ShardMap {
    pub(super) fn new(open_shards: &[Shard]) -> Self {
        let mut shards: Vec<&Shard> = open_shards.iter().collect();
        shards.sort_by_key(|shard| shard.first_hash_key);
        let middle = |shard: &&Shard| {
            let width = shard.last_hash_key.saturating_sub(shard.first_hash_key);
            (shard.first_hash_key + width / 2).to_string().into()
        };
        Self {
            firsts: shards.iter().map(|shard| shard.first_hash_key).collect(),
            ids: shards.iter().map(|shard| shard.id.clone()).collect(),
            middles: shards.iter().map(middle).collect(),
        }
    }

    /// Number of shards.
    pub(super) fn len(&self) -> usize {
        self.firsts.len()
    }

    /// The index of the shard for this partition key.
    pub(super) fn shard_of(&self, partition_key: &[u8]) -> usize {
        let hash_key = u128::from_be_bytes(Md5::digest(partition_key).into());
        self.firsts.partition_point(|first| *first <= hash_key).saturating_sub(1)
    }

    /// A hash key in the shard's range.
    pub(super) fn hash_key_in(&self, shard: usize) -> Option<&Arc<str>> {
        self.middles.get(shard)
    }

    /// Whether the map contains the shard.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.ids.iter().any(|known| known == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(id: &str, first_hash_key: u128, last_hash_key: u128) -> Shard {
        Shard {
            id: id.to_owned(),
            parent: None,
            adjacent_parent: None,
            first_hash_key,
            last_hash_key,
            first_sequence: String::new(),
            last_sequence: None,
        }
    }

    #[test]
    fn keys_go_to_the_shard_of_their_md5() {
        let half = 1 << 127;
        let map = ShardMap::new(&[shard("b", half, u128::MAX), shard("a", 0, half - 1)]);
        // MD5 of "a" is 0cc1..., of "e" e167....
        assert_eq!((map.shard_of(b"a"), map.shard_of(b"e")), (0, 1));
        assert!(map.knows("b") && !map.knows("c"));
        let middles: Vec<u128> = (0..map.len())
            .map(|shard| map.hash_key_in(shard).expect("a shard").parse().expect("a number"))
            .collect();
        assert_eq!(middles, [(half - 1) / 2, half + (half - 1) / 2]);
    }

    #[test]
    fn empty_maps_use_shard_zero() {
        let map = ShardMap::new(&[]);
        assert_eq!(map.shard_of(b"a"), 0);
        assert_eq!(map.hash_key_in(0), None);
    }
}
