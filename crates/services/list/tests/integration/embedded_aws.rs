//! Embedded Kinesis and `DynamoDB` in processes of their own, through the real clients.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::orphans::is_zombie;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
    ScalarAttributeType,
};
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use bench_service_dynamodb::stand_in::{self as dynamodb_stand_in, EmbeddedDynamodb};
use bench_service_kinesis::stand_in::{self as kinesis_stand_in, EmbeddedKinesis, KinesisLimits};
use bench_stack::StackOptions;
use bench_stand_in::{PROTOCOL, StandInKind, StandInProcess};
use rustix::process::{Pid, getpgid, test_kill_process};

#[test]
fn a_stream_takes_and_gives_records() {
    let service = EmbeddedKinesis::start(&KinesisLimits::default()).expect("starts");
    let client = kinesis(service.endpoint_url());
    block_on(async {
        create_stream(&client, "s").await;
        put(&client, "s", "hello").await;
        assert_eq!(all_records(&client, "s").await, ["hello"]);
    });
}

#[test]
fn a_table_takes_and_gives_items() {
    let service = EmbeddedDynamodb::start().expect("starts");
    let client = dynamodb(service.endpoint_url());
    block_on(async {
        create_table(&client, "rows").await;
        let item = client.put_item().table_name("rows").item("id", AttributeValue::S("a".into()));
        item.item("n", AttributeValue::N("7".into())).send().await.expect("put");
        let found = client.scan().table_name("rows").send().await.expect("scanned");
        assert_eq!(found.items()[0]["n"], AttributeValue::N("7".into()));
    });
}

/// Several write to one shard, now one record and now many, while others read it.
#[test]
fn readers_miss_nothing_that_is_being_written() {
    const WRITERS: usize = 8;
    const REQUESTS: usize = 150;
    const BATCH: usize = 5;
    const RECORDS: usize = WRITERS * REQUESTS / 2 * (1 + BATCH);
    let limits = KinesisLimits { enforce_writes: false, ..KinesisLimits::default() };
    let service = EmbeddedKinesis::start(&limits).expect("starts");
    let client = kinesis(service.endpoint_url());
    block_on(async {
        create_stream(&client, "s").await;
        let readers = [(); 2].map(|()| tokio::spawn(read(client.clone(), RECORDS)));
        let mut writers = Vec::new();
        for _ in 0..WRITERS {
            let client = client.clone();
            writers.push(tokio::spawn(async move {
                for _ in 0..REQUESTS / 2 {
                    put(&client, "s", "one").await;
                    let entry = PutRecordsRequestEntry::builder().partition_key("k");
                    let entry = entry.data(Blob::new("many")).build().expect("complete");
                    let put = client.put_records().stream_name("s");
                    let put = put.set_records(Some(vec![entry; BATCH])).send().await.expect("put");
                    assert_eq!(put.failed_record_count, Some(0));
                }
            }));
        }
        for writer in writers {
            writer.await.expect("no panic");
        }
        for reader in readers {
            assert_eq!(reader.await.expect("no panic"), RECORDS);
        }
    });
}

/// Reads from the beginning until so many records have come, or no more have come for a while.
async fn read(client: aws_sdk_kinesis::Client, wanted: usize) -> usize {
    let iterator = client.get_shard_iterator().stream_name("s").shard_id("0");
    let iterator = iterator.shard_iterator_type("TRIM_HORIZON".into()).send().await;
    let mut iterator = iterator.expect("an iterator").shard_iterator;
    let (mut records, mut last) = (0, Instant::now());
    while records < wanted && last.elapsed() < Duration::from_secs(5) {
        let got = client.get_records().set_shard_iterator(iterator).send().await.expect("got");
        iterator = got.next_shard_iterator;
        records += got.records.len();
        if !got.records.is_empty() {
            last = Instant::now();
        }
    }
    records
}

#[test]
fn two_servers_share_nothing() {
    let [one, other] = [(); 2].map(|()| EmbeddedKinesis::start(&KinesisLimits::default()));
    let (one, other) = (one.expect("starts"), other.expect("starts"));
    assert_ne!(one.endpoint_url(), other.endpoint_url());
    let streams = |service: &EmbeddedKinesis| {
        let client = kinesis(service.endpoint_url());
        block_on(async { client.list_streams().send().await.expect("listed").stream_names })
    };
    block_on(create_stream(&kinesis(one.endpoint_url()), "s"));
    assert_eq!(streams(&one), ["s"]);
    assert_eq!(streams(&other), [""; 0]);
}

#[test]
fn stack_serves_several_clients() {
    let options = StackOptions::of(["kinesis", "dynamodb"]);
    let mut stack = bench_testing::alone("embedded services", &options).expect("needs nothing");
    let versions: Vec<String> =
        stack.stack().nodes().into_iter().map(|node| node.version).collect();
    assert_eq!(versions, ["ferrokinesis 0.7.0", "dynoxide 3.2.0"]);
    assert_eq!(stack.variable("AWS_REGION"), "us-east-1");
    assert!(!stack.variable("AWS_ACCESS_KEY_ID").is_empty());
    assert!(!stack.variable("AWS_SECRET_ACCESS_KEY").is_empty());
    let kinesis = kinesis(stack.variable("AWS_ENDPOINT_URL_KINESIS"));
    let dynamodb = dynamodb(stack.variable("AWS_ENDPOINT_URL_DYNAMODB"));
    block_on(async {
        create_stream(&kinesis, "s").await;
        put(&kinesis, "s", "hello").await;
        assert_eq!(all_records(&kinesis, "s").await, ["hello"]);
        create_table(&dynamodb, "rows").await;
    });
    let pids: Vec<Pid> =
        stack.stack().nodes().iter().map(|node| pid(node.pid.expect("it runs"))).collect();
    let started = Instant::now();
    stack.stack_mut().down(&mut |_| ()).expect("down");
    assert!(started.elapsed() < Duration::from_secs(5), "took {:?}", started.elapsed());
    for pid in pids {
        assert!(test_kill_process(pid).is_err() || is_zombie(pid), "it is still there");
    }
}

#[test]
fn killed_node_restarts_empty() {
    let options = StackOptions::of(["kinesis"]);
    let mut stack = bench_testing::alone("a killed stand-in", &options).expect("needs nothing");
    let client = kinesis(stack.variable("AWS_ENDPOINT_URL_KINESIS"));
    block_on(create_stream(&client, "s"));
    stack.stack_mut().kill("kinesis").expect("killed");
    stack.stack_mut().start("kinesis", &mut |_| ()).expect("on the same port");
    let streams = block_on(client.list_streams().send()).expect("listed").stream_names;
    assert_eq!(streams, [""; 0], "they were in memory");
    stack.stack_mut().freeze("kinesis").expect("frozen");
    stack.stack_mut().thaw("kinesis").expect("thawed");
    block_on(create_stream(&client, "s"));
}

#[test]
fn dropped_services_end_their_processes() {
    let kinesis = EmbeddedKinesis::start(&KinesisLimits::default()).expect("starts");
    let dynamodb = EmbeddedDynamodb::start().expect("starts");
    let pids = [pid(kinesis.pid()), pid(dynamodb.pid())];
    for pid in pids {
        assert_ne!(pid, rustix::process::getpid());
        let group = getpgid(Some(pid)).expect("it runs");
        assert_ne!(group, rustix::process::getpgrp(), "a Ctrl-C must not reach it");
    }
    let started = Instant::now();
    drop((kinesis, dynamodb));
    for pid in pids {
        assert!(test_kill_process(pid).is_err(), "it is still there");
    }
    assert!(started.elapsed() < Duration::from_secs(2), "took {:?}", started.elapsed());
}

#[test]
fn other_programs_are_refused() {
    let error = |kind: &'static StandInKind, program: &str| {
        let started = StandInProcess::start_program(kind, program.into(), &7, "start a service");
        started.expect_err("no service").to_string()
    };
    let dead = error(&dynamodb_stand_in::KIND, "/bin/true");
    assert!(dead.contains("the embedded DynamoDB has ended"), "{dead}");
    let echo = error(&kinesis_stand_in::KIND, "/bin/echo");
    assert!(echo.contains(&format!("answered '{PROTOCOL} 7'")), "{echo}");
    let missing = error(&kinesis_stand_in::KIND, "/nonexistent");
    assert!(missing.contains("/nonexistent"), "{missing}");
    // As if the file of a running tool had been replaced by another version's.
    let program = kinesis_stand_in::KIND.find_program().expect("built");
    for arguments in [["0.0.0/0", "7"], [PROTOCOL, "7"]] {
        let other = Command::new(&program).args(arguments).output().expect("runs");
        assert!(!other.status.success());
        assert!(String::from_utf8_lossy(&other.stderr).contains("another version"), "{other:?}");
    }
}

fn kinesis(url: &str) -> aws_sdk_kinesis::Client {
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(url)
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .build();
    aws_sdk_kinesis::Client::from_conf(config)
}

fn dynamodb(url: &str) -> aws_sdk_dynamodb::Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
        .endpoint_url(url)
        .region(aws_sdk_dynamodb::config::Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .build();
    aws_sdk_dynamodb::Client::from_conf(config)
}

async fn create_stream(client: &aws_sdk_kinesis::Client, stream: &str) {
    client.create_stream().stream_name(stream).shard_count(1).send().await.expect("created");
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let found = client.describe_stream_summary().stream_name(stream).send().await;
        let summary = found.expect("described").stream_description_summary.expect("a summary");
        if summary.stream_status.as_str() == "ACTIVE" {
            return;
        }
        assert!(Instant::now() < deadline, "the stream is {}", summary.stream_status);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn put(client: &aws_sdk_kinesis::Client, stream: &str, text: &str) {
    let record = client.put_record().stream_name(stream).partition_key("k");
    record.data(Blob::new(text)).send().await.expect("put");
}

async fn all_records(client: &aws_sdk_kinesis::Client, stream: &str) -> Vec<String> {
    let iterator = client.get_shard_iterator().stream_name(stream).shard_id("0");
    let iterator = iterator.shard_iterator_type("TRIM_HORIZON".into()).send().await;
    let iterator = iterator.expect("an iterator").shard_iterator;
    let got = client.get_records().set_shard_iterator(iterator).send().await.expect("got");
    let text = |record: &aws_sdk_kinesis::types::Record| {
        String::from_utf8(record.data().as_ref().to_vec()).expect("text")
    };
    got.records().iter().map(text).collect()
}

async fn create_table(client: &aws_sdk_dynamodb::Client, table: &str) {
    let attribute = AttributeDefinition::builder()
        .attribute_name("id")
        .attribute_type(ScalarAttributeType::S)
        .build()
        .expect("complete");
    let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash).build();
    let request = client.create_table().table_name(table).attribute_definitions(attribute);
    let request = request.key_schema(key.expect("complete"));
    request.billing_mode(BillingMode::PayPerRequest).send().await.expect("created");
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

fn pid(number: u32) -> Pid {
    i32::try_from(number).ok().and_then(Pid::from_raw).expect("a process id")
}
