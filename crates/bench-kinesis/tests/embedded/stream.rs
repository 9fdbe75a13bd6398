//! An embedded Kinesis in a thread, with a stream, and what is needed to see what is in it.

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::ShardIteratorType;
use bench_aws::{AwsArgs, SdkConfig};
use bench_kinesis::admin::{self, Capacity, Shard};
use bench_service_kinesis::stand_in::KinesisLimits;
use clap::Parser;
use embedded_kinesis::{KinesisServer, serve_in_background};
use tokio::runtime::Runtime;

pub(crate) const STREAM: &str = "s";

/// How long a stream may take to be ready.
pub(crate) const READY: Duration = Duration::from_secs(30);

#[derive(Parser)]
struct Connection {
    #[command(flatten)]
    aws: AwsArgs,
}

/// How clients of a service at this address are configured.
pub(crate) fn sdk_config(url: &str) -> SdkConfig {
    Connection::parse_from(["test"]).aws.embedded_config(url)
}

/// A server and a client of it.
pub(crate) struct Service {
    pub(crate) runtime: Runtime,
    pub(crate) client: Client,
    pub(crate) sdk: SdkConfig,
    _server: KinesisServer,
}

/// A record as Kinesis keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) shard: String,
    pub(crate) key: String,
    pub(crate) data: Vec<u8>,
}

impl Service {
    pub(crate) fn start(enforce_writes: bool) -> Self {
        let limits = KinesisLimits { enforce_writes, ..KinesisLimits::default() };
        let server = serve_in_background(&limits).expect("a server");
        let sdk = sdk_config(server.endpoint_url());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let client = Client::new(&sdk);
        Self { runtime: runtime.expect("a runtime"), client, sdk, _server: server }
    }

    /// The same with a stream; returns its shards.
    pub(crate) fn with_stream(enforce_writes: bool, shards: u32) -> (Self, Vec<Shard>) {
        let service = Self::start(enforce_writes);
        let client = &service.client;
        let shards = service.runtime.block_on(async {
            let capacity = Capacity::Shards(shards);
            admin::create(client, STREAM, capacity, READY).await.expect("created");
            admin::open_shards(client, STREAM).await.expect("shards")
        });
        (service, shards)
    }

    /// Everything in the stream, shard by shard, closed ones too.
    pub(crate) fn stored(&self) -> Vec<Stored> {
        self.runtime.block_on(async {
            let shards = admin::list_shards(&self.client, STREAM).await.expect("shards");
            let mut stored = Vec::new();
            for shard in shards {
                self.read_shard(&shard.id, &mut stored).await;
            }
            stored
        })
    }

    async fn read_shard(&self, shard: &str, stored: &mut Vec<Stored>) {
        let request = self.client.get_shard_iterator().stream_name(STREAM).shard_id(shard);
        let request = request.shard_iterator_type(ShardIteratorType::TrimHorizon);
        let mut next = request.send().await.expect("an iterator").shard_iterator;
        while let Some(iterator) = next {
            let answer = self.client.get_records().shard_iterator(iterator).send().await;
            let answer = answer.expect("records");
            if answer.records.is_empty() {
                return;
            }
            stored.extend(answer.records.into_iter().map(|record| Stored {
                shard: shard.to_owned(),
                key: record.partition_key.expect("a key"),
                data: record.data.into_inner(),
            }));
            next = answer.next_shard_iterator;
        }
    }
}
