//! Sending: an append writer as the engine's [`Publish`](bench_core::transport::Publish) transport.
//!
//! Messages are copied into column buffers on the engine's thread. A batch closes at the commit
//! interval, or earlier when it is large enough for a file. A runtime of the publisher's own then
//! encodes and uploads it as one data file, several at a time, and commits files in the order of
//! their batches. A commit takes every file uploaded by the time it begins, so a slow commit makes
//! the next one larger instead of building up a queue.
//!
//! A message is acknowledged only once its log entry is known to be in the table, and reported as
//! not written only if it can never appear. Everything else fails as in doubt.

mod batch;
mod checkpoints;
mod committer;
mod config;
mod counts;
mod data_file;
mod direct;
mod entry;
mod failure;
mod publisher;
mod retry;
mod rows;
mod standard;
#[cfg(test)]
mod tests;
mod uploader;

pub use config::{CommitPath, Compression, FILE_BYTES_MAX, LOG_RETENTION_MIN, PublishConfig};
pub use publisher::DeltaPublisher;
