//! Errors of Kinesis, each with a remedy.

use std::time::Duration;

use bench_aws::AwsError;

/// An error of a request to Kinesis.
#[derive(Debug, thiserror::Error)]
pub enum KinesisError {
    /// The stream does not exist.
    #[error(
        "stream '{stream}' does not exist; use another --stream, or create it with kin-producer \
         --create"
    )]
    NoStream {
        /// Its name.
        stream: String,
    },
    /// A request failed for good.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// A stream did not become usable, or did not go away, in time.
    #[error("stream '{stream}' is still {status} after {waited:?}; wait, or raise --ready-timeout")]
    NotReady {
        /// Its name.
        stream: String,
        /// Its status in the service, in capitals.
        status: String,
        /// How long the wait was.
        waited: Duration,
    },
    /// The service described a shard without a valid range of hash keys.
    #[error("shard {shard} of stream '{stream}' has no valid range of hash keys")]
    HashKeys {
        /// The stream.
        stream: String,
        /// The shard.
        shard: String,
    },
    /// The runtime of a connection did not start.
    #[error("failed to start a connection's runtime; use fewer producers and consumers")]
    Runtime(#[source] std::io::Error),
}
