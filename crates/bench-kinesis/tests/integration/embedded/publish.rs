//! The publisher against an embedded Kinesis, driven as the engine drives it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::stream::{READY, STREAM, Service, sdk_config};
use bench_aws::SdkConfig;
use bench_core::clock::{Clock as _, SECOND_NS, SystemClock};
use bench_core::counts::Counts;
use bench_core::transport::{Batch, Completion, Failure, Publish as _, TransportError};
use bench_kinesis::KinesisPublisher;
use bench_kinesis::admin::{self, Shard};
use bench_kinesis::aggregation::{Deaggregated, deaggregate};
use bench_kinesis::publish::{
    KeySource, PublishConfig, Put, REQUEST_BYTES_DEFAULT, REQUEST_RECORDS_MAX, Timing,
};

fn config() -> PublishConfig {
    PublishConfig {
        stream: STREAM.to_owned(),
        put: Put::Records { records_max: REQUEST_RECORDS_MAX, bytes_max: REQUEST_BYTES_DEFAULT },
        in_flight_max: 4,
        linger_ns: 5_000_000,
        aggregate_bytes: None,
        keys: KeySource::Message,
        explicit_hash_keys: false,
        give_up_ns: 60 * SECOND_NS,
        seed: 1,
        timings: None,
    }
}

/// A publisher and its completions.
struct Driver {
    publisher: KinesisPublisher,
    clock: SystemClock,
    counts: Counts,
    batch: Batch,
    completions: Vec<Completion>,
}

impl Driver {
    fn new(service: &Service, shards: &[Shard], config: PublishConfig) -> Self {
        Self::at(&service.sdk, shards, config)
    }

    fn at(sdk: &SdkConfig, shards: &[Shard], config: PublishConfig) -> Self {
        let (clock, counts) = (SystemClock::new(), Counts::default());
        let publisher = KinesisPublisher::connect(sdk, config, shards, clock, &counts);
        let publisher = publisher.expect("connected");
        Self { publisher, clock, counts, batch: Batch::default(), completions: Vec::new() }
    }

    fn push(&mut self, token: u32, key: Option<&str>, value: &[u8]) {
        let write_key = |out: &mut Vec<u8>| {
            out.extend_from_slice(key.unwrap_or_default().as_bytes());
            key.is_some()
        };
        self.batch.push(token, write_key, |out, _| out.extend_from_slice(value));
    }

    /// Submits the pushed messages and waits until they are accepted.
    fn submit(&mut self) {
        while !self.batch.is_empty() {
            self.publisher.submit(&mut self.batch).expect("taken");
            self.poll(1_000_000).expect("polls");
        }
    }

    fn poll(&mut self, for_ns: u64) -> Result<(), TransportError> {
        self.publisher.poll(self.clock.now_ns() + for_ns, &mut self.completions)
    }

    /// Waits until this many messages have completed.
    fn finish(&mut self, messages: usize) {
        self.publisher.finish().expect("finishes");
        let deadline_ns = self.clock.now_ns() + 90 * SECOND_NS;
        while self.completions.len() < messages {
            assert!(self.clock.now_ns() < deadline_ns, "{} done", self.completions.len());
            self.poll(SECOND_NS / 20).expect("polls");
        }
        let tokens: HashSet<_> = self.completions.iter().map(|done| done.token).collect();
        assert_eq!(tokens.len(), self.completions.len(), "each completes once");
    }

    fn confirmed(&self) -> BTreeSet<u32> {
        let good = self.completions.iter().filter(|done| done.delivery.is_acknowledged());
        good.map(|done| done.token).collect()
    }

    fn count(&self, name: &str) -> u64 {
        self.counts.read()[name]
    }
}

/// A message of at least 4 bytes, derived from its token.
fn value(token: u32) -> Vec<u8> {
    let mut value = token.to_le_bytes().to_vec();
    value.resize(4 + token as usize % 97, token.to_le_bytes()[0]);
    value
}

fn token_of(data: &[u8]) -> u32 {
    u32::from_le_bytes(*data.first_chunk().expect("a token"))
}

/// Puts this many messages and asserts that exactly those are stored, byte for byte.
fn all_arrive(config: PublishConfig, messages: u32) -> (Service, Driver) {
    let (service, shards) = Service::with_stream(false, 3);
    let mut driver = Driver::new(&service, &shards, config);
    for token in 0..messages {
        driver.push(token, Some(&format!("key{}", token % 50)), &value(token));
        if token % 100 == 0 {
            driver.submit();
        }
    }
    driver.submit();
    driver.finish(messages as usize);
    assert_eq!(driver.confirmed().len(), messages as usize);
    let mut found = BTreeMap::new();
    for record in service.stored() {
        for user in deaggregate(&record.data).records() {
            let token = token_of(user.data);
            let key = user.partition_key.unwrap_or(&record.key);
            assert_eq!((user.data, key), (&value(token)[..], &format!("key{}", token % 50)[..]));
            assert!(found.insert(token, record.shard.clone()).is_none(), "{token} is there twice");
        }
    }
    assert_eq!(found.len(), messages as usize);
    (service, driver)
}

#[test]
fn put_records_stores_messages_byte_for_byte() {
    let (_service, driver) = all_arrive(config(), 5_001);
    assert_eq!((driver.count("records"), driver.count("records_retried")), (5_001, 0));
    let requests = driver.count("requests");
    assert!((11..200).contains(&requests), "{requests}");
}

#[test]
fn put_record_uses_one_request_per_message() {
    let (_service, driver) = all_arrive(PublishConfig { put: Put::Record, ..config() }, 301);
    assert_eq!((driver.count("records"), driver.count("requests")), (301, 301));
}

#[test]
fn requests_stay_within_the_configured_limits() {
    let put = Put::Records { records_max: 7, bytes_max: 300 };
    let (_service, driver) = all_arrive(PublishConfig { put, ..config() }, 1_000);
    assert!(driver.count("requests") >= 143, "{}", driver.count("requests"));
}

#[test]
fn aggregates_are_full_and_complete() {
    let aggregate =
        PublishConfig { aggregate_bytes: Some(2_000), linger_ns: 60 * SECOND_NS, ..config() };
    let (service, driver) = all_arrive(aggregate, 3_001);
    let stored = service.stored();
    assert_eq!(driver.count("records"), stored.len() as u64);
    assert!((80..130).contains(&stored.len()), "{}", stored.len());
    assert!(stored.iter().all(|record| record.data.len() + record.key.len() <= 2_000));
    assert!(stored.iter().all(|r| matches!(deaggregate(&r.data), Deaggregated::Aggregate(_))));
}

#[test]
fn messages_wait_at_least_the_linger() {
    let (service, shards) = Service::with_stream(false, 1);
    let linger_ns = 200_000_000;
    for aggregate_bytes in [None, Some(1_000_000)] {
        let lingering = PublishConfig { linger_ns, aggregate_bytes, ..config() };
        let mut driver = Driver::new(&service, &shards, lingering);
        driver.push(1, None, b"1234");
        let begun_ns = driver.clock.now_ns();
        driver.submit();
        while driver.completions.is_empty() {
            assert!(driver.clock.now_ns() < begun_ns + 30 * SECOND_NS);
            driver.poll(SECOND_NS).expect("polls");
        }
        let [done] = driver.completions[..] else { panic!("{:?}", driver.completions) };
        assert!(done.at_ns - begun_ns >= linger_ns);
    }
}

#[test]
fn explicit_hash_keys_distribute_evenly() {
    let (service, shards) = Service::with_stream(false, 3);
    for aggregate_bytes in [None, Some(1_000)] {
        let even = PublishConfig { explicit_hash_keys: true, aggregate_bytes, ..config() };
        let mut driver = Driver::new(&service, &shards, even);
        (0..300).for_each(|token| driver.push(token, Some("one"), &value(token)));
        driver.submit();
        driver.finish(300);
    }
    let mut of_shards = BTreeMap::<_, usize>::new();
    for record in service.stored() {
        *of_shards.entry(record.shard).or_default() += deaggregate(&record.data).records().len();
    }
    assert_eq!(of_shards.into_values().collect::<Vec<_>>(), [200; 3]);
}

#[test]
fn partition_keys_come_from_a_record_field() {
    let (service, shards) = Service::with_stream(false, 1);
    let keys = KeySource::Field { name: "Title".to_owned(), from_bytes: 0 };
    let mut driver = Driver::new(&service, &shards, PublishConfig { keys, ..config() });
    for (token, book) in [r#"{"Title":"Ulysses"}"#, r#"{"Price":7}"#].iter().enumerate() {
        driver.push(u32::try_from(token).expect("small"), None, book.as_bytes());
    }
    driver.submit();
    driver.finish(2);
    let keys: Vec<_> = service.stored().into_iter().map(|record| record.key).collect();
    assert_eq!(keys, ["Ulysses", "default_partition_key"]);
    assert_eq!(driver.count("default_partition_keys"), 1);
}

#[test]
fn throttled_shards_lose_nothing() {
    let (service, shards) = Service::with_stream(true, 1);
    let mut driver = Driver::new(&service, &shards, config());
    let messages = 4_000;
    for token in 0..messages {
        driver.push(token, None, &value(token));
        if token % 300 == 0 {
            driver.submit();
        }
    }
    driver.submit();
    driver.finish(messages as usize);
    let confirmed = driver.confirmed();
    assert_eq!(confirmed.len(), messages as usize);
    let throttled = driver.count("records_throttled");
    assert!(throttled > 0 && driver.count("records_retried") == throttled, "{throttled}");
    let stored: Vec<_> = service.stored().iter().map(|record| token_of(&record.data)).collect();
    assert_eq!(stored.len(), messages as usize, "no duplicates");
    assert_eq!(stored.into_iter().collect::<BTreeSet<_>>(), confirmed);
}

#[test]
fn records_throttled_for_too_long_fail() {
    let (service, shards) = Service::with_stream(true, 1);
    let impatient = PublishConfig { give_up_ns: 0, ..config() };
    let mut driver = Driver::new(&service, &shards, impatient);
    (0..3_000).for_each(|token| driver.push(token, None, &value(token)));
    driver.submit();
    driver.finish(3_000);
    let failed: Vec<_> =
        driver.completions.iter().filter_map(|done| done.delivery.failure()).collect();
    assert!(!failed.is_empty() && failed.iter().all(|code| *code == failed[0]));
    let reason = driver.publisher.explain(failed[0]);
    assert_eq!(reason, "ProvisionedThroughputExceededException");
    assert!(matches!(failed[0], Failure::Refused(_)), "a refusal is an answer");
    assert_eq!(driver.publisher.outage(), None);
    let confirmed = driver.confirmed();
    let stored = service.stored().iter().map(|record| token_of(&record.data)).collect();
    assert_eq!(confirmed, stored);
}

#[test]
fn deleted_streams_end_the_run_and_are_named() {
    let (service, shards) = Service::with_stream(false, 1);
    let mut driver = Driver::new(&service, &shards, config());
    driver.push(1, None, b"1234");
    driver.submit();
    driver.finish(1);
    let gone = admin::delete(&service.client, STREAM, READY);
    service.runtime.block_on(gone).expect("deleted");
    driver.push(2, None, b"1234");
    driver.submit();
    let ended = (0..100).find_map(|_| driver.poll(SECOND_NS / 10).err()).expect("an end");
    assert!(ended.message.contains("stream 's'"), "{ended}");
    assert!(driver.publisher.submit(&mut Batch::default()).is_err());
}

#[test]
fn records_fail_when_the_server_is_gone() {
    let (service, shards) = Service::with_stream(false, 1);
    let give_up_ns = SECOND_NS / 2;
    let mut driver = Driver::new(&service, &shards, PublishConfig { give_up_ns, ..config() });
    assert_eq!(driver.publisher.outage(), None);
    let address = service.sdk.endpoint_url().expect("an address").to_owned();
    drop(service);
    driver.push(1, None, b"1234");
    driver.submit();
    driver.finish(1);
    let [done] = driver.completions[..] else { panic!("{:?}", driver.completions) };
    let failure = done.delivery.failure().expect("failed");
    assert!(matches!(failure, Failure::Unanswered(_)));
    let outage = driver.publisher.outage().expect("the server is gone");
    assert!(outage.starts_with(&format!("{address} does not answer: ")), "{outage}");
    let reason = driver.publisher.explain(failure);
    assert!(reason.starts_with("failed to put records in stream 's': "), "{reason}");
    assert!(driver.count("requests_failed") >= 2 && driver.count("records_retried") >= 1);
}

#[test]
fn silent_servers_are_an_outage_before_timeouts() {
    // It accepts connections but never answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let mut driver = Driver::at(&sdk_config(&url), &[], config());
    driver.push(1, None, b"1234");
    driver.submit();
    let begun_ns = driver.clock.now_ns();
    while driver.publisher.outage().is_none() {
        assert!(driver.clock.now_ns() < begun_ns + 30 * SECOND_NS, "the outage is not noticed");
        driver.poll(SECOND_NS / 20).expect("polls");
    }
    assert!(driver.clock.now_ns() >= begun_ns + SECOND_NS, "too soon to tell");
    let outage = driver.publisher.outage().expect("an outage");
    assert!(outage.starts_with(&format!("{url} has not answered for ")), "{outage}");
}

#[test]
fn aggregates_follow_a_split() {
    let (service, shards) = Service::with_stream(false, 1);
    let aggregate = PublishConfig { aggregate_bytes: Some(500), ..config() };
    let mut driver = Driver::new(&service, &shards, aggregate);
    let send = |driver: &mut Driver, first: u32| {
        for token in first..first + 500 {
            driver.push(token, Some(&format!("key{}", token % 40)), &value(token));
        }
        driver.submit();
    };
    send(&mut driver, 0);
    let split = admin::split(&service.client, STREAM, &shards[0].id, 1 << 127, READY);
    service.runtime.block_on(split).expect("split");
    send(&mut driver, 500);
    (0..10).for_each(|_| driver.poll(SECOND_NS / 50).expect("polls"));
    send(&mut driver, 1_000);
    driver.finish(1_500);
    assert_eq!(driver.confirmed().len(), 1_500);
    let mut shards_of_keys = BTreeMap::<String, BTreeSet<String>>::new();
    for record in service.stored() {
        for user in deaggregate(&record.data).records() {
            if token_of(user.data) >= 1_000 {
                let key = user.partition_key.expect("an aggregate").to_owned();
                shards_of_keys.entry(key).or_default().insert(record.shard.clone());
            }
        }
    }
    assert_eq!(shards_of_keys.len(), 40);
    assert!(shards_of_keys.values().all(|shards| shards.len() == 1), "{shards_of_keys:?}");
    let used: BTreeSet<_> = shards_of_keys.into_values().flatten().collect();
    assert_eq!(used.len(), 2, "{used:?}");
}

#[test]
fn every_message_has_a_timing() {
    let (service, shards) = Service::with_stream(false, 1);
    let (sender, timings) = std::sync::mpsc::channel();
    let timed = PublishConfig { timings: Some(sender), aggregate_bytes: Some(200), ..config() };
    let mut driver = Driver::new(&service, &shards, timed);
    (0..20).for_each(|token| driver.push(token, None, &value(token)));
    driver.submit();
    driver.finish(20);
    let timings: Vec<Timing> = timings.try_iter().collect();
    assert_eq!(timings.len(), 20);
    for timing in timings {
        assert_eq!((timing.tries, timing.sequence), (1, None));
        assert!(timing.sent_ns <= timing.done_ns);
        let (shard, sequence) = timing.place.expect("it is in the stream");
        assert_eq!(shard, shards[0].id);
        assert!(sequence.parse::<u128>().is_ok() || sequence.len() > 38, "{sequence}");
    }
}
