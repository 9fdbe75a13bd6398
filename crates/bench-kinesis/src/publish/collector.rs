//! Collects submitted messages into records, and records into requests.

use std::collections::VecDeque;

use bench_core::clock::InstantNs;
use bench_core::transport::Outgoing;

use super::PublishConfig;
use super::aggregates::Aggregates;
use super::arena::Arena;
use super::keys::KeyChooser;
use super::request::{Messages, Record};
use super::shards::ShardMap;
use crate::admin::Shard;

/// Collects the messages of one publisher.
pub(super) struct Collector {
    records_max: usize,
    bytes_max: usize,
    linger_ns: u64,
    explicit_hash_keys: bool,
    keys: KeyChooser,
    shards: ShardMap,
    /// The shard of the last explicit hash key.
    last_shard: usize,
    arena: Arena,
    aggregates: Option<Aggregates>,
    /// The records of the next request.
    open: Vec<Record>,
    open_bytes: usize,
    /// When the oldest message that is not ready to be sent arrived.
    since_ns: Option<InstantNs>,
    /// Records to send as soon as a request may start.
    ready: VecDeque<Record>,
    ready_bytes: usize,
}

impl Collector {
    pub(super) fn new(config: &PublishConfig, open_shards: &[Shard]) -> Self {
        let shards = ShardMap::new(open_shards);
        Self {
            records_max: config.put.records_max(),
            bytes_max: config.put.bytes_max(),
            linger_ns: config.linger_ns,
            explicit_hash_keys: config.explicit_hash_keys,
            keys: KeyChooser::new(config.keys.clone(), config.seed),
            aggregates: config.aggregate_bytes.map(|limit| Aggregates::new(limit, shards.len())),
            shards,
            last_shard: 0,
            arena: Arena::default(),
            open: Vec::new(),
            open_bytes: 0,
            since_ns: None,
            ready: VecDeque::new(),
            ready_bytes: 0,
        }
    }

    /// Adds a message.
    pub(super) fn take(&mut self, message: &Outgoing<'_>, now_ns: InstantNs) {
        self.since_ns.get_or_insert(now_ns);
        let key = self.keys.choose(message);
        let mut hash_key = None;
        if self.explicit_hash_keys && self.shards.len() > 0 {
            self.last_shard = (self.last_shard + 1) % self.shards.len();
            hash_key = self.shards.hash_key_in(self.last_shard);
        }
        let (mut full, mut is_packed) = (None, false);
        if let Some(aggregates) = &mut self.aggregates {
            let shard = match hash_key {
                Some(_) => self.last_shard,
                None => self.shards.shard_of(key.as_bytes()),
            };
            let packed = (message.token, message.value);
            (full, is_packed) = aggregates.push(shard, (&key, hash_key), packed, now_ns);
        }
        let plain = (!is_packed).then(|| Record {
            key: self.arena.copy(key.as_bytes()),
            hash_key: hash_key.cloned(),
            data: self.arena.copy(message.value),
            messages: Messages::One(message.token),
            ready_ns: now_ns,
            tries: 0,
        });
        for record in full.into_iter().chain(plain) {
            self.add(record, now_ns);
        }
    }

    /// Adds a record to the next request, which becomes ready when it is full.
    fn add(&mut self, record: Record, now_ns: InstantNs) {
        let size_bytes = record.size_bytes();
        if self.open_bytes + size_bytes > self.bytes_max {
            self.close_open(now_ns);
        }
        self.open_bytes += size_bytes;
        self.open.push(record);
        if self.open.len() >= self.records_max {
            self.close_open(now_ns);
        }
    }

    fn close_open(&mut self, now_ns: InstantNs) {
        self.ready.extend(self.open.drain(..));
        self.ready_bytes += std::mem::take(&mut self.open_bytes);
        // Messages in aggregates have also waited, but at most as long as it takes to fill a
        // request.
        self.since_ns = self.aggregates.as_ref().map(|_| now_ns);
    }

    /// Makes everything collected so far ready to be sent.
    pub(super) fn close_all(&mut self, now_ns: InstantNs) {
        if let Some(aggregates) = &mut self.aggregates {
            let closed: Vec<Record> = aggregates.close_all(now_ns).collect();
            for record in closed {
                self.add(record, now_ns);
            }
        }
        self.close_open(now_ns);
        self.since_ns = None;
    }

    /// Makes everything ready to be sent if the oldest message has waited long enough and no full
    /// request is waiting anyway.
    pub(super) fn close_if_due(&mut self, now_ns: InstantNs) {
        if self.due_ns().is_some_and(|due_ns| due_ns <= now_ns) {
            self.close_all(now_ns);
        }
    }

    /// When collected messages must be sent although they do not fill a request.
    pub(super) fn due_ns(&self) -> Option<InstantNs> {
        let since_ns = self.since_ns.filter(|_| !self.is_full())?;
        Some(since_ns.saturating_add(self.linger_ns))
    }

    /// From now on, lets no message wait for others: none will follow.
    pub(super) fn stop_lingering(&mut self) {
        self.linger_ns = 0;
    }

    /// Whether a full request is waiting to start.
    pub(super) fn is_full(&self) -> bool {
        self.ready.len() >= self.records_max || self.ready_bytes >= self.bytes_max
    }

    /// Appends records to those that are ready.
    pub(super) fn add_ready(&mut self, records: Vec<Record>) {
        self.ready_bytes += records.iter().map(Record::size_bytes).sum::<usize>();
        self.ready.extend(records);
    }

    /// Takes as many of the ready records as fit into a request.
    pub(super) fn next_request(&mut self) -> Vec<Record> {
        let (mut count, mut bytes) = (0, 0);
        for record in self.ready.iter().take(self.records_max) {
            if count > 0 && bytes + record.size_bytes() > self.bytes_max {
                break;
            }
            count += 1;
            bytes += record.size_bytes();
        }
        self.ready_bytes -= bytes;
        self.ready.drain(..count).collect()
    }

    /// Number of messages without the key field since the last call.
    pub(super) fn take_default_keys(&mut self) -> usize {
        std::mem::take(&mut self.keys.defaults)
    }

    /// Whether the shards have changed, as a record in this shard shows, in a way that matters:
    /// aggregates and explicit hash keys are meant for one shard.
    pub(super) fn is_news(&self, shard: Option<&str>) -> bool {
        let matters = self.aggregates.is_some() || self.explicit_hash_keys;
        matters && shard.is_some_and(|id| !self.shards.knows(id))
    }

    /// Switches to other shards.
    pub(super) fn set_shards(&mut self, open_shards: &[Shard], now_ns: InstantNs) {
        self.close_all(now_ns);
        self.shards = ShardMap::new(open_shards);
        if let Some(aggregates) = &mut self.aggregates {
            aggregates.set_shards(self.shards.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::{KeySource, Put};

    fn collector(
        records_max: usize,
        bytes_max: usize,
        aggregate_bytes: Option<usize>,
    ) -> Collector {
        let config = PublishConfig {
            stream: "s".to_owned(),
            put: Put::Records { records_max, bytes_max },
            in_flight_max: 1,
            linger_ns: 100,
            aggregate_bytes,
            keys: KeySource::Message,
            explicit_hash_keys: false,
            give_up_ns: 0,
            seed: 0,
            timings: None,
        };
        Collector::new(&config, &[])
    }

    fn take(collector: &mut Collector, token: u32, value: &[u8], now_ns: InstantNs) {
        collector.take(&Outgoing { token, key: Some(b"k"), value }, now_ns);
    }

    fn tokens(request: &[Record]) -> Vec<u32> {
        request.iter().flat_map(|record| record.messages.tokens()).copied().collect()
    }

    #[test]
    fn requests_are_full_by_number_or_size() {
        let mut by_number = collector(3, 1_000, None);
        (0..2).for_each(|token| take(&mut by_number, token, b"v", 0));
        assert!(by_number.next_request().is_empty());
        take(&mut by_number, 2, b"v", 0);
        assert!(by_number.is_full());
        assert_eq!(tokens(&by_number.next_request()), [0, 1, 2]);
        assert!(!by_number.is_full());

        // Each record is 11 bytes with its key.
        let mut by_size = collector(500, 25, None);
        (0..3).for_each(|token| take(&mut by_size, token, &[0; 10], 0));
        assert_eq!(tokens(&by_size.next_request()), [0, 1]);
        by_size.close_all(0);
        assert_eq!(tokens(&by_size.next_request()), [2]);
        assert_eq!(by_size.ready_bytes, 0);
    }

    #[test]
    fn oversized_records_are_sent_alone() {
        let mut collector = collector(500, 25, None);
        for (token, size) in [(0, 5), (1, 90), (2, 5)] {
            take(&mut collector, token, &vec![0; size], 0);
        }
        collector.close_all(0);
        let requests =
            std::iter::from_fn(|| Some(collector.next_request()).filter(|r| !r.is_empty()));
        assert_eq!(requests.map(|request| tokens(&request)).collect::<Vec<_>>(), [[0], [1], [2]]);
    }

    #[test]
    fn partial_requests_wait_for_the_linger() {
        let mut collector = collector(3, 1_000, None);
        assert_eq!(collector.due_ns(), None);
        take(&mut collector, 0, b"v", 50);
        take(&mut collector, 1, b"v", 60);
        assert_eq!(collector.due_ns(), Some(150));
        collector.close_if_due(149);
        assert!(collector.next_request().is_empty());
        collector.close_if_due(150);
        assert_eq!(tokens(&collector.next_request()), [0, 1]);
        assert_eq!(collector.due_ns(), None);
        take(&mut collector, 2, b"v", 200);
        collector.stop_lingering();
        assert_eq!(collector.due_ns(), Some(200));
    }

    #[test]
    fn last_partial_aggregate_is_sent() {
        let mut collector = collector(500, 100_000, Some(100));
        (0..7).for_each(|token| take(&mut collector, token, &[0; 20], 10));
        assert_eq!(collector.due_ns(), Some(110));
        collector.close_if_due(110);
        let request = collector.next_request();
        assert!(request.len() > 1 && request.iter().all(|record| record.size_bytes() <= 100));
        assert_eq!(tokens(&request), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(collector.due_ns(), None);
    }

    #[test]
    fn oversized_messages_keep_their_order() {
        let mut collector = collector(500, 100_000, Some(100));
        for (token, size) in [(0, 20), (1, 200), (2, 20)] {
            take(&mut collector, token, &vec![0; size], 0);
        }
        collector.close_all(0);
        assert_eq!(tokens(&collector.next_request()), [0, 1, 2]);
    }
}
