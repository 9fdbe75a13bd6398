//! Prints the JSON Schema of `run.json`: `docs/run.schema.json` is its output.

#![expect(clippy::print_stdout, reason = "that is what it is for")]

fn main() -> Result<(), serde_json::Error> {
    let schema = schemars::schema_for!(bench_core::results::RunDocument);
    println!("{}", serde_json::to_string_pretty(&schema)?);
    Ok(())
}
