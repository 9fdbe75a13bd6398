//! Lambda on this machine: the real function programs, fed from a Kinesis stream.
//!
//! Two parts replace AWS here. A *Runtime API* server, one listener per worker, hands events to
//! programs built for Lambda, limits their time, and restarts them when they crash. An *event
//! source mapping* reads the shards of a stream, forms batches, invokes the function and retries
//! failures by the rules that AWS documents: batch size and window, parallelization with the order
//! of each partition key kept, retries, bisecting, the age of records, partial failures, children
//! after their parents, checkpoints.
//!
//! Differences from AWS: workers are not frozen between events, memory is not limited, throttling
//! waits for a worker, and a missing stream is waited for.

mod batch;
mod checkpoints;
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

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bench_service_lambda::MappingConfig;
use bench_stand_in_host::{HostError, argument};
use serde_json::json;
use signal_hook::consts::SIGTERM;

pub use error::MappingError;
pub use function::FunctionReport;
pub use mapping::{run, run_with};
pub use report::{GivenUp, MappingCounts, MappingReport, MappingState, REPORT_VERSION};

/// Runs the process of a function with the mapping that feeds it. On SIGTERM it finishes what is in
/// progress, and checkpoints are kept.
pub fn serve(text: &str) -> Result<(), HostError> {
    let path: PathBuf = argument(text)?;
    let config = fs::read(&path).map_err(|source| HostError::Config { path, source })?;
    let config: MappingConfig = serde_json::from_slice(&config).map_err(HostError::Argument)?;
    let stop = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGTERM, Arc::clone(&stop)).map_err(HostError::service)?;
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    let report = run(&config, &stop).map_err(HostError::service)?;
    // Into the log, which outlives the state.
    tracing::info!(report = %json!(report), "ended");
    Ok(())
}
