//! Receiving: the shards of a stream as the engine's [`Receive`](bench_core::transport::Receive)
//! transport, by polling or by enhanced fan-out.

mod fan_out;
mod lineage;
mod listing;
mod pace;
mod reader;
mod receiver;
mod retry;
mod sharing;

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

/// Why the reading of a stream could not begin.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// A request failed for good.
    #[error(transparent)]
    Kinesis(#[from] KinesisError),
    /// Reading is to begin in a shard that is not there.
    #[error(transparent)]
    NoSuchShard(#[from] NoSuchShard),
    /// A consumer was registered, and shards cannot be subscribed to.
    #[error(
        "consumer '{name}' is not active {timeout:?} after it was registered; try again, or read \
         without enhanced fan-out"
    )]
    ConsumerNotActive {
        /// Its name.
        name: String,
        /// How long was waited.
        timeout: Duration,
    },
}

impl From<AwsError> for ReceiveError {
    fn from(error: AwsError) -> Self {
        Self::Kinesis(error.into())
    }
}

/// A client for readers of shards: they make failed calls again themselves, so that these are
/// counted. Its connections belong to the runtime that it is first used on.
#[must_use]
pub fn reading_client(config: &SdkConfig) -> Client {
    let config = Builder::from(config)
        .retry_config(RetryConfig::disabled())
        // A subscription is silent for as long as nothing is put into its shard.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    Client::from_conf(config.build())
}

/// A runtime that makes progress only while something waits for it on its own thread, so that no
/// answer is handed from one thread to another.
fn current_thread_runtime() -> Result<Runtime, KinesisError> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().map_err(KinesisError::Runtime)
}
