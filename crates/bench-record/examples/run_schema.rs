//! Prints the JSON Schema of a document in the result folder: `run.json`, or `acked.json` with the
//! argument `acked`. `docs/run.schema.json` and `docs/acked.schema.json` are its output.

#![expect(clippy::print_stdout, reason = "its purpose is to print")]

use bench_record::{LedgerFile, RunDocument};
use schemars::schema_for;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let schema = match std::env::args().nth(1).as_deref() {
        None | Some("run") => schema_for!(RunDocument),
        Some("acked") => schema_for!(LedgerFile),
        Some(other) => {
            return Err(format!("unknown schema `{other}`: use `run` or `acked`").into());
        }
    };
    println!("{}", serde_json::to_string_pretty(&schema)?);
    Ok(())
}
