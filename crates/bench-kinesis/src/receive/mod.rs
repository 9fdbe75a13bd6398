//! Receives from a stream's shards by polling or enhanced fan-out, as the engine's
//! [`Receive`](bench_core::transport::Receive) transport.

mod assignment;
mod fan_out;
mod lineage;
mod listing;
mod pace;
mod reader;
mod receiver;
mod retry;

pub use fan_out::FanOutConsumer;
pub use lineage::shard_number;
pub use lineage::{NoSuchShard, ReadyShard, Shard, ShardStart, ShardTree, StreamStart};
pub use reader::{Polling, RECORDS_MAX, ShardBatch, ShardReader};
pub use receiver::{KinesisReceiver, Subscription};
pub use retry::ReadCounters;

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::{Builder, StalledStreamProtectionConfig};
use bench_aws::{AwsError, SdkConfig};
use tokio::runtime::Runtime;

use crate::KinesisError;

/// An error of starting to read a stream.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// A request failed for good.
    #[error(transparent)]
    Kinesis(#[from] KinesisError),
    /// The shard to start from does not exist.
    #[error(transparent)]
    NoSuchShard(#[from] NoSuchShard),
    /// A registered consumer did not become active in time.
    #[error(
        "consumer '{name}' is not active {timeout:?} after its registration; retry, or read \
         without enhanced fan-out"
    )]
    ConsumerNotActive {
        /// Its name.
        name: String,
        /// How long the wait was.
        timeout: Duration,
    },
}

impl From<AwsError> for ReceiveError {
    fn from(error: AwsError) -> Self {
        Self::Kinesis(error.into())
    }
}

/// Creates a client for shard readers, which retry failed calls themselves to count them. Its
/// connections belong to the runtime that first uses it.
#[must_use]
pub fn reading_client(config: &SdkConfig) -> Client {
    let config = Builder::from(config)
        .retry_config(RetryConfig::disabled())
        // A subscription is silent while no record is put into its shard.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    Client::from_conf(config.build())
}

/// Creates a runtime that makes progress only while its own thread waits for it, so that no answer
/// crosses threads.
fn current_thread_runtime() -> Result<Runtime, KinesisError> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().map_err(KinesisError::Runtime)
}
