//! Embedded Kinesis through the real client: its limits, and what was mended of the stand-in.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::error::ProvideErrorMetadata;
use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::operation::put_records::PutRecordsOutput;
use aws_sdk_kinesis::primitives::{Blob, DateTime};
use aws_sdk_kinesis::types::{
    ChildShard, PutRecordsRequestEntry, Record, ShardIteratorType, StartingPosition, StreamMode,
    StreamModeDetails, StreamStatus, SubscribeToShardEventStream,
};
use bench_service_kinesis::stand_in::KinesisLimits;
use embedded_kinesis::{KinesisServer, serve_in_background};

/// Everything here takes milliseconds on an idle machine.
const PATIENCE: Duration = Duration::from_secs(30);

const MIB: usize = 1 << 20;

const EXCEEDED: Option<&str> = Some("ProvisionedThroughputExceededException");

/// A server with the stream `s` of one shard.
struct Place {
    client: Client,
    server: KinesisServer,
}

impl Place {
    async fn new(limits: KinesisLimits) -> Self {
        let server = serve_in_background(&limits).expect("starts");
        let config = aws_sdk_kinesis::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(server.endpoint_url())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .retry_config(RetryConfig::disabled())
            .build();
        let place = Self { client: Client::from_conf(config), server };
        let create = place.client.create_stream().stream_name("s").shard_count(1);
        create.send().await.expect("created");
        place.active("s").await;
        place
    }

    async fn without_limits() -> Self {
        let limits = KinesisLimits { enforce_writes: false, ..KinesisLimits::default() };
        Self::new(limits).await
    }

    async fn active(&self, stream: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.client.describe_stream_summary().stream_name(stream).send().await;
            let found = found.expect("described").stream_description_summary.expect("a summary");
            if found.stream_status == StreamStatus::Active {
                return;
            }
            assert!(Instant::now() < deadline, "{} is {}", stream, found.stream_status);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn put(&self, text: &str) {
        let put = self.client.put_record().stream_name("s").partition_key("k");
        put.data(Blob::new(text)).send().await.expect("put");
    }

    async fn put_batch(&self, count: usize, size_bytes: usize) -> PutRecordsOutput {
        let entry = PutRecordsRequestEntry::builder().partition_key("k");
        let entry = entry.data(Blob::new(vec![7; size_bytes])).build().expect("complete");
        let put = self.client.put_records().stream_name("s");
        put.set_records(Some(vec![entry; count])).send().await.expect("put")
    }

    async fn iterator(&self, kind: ShardIteratorType, at: Option<DateTime>) -> String {
        let iterator = self.client.get_shard_iterator().stream_name("s").shard_id("0");
        let iterator = iterator.shard_iterator_type(kind).set_timestamp(at).send().await;
        iterator.expect("an iterator").shard_iterator.expect("one")
    }

    async fn get(&self, iterator: &str, limit: Option<i32>) -> GetRecordsOutput {
        let get = self.client.get_records().shard_iterator(iterator).set_limit(limit);
        get.send().await.expect("got")
    }

    /// All from an iterator on until the consumer is not behind.
    async fn texts_from(&self, kind: ShardIteratorType, at: Option<DateTime>) -> Vec<String> {
        let got = self.get(&self.iterator(kind, at).await, None).await;
        assert_eq!(got.millis_behind_latest, Some(0));
        got.records.iter().map(text).collect()
    }
}

fn text(record: &Record) -> String {
    String::from_utf8(record.data.as_ref().to_vec()).expect("text")
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    now.as_millis().try_into().expect("before the end of time")
}

#[tokio::test]
async fn a_shard_takes_a_thousand_records_a_second() {
    let place = Place::new(KinesisLimits::default()).await;
    let started = Instant::now();
    let mut taken = 0;
    for _ in 0..6 {
        let output = place.put_batch(500, 10).await;
        let refused: Vec<_> = output.records.iter().filter(|r| r.error_code.is_some()).collect();
        assert_eq!(output.failed_record_count, i32::try_from(refused.len()).ok());
        taken += 500 - refused.len();
        for record in refused {
            assert_eq!(record.error_code.as_deref(), EXCEEDED);
            let message = record.error_message.as_deref().unwrap_or_default();
            assert!(message.contains("shardId-000000000000 in stream s"), "{message}");
        }
    }
    let seconds = usize::try_from(started.elapsed().as_secs()).expect("not long");
    assert!((1_000..=1_000 * (seconds + 2)).contains(&taken), "{taken} in {seconds} s");
    let got = place.get(&place.iterator(ShardIteratorType::TrimHorizon, None).await, None).await;
    assert_eq!(got.records.len(), taken, "no more and no less than was acknowledged");
}

#[tokio::test]
async fn a_shard_takes_a_mebibyte_a_second_keys_included() {
    let place = Place::new(KinesisLimits::default()).await;
    let put = |size_bytes: usize| {
        let put = place.client.put_record().stream_name("s").partition_key("k");
        put.data(Blob::new(vec![7; size_bytes])).send()
    };
    // Two seconds may begin between the first and the last.
    let mut refused = 0;
    for _ in 0..4 {
        // With its key it is all that a second has.
        refused += usize::from(put(MIB - 1).await.is_err_and(|error| error.code() == EXCEEDED));
    }
    assert!(refused >= 1, "four in a moment are too many");
}

/// What became of records with these partition keys in one request.
async fn put_keys(place: &Place, keys: &[&str]) -> Result<usize, String> {
    let entry = |key: &&str| {
        let entry = PutRecordsRequestEntry::builder().partition_key(*key);
        entry.data(Blob::new("v")).build().expect("complete")
    };
    let put = place.client.put_records().stream_name("s");
    let put = put.set_records(Some(keys.iter().map(entry).collect())).send().await;
    let put = put.map_err(|error| error.message().unwrap_or_default().to_owned())?;
    Ok(put.records.iter().filter(|record| record.sequence_number.is_some()).count())
}

#[tokio::test]
async fn partition_keys_have_256_characters_of_any_width() {
    let place = Place::without_limits().await;
    let longest: Vec<String> =
        ["k", "\u{e9}", "\u{5317}", "\u{1f600}"].map(|c| c.repeat(256)).into();
    let longest: Vec<&str> = longest.iter().map(String::as_str).collect();
    assert_eq!(put_keys(&place, &longest).await, Ok(4));
    let half = "\u{e9}".repeat(129);
    let one = place.client.put_record().stream_name("s").partition_key(&half).data(Blob::new("v"));
    one.send().await.expect("129 characters are few");
    let got = place.get(&place.iterator(ShardIteratorType::TrimHorizon, None).await, None).await;
    let keys: Vec<_> =
        got.records.iter().filter_map(|record| record.partition_key.as_deref()).collect();
    assert_eq!(keys, [&longest[..], &[&half]].concat(), "and come back as they were");
    for long in longest {
        let long = format!("{long}x");
        let error = put_keys(&place, &["k", &long]).await.expect_err("257 characters");
        assert!(error.contains("records.2.member.partitionKey"), "{error}");
        assert!(error.contains("length less than or equal to 256"), "{error}");
    }
    put_keys(&place, &["k", ""]).await.expect_err("an empty key");
}

#[tokio::test]
async fn a_record_has_a_mebibyte_with_the_bytes_of_its_key() {
    let place = Place::without_limits().await;
    let put = |size_bytes: usize| {
        let put = place.client.put_record().stream_name("s").partition_key("\u{e9}");
        put.data(Blob::new(vec![7; size_bytes])).send()
    };
    put(MIB - 2).await.expect("the key has two bytes");
    let error = put(MIB - 1).await.expect_err("one byte too many");
    assert_eq!(error.code(), Some("InvalidArgumentException"));
}

#[tokio::test]
async fn explicit_hash_keys_are_decimal_numbers_of_128_bits() {
    let place = Place::without_limits().await;
    let put = |key: &str| {
        let put = place.client.put_record().stream_name("s").partition_key("k");
        put.explicit_hash_key(key).data(Blob::new("v")).send()
    };
    for good in ["0", "7", &u128::MAX.to_string()] {
        put(good).await.expect(good);
    }
    let beyond = "340282366920938463463374607431768211456";
    for wrong in ["", "+5", "05", "5x", "-1", "\u{667}", beyond] {
        put(wrong).await.expect_err(wrong);
    }
}

#[tokio::test]
async fn tags_are_counted_in_characters() {
    let place = Place::without_limits().await;
    let tag = |name: String, value: String| {
        place.client.add_tags_to_stream().stream_name("s").tags(name, value).send()
    };
    let (name, value) = ("\u{e9}".repeat(128), "\u{5317}".repeat(256));
    tag(name.clone(), value.clone()).await.expect("the longest");
    let found = place.client.list_tags_for_stream().stream_name("s").send().await.expect("listed");
    assert_eq!(found.tags[0].key, name);
    assert_eq!(found.tags[0].value.as_ref(), Some(&value));
    tag(format!("{name}x"), String::new()).await.expect_err("129 characters");
    tag(name.clone(), format!("{value}x")).await.expect_err("257 characters");
    let many = (0..11).map(|n| char::from_u32(0xe0 + n).expect("a letter"));
    let many = many.map(|letter| (letter.to_string(), String::new())).collect();
    let many = place.client.add_tags_to_stream().stream_name("s").set_tags(Some(many));
    many.send().await.expect_err("ten tags at a time");
    let untag = place.client.remove_tags_from_stream().stream_name("s").tag_keys(name);
    untag.send().await.expect("removed");
}

#[tokio::test]
async fn limits_of_writing_can_be_off() {
    let place = Place::without_limits().await;
    for _ in 0..6 {
        assert_eq!(place.put_batch(500, 10).await.failed_record_count, Some(0));
    }
}

#[tokio::test]
async fn a_batch_may_have_ten_mebibytes() {
    let place = Place::without_limits().await;
    assert_eq!(place.put_batch(10, MIB - 1).await.failed_record_count, Some(0), "keys included");
    let entry = |size_bytes: usize| {
        let entry = PutRecordsRequestEntry::builder().partition_key("k");
        entry.data(Blob::new(vec![7; size_bytes])).build().expect("complete")
    };
    let mut entries = vec![entry(MIB - 1); 10];
    entries.push(entry(0));
    let put = place.client.put_records().stream_name("s").set_records(Some(entries));
    let error = put.send().await.expect_err("a key more is too much");
    assert_eq!(error.code(), Some("InvalidArgumentException"));
}

#[tokio::test]
async fn a_shard_answers_five_reads_a_second() {
    let limits = KinesisLimits { enforce_reads: true, ..KinesisLimits::default() };
    let place = Place::new(limits).await;
    let iterator = place.iterator(ShardIteratorType::TrimHorizon, None).await;
    let started = Instant::now();
    let (mut answered, mut refused) = (0, 0);
    for _ in 0..30 {
        match place.client.get_records().shard_iterator(&iterator).send().await {
            Ok(_) => answered += 1,
            Err(error) => {
                assert_eq!(error.code(), EXCEEDED);
                let message = error.message().unwrap_or_default();
                assert!(message.contains("shardId-000000000000 in stream s"), "{message}");
                refused += 1;
            }
        }
    }
    let seconds = started.elapsed().as_secs();
    assert!((5..=5 * (seconds + 2)).contains(&answered), "{answered} in {seconds} s");
    assert!(refused > 0 || seconds >= 3, "{answered} in {seconds} s");
}

#[tokio::test]
async fn large_read_blocks_the_shard_for_five_seconds() {
    let limits = KinesisLimits { enforce_writes: false, enforce_reads: true, shard_limit: 1 };
    let place = Place::new(limits).await;
    for _ in 0..4 {
        place.put_batch(3, MIB - 1).await;
    }
    let iterator = place.iterator(ShardIteratorType::TrimHorizon, None).await;
    let started = Instant::now();
    let first = place.get(&iterator, None).await;
    assert_eq!(first.records.len(), 10);
    assert!(first.millis_behind_latest > Some(0), "two are left");
    let next = first.next_shard_iterator.expect("more");
    let rest = loop {
        match place.client.get_records().shard_iterator(&next).send().await {
            Ok(rest) => break rest,
            Err(error) => assert_eq!(error.code(), EXCEEDED),
        }
        assert!(started.elapsed() < PATIENCE, "nothing more comes");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    // The seconds are those of the server, of which the first may have begun some time before.
    assert!(started.elapsed() > Duration::from_secs(4), "after {:?}", started.elapsed());
    assert_eq!(rest.records.len(), 2);
    assert_eq!(rest.millis_behind_latest, Some(0));
    let after_tenth = &first.records[9].sequence_number;
    assert!(rest.records[0].sequence_number > *after_tenth, "none is left out or given twice");
}

#[tokio::test]
async fn unread_records_count_as_behind() {
    let place = Place::without_limits().await;
    place.put("a").await;
    place.put("b").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let iterator = place.iterator(ShardIteratorType::TrimHorizon, None).await;
    let first = place.get(&iterator, Some(1)).await;
    let behind_ms = first.millis_behind_latest.expect("known");
    assert!((300..30_000).contains(&behind_ms), "{behind_ms} ms");
    let second = place.get(&first.next_shard_iterator.expect("more"), Some(1)).await;
    assert_eq!(second.millis_behind_latest, Some(0));
    assert_eq!(text(&second.records[0]), "b");
}

#[expect(clippy::cast_possible_truncation, reason = "a time of these days")]
#[tokio::test]
async fn arrival_is_known_to_the_millisecond() {
    let place = Place::without_limits().await;
    let before_ms = now_ms();
    place.put("a").await;
    place.put_batch(1, 1).await;
    let after_ms = now_ms();
    let got = place.get(&place.iterator(ShardIteratorType::TrimHorizon, None).await, None).await;
    let arrived = got.records.iter().map(|record| {
        let arrived = record.approximate_arrival_timestamp.as_ref().expect("a time");
        // The client reads it as a floating point number, whose last digits are off.
        (arrived.as_secs_f64() * 1e3).round() as i64
    });
    for arrived_ms in arrived {
        assert!((before_ms..=after_ms).contains(&arrived_ms), "{arrived_ms} of {before_ms}");
    }
    assert_eq!(got.records.len(), 2);
}

#[tokio::test]
async fn positions_by_time_skip_earlier_records() {
    let place = Place::without_limits().await;
    place.put("early").await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let between = DateTime::from_millis(now_ms());
    tokio::time::sleep(Duration::from_millis(20)).await;
    place.put("late").await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let kind = ShardIteratorType::AtTimestamp;
    assert_eq!(place.texts_from(kind.clone(), Some(between)).await, ["late"]);
    let zero = Some(DateTime::from_secs(1));
    assert_eq!(place.texts_from(kind.clone(), zero).await, ["early", "late"]);
    let after_all = Some(DateTime::from_millis(now_ms()));
    let end = place.iterator(kind.clone(), after_all).await;
    place.put("last").await;
    let got = place.get(&end, None).await;
    assert_eq!(got.records.iter().map(text).collect::<Vec<_>>(), ["last"]);
    let to_come = DateTime::from_millis(now_ms() + 60_000);
    let refused = place.client.get_shard_iterator().stream_name("s").shard_id("0");
    let refused = refused.shard_iterator_type(kind).timestamp(to_come).send().await;
    assert_eq!(refused.expect_err("to come").code(), Some("InvalidArgumentException"));
}

#[tokio::test]
async fn streams_on_demand_and_tags_are_known() {
    let place = Place::without_limits().await;
    let mode = StreamModeDetails::builder().stream_mode(StreamMode::OnDemand).build();
    let create = place.client.create_stream().stream_name("d").tags("made-by", "a test");
    create.stream_mode_details(mode.expect("complete")).send().await.expect("created");
    place.active("d").await;
    let found = place.client.describe_stream_summary().stream_name("d").send().await;
    let found = found.expect("described").stream_description_summary.expect("a summary");
    assert_eq!(found.open_shard_count, 4);
    assert_eq!(found.stream_mode_details.expect("a mode").stream_mode, StreamMode::OnDemand);
    let tags = place.client.list_tags_for_stream().stream_name("d").send().await.expect("listed");
    assert_eq!(tags.tags[0].key, "made-by");
    assert_eq!(tags.tags[0].value.as_deref(), Some("a test"));
}

#[tokio::test]
async fn streams_share_the_limit_of_shards() {
    let limits = KinesisLimits { shard_limit: 3, ..KinesisLimits::default() };
    let place = Place::new(limits).await;
    let create = |count| place.client.create_stream().stream_name("more").shard_count(count).send();
    let error = create(3).await.expect_err("one is there already");
    assert_eq!(error.code(), Some("LimitExceededException"));
    create(2).await.expect("three in all");
}

#[tokio::test]
async fn the_end_of_a_split_shard_names_its_children() {
    let place = Place::without_limits().await;
    place.put("before").await;
    let iterator = place.iterator(ShardIteratorType::TrimHorizon, None).await;
    let half = (1_u128 << 127).to_string();
    let split = place.client.split_shard().stream_name("s").new_starting_hash_key(half);
    split.shard_to_split("shardId-000000000000").send().await.expect("split");
    place.active("s").await;
    place.put("after").await;
    let deadline = Instant::now() + PATIENCE;
    let mut got = place.get(&iterator, None).await;
    let mut texts: Vec<String> = got.records.iter().map(text).collect();
    while let Some(next) = &got.next_shard_iterator {
        assert!(Instant::now() < deadline, "the shard does not end");
        got = place.get(next, None).await;
        texts.extend(got.records.iter().map(text));
    }
    assert_eq!(texts, ["before"]);
    let children: Vec<_> = got.child_shards().iter().map(ChildShard::shard_id).collect();
    assert_eq!(children, ["shardId-000000000001", "shardId-000000000002"]);
    assert_eq!(got.child_shards()[0].parent_shards(), ["shardId-000000000000"]);
}

#[tokio::test]
async fn enhanced_fan_out_starts_at_its_position() {
    let place = Place::without_limits().await;
    place.put("early").await;
    let found = place.client.describe_stream_summary().stream_name("s").send().await;
    let found = found.expect("described").stream_description_summary.expect("a summary");
    let register = place.client.register_stream_consumer().stream_arn(found.stream_arn);
    let consumer = register.consumer_name("c").send().await.expect("registered");
    let consumer = consumer.consumer.expect("a consumer").consumer_arn;
    let deadline = Instant::now() + PATIENCE;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let mut subscription = loop {
        let position = StartingPosition::builder().r#type(ShardIteratorType::AtTimestamp);
        let position = position.timestamp(DateTime::from_millis(now_ms())).build();
        let subscribe = place.client.subscribe_to_shard().consumer_arn(&consumer).shard_id("0");
        match subscribe.starting_position(position.expect("complete")).send().await {
            Ok(subscription) => break subscription.event_stream,
            // Until the consumer is active.
            Err(error) => assert_eq!(error.code(), Some("ResourceInUseException")),
        }
        assert!(Instant::now() < deadline, "the consumer does not become active");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    place.put("late").await;
    let mut texts = Vec::new();
    while texts.is_empty() {
        assert!(Instant::now() < deadline, "nothing comes");
        let event = subscription.recv().await.expect("an event").expect("more");
        if let SubscribeToShardEventStream::SubscribeToShardEvent(event) = event {
            texts.extend(event.records.iter().map(text));
        }
    }
    assert_eq!(texts, ["late"]);
}

/// As Amazon's own Java client does.
#[tokio::test]
async fn clients_that_speak_cbor_are_served() {
    let place = Place::without_limits().await;
    let url = place.server.endpoint_url().to_owned();
    let status = tokio::task::spawn_blocking(move || {
        let body = b"\xa3\x6aStreamName\x61s\x6cPartitionKey\x61k\x64Data\x45hello";
        let signature = "AWS4-HMAC-SHA256 Credential=k/20000101/us-east-1/kinesis/aws4_request, \
                         SignedHeaders=host, Signature=none";
        let request = ureq::post(url).header("x-amz-target", "Kinesis_20131202.PutRecord");
        let request = request.header("authorization", signature);
        let request = request.header("x-amz-date", "20000101T000000Z");
        let request = request.content_type("application/x-amz-cbor-1.1");
        request.send(&body[..]).expect("put").status().as_u16()
    });
    assert_eq!(status.await.expect("no panic"), 200);
    assert_eq!(place.texts_from(ShardIteratorType::TrimHorizon, None).await, ["hello"]);
}

#[tokio::test]
async fn requests_without_a_signature_are_refused() {
    let place = Place::without_limits().await;
    let url = place.server.endpoint_url().to_owned();
    let refused = tokio::task::spawn_blocking(move || {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request = agent.post(url).header("x-amz-target", "Kinesis_20131202.PutRecord");
        let request = request.content_type("application/x-amz-json-1.1");
        let body = r#"{"StreamName":"s","PartitionKey":"k","Data":"YQ=="}"#;
        let mut response = request.send(body).expect("answered");
        (response.status().as_u16(), response.body_mut().read_to_string().expect("text"))
    });
    let (status, body) = refused.await.expect("no panic");
    assert!(status >= 400 && body.contains("MissingAuthenticationToken"), "{status}: {body}");
}
