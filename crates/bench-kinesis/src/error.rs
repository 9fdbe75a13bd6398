//! What can go wrong with Kinesis: what was attempted, on what, and what helps.

use std::time::Duration;

use bench_aws::AwsError;

/// Why something asked of Kinesis did not work.
#[derive(Debug, thiserror::Error)]
pub enum KinesisError {
    /// The stream is not there.
    #[error(
        "there is no stream '{stream}'; name another one with --stream, or create it with \
         kin-producer --create"
    )]
    NoStream {
        /// Its name.
        stream: String,
    },
    /// A request failed for good.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// A stream did not become usable, or did not go away, in time.
    #[error(
        "stream '{stream}' is still {status} after {waited:?}; wait until it is not, or give it \
         more time with --ready-timeout"
    )]
    NotReady {
        /// Its name.
        stream: String,
        /// What the service says of it, in capitals.
        status: String,
        /// How long it was given.
        waited: Duration,
    },
    /// A shard cannot be what was described.
    #[error("shard {shard} of stream '{stream}' has no valid range of hash keys")]
    HashKeys {
        /// The stream.
        stream: String,
        /// The shard.
        shard: String,
    },
    /// The runtime of a connection did not start.
    #[error("failed to start a connection's runtime; ask for fewer producers and consumers")]
    Runtime(#[source] std::io::Error),
}
