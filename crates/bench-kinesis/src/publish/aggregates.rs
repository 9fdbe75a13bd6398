//! One open aggregate per shard, as in the Kinesis Producer Library.

use std::sync::Arc;

use bench_core::clock::InstantNs;
use bench_core::transport::Token;
use bytes::Bytes;

use super::request::{Messages, Record};
use crate::aggregation::Aggregator;

/// The open aggregates. Each holds user records of one shard, since a Kinesis record goes to the
/// shard of its first user record.
pub(super) struct Aggregates {
    limit_bytes: usize,
    of_shards: Vec<OpenAggregate>,
}

struct OpenAggregate {
    aggregator: Aggregator,
    tokens: Vec<Token>,
    hash_key: Option<Arc<str>>,
}

impl Aggregates {
    pub(super) fn new(limit_bytes: usize, shards: usize) -> Self {
        let mut aggregates = Self { limit_bytes, of_shards: Vec::new() };
        aggregates.set_shards(shards);
        aggregates
    }

    /// Changes the number of shards. All aggregates must have been closed.
    pub(super) fn set_shards(&mut self, shards: usize) {
        let open = || OpenAggregate {
            aggregator: Aggregator::new(self.limit_bytes),
            tokens: Vec::new(),
            hash_key: None,
        };
        self.of_shards.resize_with(shards.max(1), open);
    }

    /// Adds a message to the aggregate of its shard. Returns the previous aggregate if that was
    /// full, and whether the message was added: one that fits no aggregate is not.
    pub(super) fn push(
        &mut self,
        shard: usize,
        (key, hash_key): (&str, Option<&Arc<str>>),
        (token, message): (Token, &[u8]),
        now_ns: InstantNs,
    ) -> (Option<Record>, bool) {
        let shard = shard.min(self.of_shards.len() - 1);
        let open = &mut self.of_shards[shard];
        let explicit = hash_key.map(|key| &**key);
        let mut full = None;
        let mut packed = open.aggregator.push(key, explicit, message);
        if !packed {
            full = open.close(now_ns);
            packed = open.aggregator.push(key, explicit, message);
        }
        if packed {
            open.tokens.push(token);
            open.hash_key = open.hash_key.take().or_else(|| hash_key.cloned());
        }
        (full, packed)
    }

    /// Closes all aggregates that are not empty.
    pub(super) fn close_all(&mut self, now_ns: InstantNs) -> impl Iterator<Item = Record> {
        self.of_shards.iter_mut().filter_map(move |open| open.close(now_ns))
    }
}

impl OpenAggregate {
    fn close(&mut self, now_ns: InstantNs) -> Option<Record> {
        let aggregate = self.aggregator.close()?;
        Some(Record {
            key: Bytes::from(aggregate.partition_key),
            hash_key: self.hash_key.take(),
            data: Bytes::from(aggregate.data),
            messages: Messages::Many(std::mem::take(&mut self.tokens)),
            ready_ns: now_ns,
            tries: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregation::deaggregate;

    #[test]
    fn each_shard_has_its_own_aggregate() {
        let mut aggregates = Aggregates::new(120, 2);
        let hash_key: Arc<str> = "7".into();
        let mut closed = Vec::new();
        for token in 0..20_u8 {
            let shard = usize::from(token % 2);
            let (full, taken) =
                aggregates.push(shard, ("k", Some(&hash_key)), (token.into(), &[token; 10]), 5);
            assert!(taken);
            closed.extend(full);
        }
        let full = closed.len();
        assert!(full > 0 && closed.iter().all(|record| record.size_bytes() <= 120));
        closed.extend(aggregates.close_all(5));
        assert_eq!(closed.len(), full + 2);
        assert_eq!(aggregates.close_all(5).count(), 0);
        let mut seen = Vec::new();
        for record in &closed {
            assert_eq!(record.hash_key.as_deref(), Some("7"));
            let found = deaggregate(&record.data);
            let data: Vec<_> = found.records().iter().map(|user| user.data[0]).collect();
            let tokens: Vec<u32> = data.iter().map(|byte| u32::from(*byte)).collect();
            assert_eq!(record.messages.tokens(), tokens);
            assert!(data.iter().all(|byte| byte % 2 == data[0] % 2), "{data:?}");
            seen.extend(data);
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn messages_too_large_to_aggregate_are_returned() {
        let mut aggregates = Aggregates::new(60, 1);
        assert!(aggregates.push(0, ("k", None), (1, b"small"), 0).1);
        let (full, taken) = aggregates.push(0, ("k", None), (2, &[0; 100]), 0);
        assert!(!taken);
        assert_eq!(full.expect("was open").messages.tokens(), [1], "order is kept");
    }
}
