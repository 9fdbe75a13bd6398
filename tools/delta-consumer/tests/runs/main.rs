//! The tool as a user runs it, on tables of the `delta-producer` next to it.

mod command_line;
mod following;
mod runs;
mod tables;
mod windows;

const TOOL: &str = env!("CARGO_BIN_EXE_delta-consumer");
