//! A stream on an embedded service, and the tool in its own folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use bench_core::audit::{AckLedger, StreamId};
use bench_core::clock::{Clock as _, SystemClock};
use bench_core::message::RunId;
use bench_core::message::header::HeaderWriter;
use bench_record::{RunDocument, file_names};
use bench_service_kinesis::stand_in::KinesisLimits;
use bench_testing::tool::{self, ToolOutput};
use embedded_kinesis::{KinesisServer, serve_in_background};
use tokio::runtime::Runtime;

/// The stream of every test.
pub(crate) const STREAM: &str = "books";

/// A service with one stream, and a folder in which the tool runs.
pub(crate) struct Sandbox {
    tool: tool::Sandbox,
    server: KinesisServer,
    runtime: Runtime,
    client: Client,
}

impl Sandbox {
    pub(crate) fn new(shards: i32) -> Self {
        Self::with_limits(shards, &KinesisLimits { enforce_writes: false, ..Default::default() })
    }

    pub(crate) fn with_limits(shards: i32, limits: &KinesisLimits) -> Self {
        let server = serve_in_background(limits).expect("a service");
        let config = aws_sdk_kinesis::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(server.endpoint_url())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .build();
        let client = Client::from_conf(config);
        let runtime = Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let request = client.create_stream().stream_name(STREAM).shard_count(shards);
            request.send().await.expect("created");
            loop {
                let request = client.describe_stream_summary().stream_name(STREAM);
                let summary = request.send().await.expect("described").stream_description_summary;
                if summary.expect("a summary").stream_status.as_str() == "ACTIVE" {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        let tool = tool::Sandbox::new(env!("CARGO_BIN_EXE_kin-consumer"));
        Self { tool, server, runtime, client }
    }

    pub(crate) fn path(&self) -> &Path {
        self.tool.path()
    }

    pub(crate) fn endpoint_url(&self) -> &str {
        self.server.endpoint_url()
    }

    /// Puts the records, each with its own key.
    pub(crate) fn put(&self, records: &[Vec<u8>]) {
        for (index, batch) in records.chunks(400).enumerate() {
            let entry = |(place, data): (usize, &Vec<u8>)| {
                PutRecordsRequestEntry::builder()
                    .partition_key(format!("{}", index * 400 + place))
                    .data(Blob::new(data.clone()))
                    .build()
                    .expect("an entry")
            };
            let entries = batch.iter().enumerate().map(entry).collect();
            let request = self.client.put_records().stream_name(STREAM).set_records(Some(entries));
            let answer = self.runtime.block_on(request.send()).expect("put");
            assert_eq!(answer.failed_record_count, Some(0));
        }
    }

    pub(crate) fn put_texts(&self, records: &[&str]) {
        let records: Vec<Vec<u8>> = records.iter().map(|text| text.as_bytes().to_vec()).collect();
        self.put(&records);
    }

    /// Puts messages `numbers` of producer 0 of `run`, due now.
    pub(crate) fn put_messages(&self, run: RunId, numbers: std::ops::Range<u64>) {
        let clock = SystemClock::new();
        let header = HeaderWriter::new(run, 0, clock.origin());
        let message = |number| {
            let mut message = vec![b'x'; 100];
            header.seal(&mut message, number, clock.now_ns(), clock.now_ns());
            message
        };
        self.put(&numbers.map(message).collect::<Vec<_>>());
    }

    /// Creates the result folder of a run that acknowledged messages 0 to `last` of producer 0.
    pub(crate) fn sent(&self, run: RunId, last: u64) -> PathBuf {
        let mut ledger = AckLedger::default();
        ledger.insert_range(StreamId { run, producer: 0 }, 0, last);
        let folder = self.path().join("sent");
        std::fs::create_dir_all(&folder).expect("a folder");
        let text = serde_json::to_vec(&ledger.to_file(true)).expect("JSON");
        std::fs::write(folder.join(file_names::ACKED), text).expect("written");
        folder
    }

    /// The tool on the stream, without the caller's settings. `args` are separated by blanks.
    pub(crate) fn command(&self, args: &str) -> Command {
        let mut command = self.bare_command(args);
        command.args(["--stream", STREAM]);
        command.env("AWS_ENDPOINT_URL_KINESIS", self.endpoint_url());
        command.env("AWS_REGION", "us-east-1");
        command
    }

    /// The tool without a service in its environment.
    pub(crate) fn bare_command(&self, args: &str) -> Command {
        let mut command = self.tool.command(args);
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        command
    }

    pub(crate) fn run(&self, args: &str) -> ToolOutput {
        ToolOutput::of(self.command(args))
    }

    /// The names of the consumers registered with the stream.
    pub(crate) fn consumers(&self) -> Vec<String> {
        self.runtime.block_on(async {
            let summary = self.client.describe_stream_summary().stream_name(STREAM).send().await;
            let summary = summary.expect("described").stream_description_summary.expect("one");
            let listed = self.client.list_stream_consumers().stream_arn(summary.stream_arn);
            let listed = listed.send().await.expect("listed").consumers.unwrap_or_default();
            listed.into_iter().map(|consumer| consumer.consumer_name).collect()
        })
    }

    /// The document of the only run.
    pub(crate) fn document(&self) -> RunDocument {
        self.tool.document("results")
    }
}
