//! The tool as a user runs it: on its own embedded S3, on one that outlives it, on a real server,
//! and in folders.

mod command_line;
mod embedded;
mod failures;
mod faults;
mod folder;
mod interrupt;
mod local;
mod maintain;
mod named;
mod secrets;
mod tables;

const TOOL: &str = env!("CARGO_BIN_EXE_delta-producer");
