//! What all tests need: running the tool in a folder of its own, a Kinesis that it can be pointed to,
//! and reading what both keep.

use std::path::{Path, PathBuf};
use std::time::Duration;

use assert_cmd::Command;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::ShardIteratorType;
use bench_aws::AwsArgs;
use bench_core::audit::AckLedger;
use bench_core::message;
use bench_core::results::{RunDocument, RunFolder};
use bench_kinesis::admin;
use bench_kinesis::aggregation::deaggregate;
use bench_services::embedded::KinesisLimits;
use bench_services::embedded::kinesis::{KinesisServer, serve_in_background};
use clap::Parser;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A folder for one test, in which the tool runs.
pub(crate) struct Place(TempDir);

/// What the tool said and how it ended.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl std::fmt::Debug for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {}\n--- out\n{}--- err\n{}", self.code, self.stdout, self.stderr)
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The tool with none of the caller's settings. `args` are separated by blanks.
    pub(crate) fn command(&self, args: &str) -> std::process::Command {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kin-producer"));
        for (variable, _) in std::env::vars_os() {
            let name = variable.to_string_lossy();
            if name.starts_with("AWS_") || name.starts_with("BENCH_") || name == "RUST_LOG" {
                command.env_remove(&variable);
            }
        }
        // No credentials but those that a test gives.
        for file in ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
            command.env(file, "/dev/null");
        }
        command.env("AWS_EC2_METADATA_DISABLED", "true").current_dir(self.path());
        command.args(args.split_whitespace());
        command
    }

    /// The same with what is needed to use `kinesis`.
    pub(crate) fn command_on(&self, kinesis: &Kinesis, args: &str) -> std::process::Command {
        let mut command = self.command(args);
        command.env("AWS_ENDPOINT_URL_KINESIS", kinesis.server.endpoint_url());
        command.env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        command
    }

    pub(crate) fn run(&self, args: &str) -> Said {
        outcome(self.command(args))
    }

    pub(crate) fn run_on(&self, kinesis: &Kinesis, args: &str) -> Said {
        outcome(self.command_on(kinesis, args))
    }

    /// What is in the folder, by name.
    pub(crate) fn entries(&self) -> Vec<String> {
        names(self.path())
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).expect("written");
    }

    /// The folder of the only run.
    pub(crate) fn run_folder(&self) -> PathBuf {
        let results = self.path().join("results");
        match &names(&results)[..] {
            [run] => results.join(run),
            other => panic!("not one run: {other:?}"),
        }
    }

    /// The document of the only run.
    pub(crate) fn document(&self) -> RunDocument {
        let text = std::fs::read(self.run_folder().join(RunFolder::DOCUMENT));
        serde_json::from_slice(&text.expect("a document")).expect("of the schema")
    }

    /// What the only run has recorded as confirmed: producer and sequence number, in order.
    pub(crate) fn acked(&self) -> Vec<(u16, u64)> {
        let ledger = AckLedger::read(&self.run_folder()).expect("acked.json");
        let mut acked = Vec::new();
        for (stream, sequences) in ledger.streams() {
            for (first, last) in sequences.ranges() {
                acked.extend((first..=last).map(|sequence| (stream.producer, sequence)));
            }
        }
        acked.sort_unstable();
        acked
    }
}

/// Ends a tool that hangs: nothing here takes a minute.
pub(crate) fn outcome(command: std::process::Command) -> Said {
    let mut command = Command::from_std(command);
    let output = command.timeout(Duration::from_mins(1)).output().expect("it runs");
    Said {
        code: output.status.code().expect("it exits by itself"),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.expect("an entry").file_name().into_string().expect("text")
    };
    let mut names: Vec<_> = entries.map(name).collect();
    names.sort();
    names
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

    /// The messages of the benchmark in a stream: producer and sequence number, in order.
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
