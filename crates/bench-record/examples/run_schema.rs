//! Prints the JSON Schema of a document of the result folder: of `run.json`, or of `acked.json` when
//! told so by the argument `acked`. `docs/run.schema.json` and `docs/acked.schema.json` are its
//! output.

#![expect(clippy::print_stdout, reason = "that is what it is for")]

use bench_record::{LedgerFile, RunDocument};
use schemars::schema_for;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let schema = match std::env::args().nth(1).as_deref() {
        None | Some("run") => schema_for!(RunDocument),
        Some("acked") => schema_for!(LedgerFile),
        Some(other) => {
            return Err(format!("there is no schema `{other}`: ask for `run` or `acked`").into());
        }
    };
    println!("{}", serde_json::to_string_pretty(&schema)?);
    Ok(())
}
