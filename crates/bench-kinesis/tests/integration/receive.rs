//! Reads streams by polling and enhanced fan-out, on an embedded service.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::stream::{Stream, TIMEOUT, quick, quickly, serve};
use aws_sdk_kinesis::primitives::{Blob, DateTime};
use bench_core::clock::SystemClock;
use bench_core::counts::Counts;
use bench_kinesis::KinesisError;
use bench_kinesis::aggregation::Aggregator;
use bench_kinesis::receive::{
    FanOutConsumer, KinesisReceiver, Polling, ReceiveError, StreamStart, Subscription,
};
use ferrokinesis::store::StoreOptions;

#[test]
fn consumers_share_all_shards_and_find_the_end() {
    let stream = Stream::create(&serve(quick()), 7);
    stream.put(0..3_000, 50);
    for consumers in [1, 3, 9] {
        let mut reading = stream.connect(&StreamStart::TrimHorizon, &quickly(), consumers);
        reading.receive_to_the_end();
        reading.assert_all(3_000);
        let shards: BTreeSet<u32> = reading.received.iter().map(|one| one.shard).collect();
        assert_eq!(shards, (0..7).collect());
    }
}

#[test]
fn aggregates_unpack_with_their_own_keys() {
    let stream = Stream::create(&serve(quick()), 1);
    let mut aggregator = Aggregator::new(1 << 20);
    for number in 0..50_u32 {
        let (key, data) = (format!("key {}", number % 7), number.to_string());
        assert!(aggregator.push(&key, None, data.as_bytes()));
    }
    let aggregate = aggregator.close().expect("an aggregate");
    let request = stream.client.put_record().stream_name(&stream.name).partition_key("first");
    let put = request.data(Blob::new(aggregate.data)).send();
    stream.runtime.block_on(put).expect("put");
    stream.put(50..52, 1);
    let mut reading = stream.reader();
    reading.receive_to_the_end();
    reading.assert_all(52);
    let keys: Vec<&str> = reading.received.iter().map(|one| one.key.as_str()).collect();
    assert_eq!((keys[0], keys[8], keys[50]), ("key 0", "key 1", "0"));
}

/// Puts numbers while shards are split and merged; each key's numbers must arrive in order.
fn read_while_resharded(subscription: impl Fn(&Stream) -> Subscription, consumers: usize) {
    let stream = Stream::create(&serve(quick()), 2);
    let subscription = subscription(&stream);
    let mut reading = stream.connect(&StreamStart::Latest, &subscription, consumers);
    stream.put(0..500, 40);
    reading.receive(100);
    stream.split(0);
    stream.put(500..1_000, 40);
    stream.split(2);
    stream.put(1_000..1_500, 40);
    reading.receive(1_200);
    stream.merge(1);
    stream.put(1_500..2_000, 40);
    stream.merge(0);
    stream.put(2_000..2_500, 40);
    reading.receive_to_the_end();
    reading.assert_all(2_500);
    let shards: BTreeSet<u32> = reading.received.iter().map(|one| one.shard).collect();
    assert_eq!(shards, (0..8).collect(), "two, two twice, and one twice");

    // Reading afterwards: parents before their children.
    let mut later = stream.connect(&StreamStart::TrimHorizon, &subscription, consumers);
    later.receive_to_the_end();
    later.assert_all(2_500);
}

#[test]
fn resharding_keeps_all_records_and_key_order() {
    read_while_resharded(|_| quickly(), 1);
    read_while_resharded(|_| quickly(), 3);
}

#[test]
fn expired_iterators_resume_at_their_position() {
    let options = StoreOptions { iterator_ttl_seconds: 1, ..quick() };
    let stream = Stream::create(&serve(options), 2);
    let interval = Duration::from_millis(1_200);
    let slowly = Polling { interval, records_max: 150, within_limits: false };
    let slowly = Subscription::Polling(slowly);
    stream.put(0..400, 10);
    let mut reading = stream.connect(&StreamStart::TrimHorizon, &slowly, 1);
    reading.receive_to_the_end();
    stream.put(400..600, 10);
    reading.receive(600);
    reading.assert_all(600);
    assert!(reading.count("reads_resumed") > 0, "no iterator expired");
}

#[test]
fn reading_starts_at_the_given_position() {
    let stream = Stream::create(&serve(quick()), 1);
    stream.put(0..10, 1);
    let read = |start: &StreamStart, more: std::ops::Range<u32>| {
        let mut reading = stream.connect(start, &quickly(), 1);
        stream.put(more, 1);
        reading.receive_to_the_end();
        reading.numbers()
    };
    assert_eq!(read(&StreamStart::TrimHorizon, 10..11), (0..11).collect::<Vec<_>>());
    assert_eq!(read(&StreamStart::Latest, 11..13), [11, 12]);

    let put = stream.client.put_record().stream_name(&stream.name).partition_key("k");
    let put = stream.runtime.block_on(put.data(Blob::new("13")).send()).expect("put");
    let start = |is_inclusive| StreamStart::Sequence {
        shard: put.shard_id.clone(),
        number: put.sequence_number.clone(),
        is_inclusive,
    };
    assert_eq!(read(&start(true), 14..15), [13, 14]);
    assert_eq!(read(&start(false), 15..16), [14, 15]);

    // The service stores whole seconds, so only a much earlier time is reliable.
    let long_ago = StreamStart::Timestamp(DateTime::from_secs(1_000_000_000));
    assert_eq!(read(&long_ago, 16..17), (0..17).collect::<Vec<_>>());
}

#[test]
fn missing_streams_and_shards_are_named() {
    let stream = Stream::create(&serve(quick()), 1);
    let connect = |name: &str, start: &StreamStart| {
        let (clock, counts) = (SystemClock::new(), Counts::default());
        let connected =
            KinesisReceiver::connect(&stream.config, name, start, &quickly(), 1, clock, &counts);
        connected.map(|receivers| receivers.len()).expect_err("nothing to read")
    };
    let error = connect("missing", &StreamStart::TrimHorizon);
    let ReceiveError::Kinesis(KinesisError::NoStream { stream }) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(stream, "missing");
    let shard = "shardId-000000000009".to_owned();
    let start = StreamStart::Sequence { shard, number: "1".into(), is_inclusive: true };
    let error = connect("numbers", &start).to_string();
    let expected = "shard 'shardId-000000000009' does not exist; the stream's shards are \
                    shardId-000000000000";
    assert_eq!(error, expected);
}

/// The consumers registered with a stream.
fn registered(stream: &Stream) -> Vec<String> {
    let described = bench_kinesis::admin::describe(&stream.client, &stream.name);
    let arn = stream.runtime.block_on(described).expect("described").arn;
    let listed = stream.client.list_stream_consumers().stream_arn(arn).send();
    let listed = stream.runtime.block_on(listed).expect("listed").consumers.unwrap_or_default();
    listed.into_iter().map(|consumer| consumer.consumer_name).collect()
}

#[test]
fn fan_out_follows_resharding_and_renews_subscriptions() {
    let options = StoreOptions { subscribe_to_shard_session_ms: 700, ..quick() };
    let stream = Stream::create(&serve(options), 2);
    let consumer =
        FanOutConsumer::register(&stream.config, &stream.name, "fast").expect("registered");
    assert_eq!(registered(&stream), ["fast"]);
    let consumer_arn = consumer.arn().to_owned();
    let fan_out = Subscription::FanOut { consumer_arn };
    let mut reading = stream.connect(&StreamStart::Latest, &fan_out, 2);
    stream.put(0..300, 20);
    reading.receive(300);
    stream.split(1);
    stream.put(300..600, 20);
    reading.receive(600);
    stream.merge(0);
    stream.put(600..900, 20);
    reading.receive(900);
    reading.receive_until(|reading| reading.count("reads_resumed") > 1);
    stream.put(900..1_000, 20);
    reading.receive(1_000);
    reading.receive_to_the_end();
    reading.assert_all(1_000);
    drop(reading);

    let also = FanOutConsumer::register(&stream.config, &stream.name, "fast").expect("used");
    assert_eq!(also.arn(), consumer.arn());
    drop(also);
    assert_eq!(registered(&stream), ["fast"], "it existed before and stays registered");
    drop(consumer);
    // Deregistering takes a moment.
    let deadline = Instant::now() + TIMEOUT;
    while !registered(&stream).is_empty() {
        assert!(Instant::now() < deadline, "still registered");
    }
}
