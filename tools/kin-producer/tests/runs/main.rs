//! The tool on its own embedded Kinesis, and on one that outlives it.

mod books;
mod command_line;
mod embedded;
mod interrupt;
mod kinesis;
mod named;

const TOOL: &str = env!("CARGO_BIN_EXE_kin-producer");
