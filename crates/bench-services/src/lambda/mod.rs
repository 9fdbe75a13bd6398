//! Lambda on this machine: the real function programs, fed from a Kinesis stream.
//!
//! Two things stand in for AWS here. A *Runtime API* server, one listener a worker, hands events to
//! programs that were built for Lambda, watches their time, and starts them again when they crash.
//! An *event source mapping* reads the shards of a stream, forms batches, invokes the function, and
//! tries again what failed, by the rules that AWS documents: batch size and window, parallelization
//! with the order kept for each partition key, retries, bisecting, the age of records, partial
//! failures, children after their parents, checkpoints.
//!
//! What differs from AWS: workers are not frozen between events, memory is not limited, throttling
//! is waiting for a worker, and a stream that is missing is waited for.

mod batch;
mod checkpoints;
mod config;
mod error;
mod event;
mod following;
mod function;
mod lane;
mod mapping;
mod progress;
mod report;
mod runtime_api;
mod shard;
mod state;
mod worker;

pub use config::{
    BATCH_SIZE_MAX, BATCHING_WINDOW_MAX_MS, CONCURRENCY_MAX, ConfigError, FunctionConfig,
    MappingConfig, MappingSettings, PARALLELIZATION_MAX, RECORD_AGE_MAX_S, RETRIES_MAX,
    StartingPosition, TIMEOUT_MAX_MS,
};
pub use error::MappingError;
pub use function::FunctionReport;
pub use mapping::{run, run_with};
pub use report::{GivenUp, MappingCounts, MappingReport, MappingState, REPORT_VERSION};
pub(crate) use state::REPORT_FILE;
