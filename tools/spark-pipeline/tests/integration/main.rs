//! The tool as a user runs it.

mod command_line;
mod recovery;
mod spark;

/// The tool under test.
const TOOL: &str = env!("CARGO_BIN_EXE_spark-pipeline");
