//! A stream, a table, and the mapping between them with the real function.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use bench_core::clock::{BootId, ClockOrigin};
use bench_core::message::header::{HEADER_BYTES, HeaderWriter};
use bench_core::message::{RunId, decode};
use bench_service_kinesis::stand_in::KinesisLimits;
use bench_service_lambda::{FunctionConfig, MappingConfig, MappingSettings};
use embedded_dynamodb::{self as dynamodb, DynamodbServer};
use embedded_kinesis::{self as kinesis, KinesisServer};
use local_lambda::{MappingReport, run_with};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Long enough for the slowest machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long the rows must stay the same for nothing more to be coming.
const QUIET: Duration = Duration::from_millis(300);

/// A stream and an empty table for one test.
pub(crate) struct Bench {
    runtime: Runtime,
    pub(crate) stream: String,
    pub(crate) kinesis: aws_sdk_kinesis::Client,
    dynamodb: aws_sdk_dynamodb::Client,
    sdk: SdkConfig,
    pub(crate) state: TempDir,
    pub(crate) run: RunId,
    _kinesis_server: KinesisServer,
    dynamodb_server: DynamodbServer,
}

/// A row of the table, as far as the tests look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LandedRow {
    pub(crate) sequence: u64,
    pub(crate) key: String,
    pub(crate) received_ns: u64,
    pub(crate) message: Vec<u8>,
}

impl Bench {
    pub(crate) fn new(stream: &str, shards: u32) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let limits = KinesisLimits { enforce_writes: false, ..KinesisLimits::default() };
        let kinesis_server = kinesis::serve_in_background(&limits).expect("a stream service");
        let dynamodb_server = dynamodb::serve_in_background().expect("a table service");
        let sdk = sdk_config(kinesis_server.endpoint_url());
        let bench = Self {
            kinesis: aws_sdk_kinesis::Client::new(&sdk),
            dynamodb: aws_sdk_dynamodb::Client::new(&sdk_config(dynamodb_server.endpoint_url())),
            runtime,
            stream: stream.to_owned(),
            sdk,
            state: tempfile::tempdir().expect("a folder"),
            run: RunId::random(),
            _kinesis_server: kinesis_server,
            dynamodb_server,
        };
        bench.create_stream(shards);
        bench
    }

    pub(crate) fn wait_for<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub(crate) fn create_stream(&self, shards: u32) {
        let shards = i32::try_from(shards).expect("few");
        self.wait_for(async {
            let request = self.kinesis.create_stream().stream_name(&self.stream);
            request.shard_count(shards).send().await.expect("created");
        });
        self.await_active();
    }

    pub(crate) fn await_active(&self) {
        self.until("the stream is active", || {
            let describe = self.kinesis.describe_stream_summary().stream_name(&self.stream);
            let answer = self.wait_for(describe.send()).expect("described");
            let summary = answer.stream_description_summary().expect("a summary");
            summary.stream_status().as_str() == "ACTIVE"
        });
    }

    /// A message of the test's run.
    pub(crate) fn message(&self, sequence: u64) -> Vec<u8> {
        let origin = ClockOrigin { boot: BootId::current(), wall_offset_ns: 0 };
        let mut message = vec![u8::try_from(sequence % 251).expect("small"); HEADER_BYTES + 60];
        HeaderWriter::new(self.run, 0, origin).seal(&mut message, sequence, 1, 2);
        message
    }

    /// Puts records; returns their sequence numbers in the stream.
    pub(crate) fn put(&self, records: impl IntoIterator<Item = (String, Vec<u8>)>) -> Vec<String> {
        let entries: Vec<PutRecordsRequestEntry> = records
            .into_iter()
            .map(|(key, data)| {
                let entry = PutRecordsRequestEntry::builder().partition_key(key);
                entry.data(Blob::new(data)).build().expect("complete")
            })
            .collect();
        let mut numbers = Vec::new();
        for chunk in entries.chunks(500) {
            let request = self.kinesis.put_records().stream_name(&self.stream);
            let answer = self.wait_for(request.set_records(Some(chunk.to_vec())).send());
            let answer = answer.expect("accepted");
            assert_eq!(answer.failed_record_count(), Some(0));
            numbers.extend(
                answer.records().iter().map(|r| r.sequence_number().expect("one").to_owned()),
            );
        }
        numbers
    }

    /// Puts these messages of the run, all with the same key.
    pub(crate) fn put_messages(&self, sequences: std::ops::Range<u64>) -> Vec<String> {
        self.put(sequences.map(|sequence| ("key".to_owned(), self.message(sequence))))
    }

    pub(crate) fn config(&self, settings: MappingSettings) -> MappingConfig {
        let mut function = FunctionConfig::new("kin-lambda", env!("CARGO_BIN_EXE_kin-lambda"));
        let mut set =
            |name: &str, value: &str| function.environment.insert(name.into(), value.into());
        set("AWS_ENDPOINT_URL_DYNAMODB", self.dynamodb_server.endpoint_url());
        set("AWS_ACCESS_KEY_ID", "test");
        set("AWS_SECRET_ACCESS_KEY", "test");
        set("BENCH_CREATE_TABLE", "on");
        set("TABLE_NAME", &self.stream);
        MappingConfig {
            stream: self.stream.clone(),
            function,
            settings,
            state_dir: self.state.path().to_owned(),
        }
    }

    pub(crate) fn start(&self, config: MappingConfig) -> RunningMapping {
        let stop = Arc::new(AtomicBool::new(false));
        let (sdk, stopped) = (self.sdk.clone(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime");
            runtime.block_on(run_with(&config, &sdk, &stopped)).expect("runs")
        });
        RunningMapping { stop, thread: Some(thread) }
    }

    /// All rows, in no order.
    pub(crate) fn rows(&self) -> Vec<LandedRow> {
        let scan = self.dynamodb.scan().table_name(&self.stream).consistent_read(true);
        let items =
            self.wait_for(scan.into_paginator().items().send().collect::<Result<Vec<_>, _>>());
        // The table is made by the function's first worker.
        let Ok(items) = items else { return Vec::new() };
        items.iter().filter_map(|item| self.landed(item)).collect()
    }

    fn landed(
        &self,
        item: &std::collections::HashMap<String, AttributeValue>,
    ) -> Option<LandedRow> {
        // Confirmations have no message.
        let message = item.get("message")?.as_b().expect("bytes").as_ref().to_vec();
        let header = decode(&message).expect("a message");
        assert_eq!(header.run, self.run);
        let number = |name: &str| item[name].as_n().expect("a number").parse().expect("a number");
        let key = item["key"].as_b().expect("bytes").as_ref().to_vec();
        Some(LandedRow {
            sequence: header.sequence,
            key: String::from_utf8(key).expect("text"),
            received_ns: number("received_ns"),
            message,
        })
    }

    /// How often each message is in the table.
    pub(crate) fn counts(&self) -> BTreeMap<u64, usize> {
        let mut counts = BTreeMap::new();
        for row in self.rows() {
            *counts.entry(row.sequence).or_default() += 1;
        }
        counts
    }

    /// Waits until the table has these messages, and until nothing more comes.
    pub(crate) fn await_messages(&self, sequences: impl IntoIterator<Item = u64>) {
        let expected: Vec<u64> = sequences.into_iter().collect();
        self.until("all rows are there", || {
            let counts = self.counts();
            expected.iter().all(|sequence| counts.contains_key(sequence))
        });
        let mut before = self.counts();
        loop {
            std::thread::sleep(QUIET);
            let now = self.counts();
            if now == before {
                break;
            }
            before = now;
        }
        assert_eq!(before.into_keys().collect::<Vec<_>>(), expected);
    }

    pub(crate) fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let started = Instant::now();
        while !is_so() {
            assert!(
                started.elapsed() < PATIENCE,
                "waited for this in vain: {what}\n{}\n{}\n{}",
                self.state_file("mapping.json"),
                self.state_file("checkpoints.json"),
                self.function_log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn function_log(&self) -> String {
        self.state_file("function.log")
    }

    fn state_file(&self, name: &str) -> String {
        std::fs::read_to_string(self.state.path().join(name)).unwrap_or_default()
    }

    pub(crate) fn report(&self) -> Option<MappingReport> {
        read_json(&self.state.path().join("mapping.json"))
    }

    /// What was given up: why, and the sequence numbers.
    pub(crate) fn given_up(&self) -> Vec<(String, Vec<String>)> {
        let file = self.state.path().join("given-up.jsonl");
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let line = |line| {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let numbers = line["sequenceNumbers"].as_array().expect("a list").iter();
            let numbers = numbers.map(|number| number.as_str().expect("text").to_owned());
            (line["condition"].as_str().expect("text").to_owned(), numbers.collect())
        };
        text.lines().map(line).collect()
    }

    pub(crate) fn dynamodb_address(&self) -> std::net::SocketAddr {
        let url = self.dynamodb_server.endpoint_url();
        url.trim_start_matches("http://").trim_end_matches('/').parse().expect("an address")
    }

    /// The function's workers.
    pub(crate) fn workers(&self) -> Vec<rustix::process::Pid> {
        let mark = format!("TABLE_NAME={}", self.stream);
        let entries = std::fs::read_dir("/proc").expect("Linux").flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let is_worker = |pid: &i32| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        };
        pids.filter(is_worker).filter_map(rustix::process::Pid::from_raw).collect()
    }
}

fn sdk_config(endpoint_url: &str) -> SdkConfig {
    let credentials = Credentials::new("test", "test", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .endpoint_url(endpoint_url)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// A mapping at work. Stops when it is dropped.
pub(crate) struct RunningMapping {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<MappingReport>>,
}

impl RunningMapping {
    /// Stops it and waits for its last word.
    pub(crate) fn stop(mut self) -> MappingReport {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("stopped once").join().expect("no panic")
    }
}

impl Drop for RunningMapping {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
