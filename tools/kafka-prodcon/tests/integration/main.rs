//! The tool as a user runs it.

mod broker;
mod command_line;
mod embedded;
mod interrupt;
mod landing;
mod metrics;
mod real_kafka;
mod secrets;

/// The tool under test.
const TOOL: &str = env!("CARGO_BIN_EXE_kafka-prodcon");
