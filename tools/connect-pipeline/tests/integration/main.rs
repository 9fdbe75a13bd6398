//! The tool as a user runs it.

mod command_line;
mod connect;
mod stand_in;

/// The tool under test.
const TOOL: &str = env!("CARGO_BIN_EXE_connect-pipeline");
