//! A Kinesis for the tool, and access to its records and the tool's results.

use std::process::Command;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::ShardIteratorType;
use bench_aws::AwsArgs;
use bench_core::audit::AckLedger;
use bench_core::message;
use bench_kinesis::admin;
use bench_kinesis::aggregation::deaggregate;
use bench_record::RunDocument;
use bench_service_kinesis::stand_in::KinesisLimits;
use bench_testing::tool::{Sandbox, ToolOutput};
use clap::Parser;
use embedded_kinesis::{KinesisServer, serve_in_background};
use tokio::runtime::Runtime;

/// The messages that the only run recorded as acknowledged: producer and sequence number, in order.
pub(crate) fn acked(sandbox: &Sandbox) -> Vec<(u16, u64)> {
    let ledger = AckLedger::read(&sandbox.run_folder("results")).expect("acked.json");
    let mut acked = Vec::new();
    for (stream, sequences) in ledger.streams() {
        for (first, last) in sequences.ranges() {
            acked.extend((first..=last).map(|sequence| (stream.producer, sequence)));
        }
    }
    acked.sort_unstable();
    acked
}

/// A count of a run.
pub(crate) fn count(document: &RunDocument, name: &str) -> u64 {
    let summary = document.summary.as_ref().expect("figures");
    summary.counts.get(name).copied().unwrap_or_else(|| panic!("no {name}: {:?}", summary.counts))
}

/// A Kinesis that outlives the tool.
pub(crate) struct Kinesis {
    server: KinesisServer,
    pub(crate) client: Client,
    pub(crate) runtime: Runtime,
}

#[derive(Parser)]
struct Connection {
    #[command(flatten)]
    aws: AwsArgs,
}

/// What a user put into the stream: partition key and data.
pub(crate) type User = (String, Vec<u8>);

impl Kinesis {
    pub(crate) fn start(enforce_writes: bool) -> Self {
        let limits = KinesisLimits { enforce_writes, ..KinesisLimits::default() };
        let server = serve_in_background(&limits).expect("a server");
        let sdk = Connection::parse_from(["test"]).aws.embedded_config(server.endpoint_url());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Self { server, client: Client::new(&sdk), runtime: runtime.expect("a runtime") }
    }

    /// The tool in `sandbox`, configured for this service. `args` are separated by blanks.
    pub(crate) fn command(&self, sandbox: &Sandbox, args: &str) -> Command {
        let mut command = sandbox.command(args);
        command.env("AWS_ENDPOINT_URL_KINESIS", self.server.endpoint_url());
        command.env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        command
    }

    /// Runs the tool to its end.
    pub(crate) fn run(&self, sandbox: &Sandbox, args: &str) -> ToolOutput {
        ToolOutput::of(self.command(sandbox, args))
    }

    /// The user records in a stream, shard by shard.
    pub(crate) fn users(&self, stream: &str) -> Vec<User> {
        self.runtime.block_on(async {
            let shards = admin::list_shards(&self.client, stream).await.expect("shards");
            let mut users = Vec::new();
            for shard in shards {
                self.read(stream, &shard.id, &mut users).await;
            }
            users
        })
    }

    async fn read(&self, stream: &str, shard: &str, users: &mut Vec<User>) {
        let request = self.client.get_shard_iterator().stream_name(stream).shard_id(shard);
        let request = request.shard_iterator_type(ShardIteratorType::TrimHorizon);
        let mut next = request.send().await.expect("an iterator").shard_iterator;
        while let Some(iterator) = next {
            let answer = self.client.get_records().shard_iterator(iterator).send().await;
            let answer = answer.expect("records");
            if answer.records.is_empty() {
                return;
            }
            for record in &answer.records {
                let outer = record.partition_key.as_deref().unwrap_or_default();
                let found = deaggregate(record.data.as_ref());
                users.extend(found.records().iter().map(|user| {
                    (user.partition_key.unwrap_or(outer).to_owned(), user.data.to_vec())
                }));
            }
            next = answer.next_shard_iterator;
        }
    }

    /// The benchmark's messages in a stream: producer and sequence number, in order.
    pub(crate) fn messages(&self, stream: &str) -> Vec<(u16, u64)> {
        let header = |(_, data): &User| {
            let header = message::decode(data).expect("a message, undamaged");
            (header.producer, header.sequence)
        };
        let mut messages: Vec<_> = self.users(stream).iter().map(header).collect();
        messages.sort_unstable();
        messages
    }
}
