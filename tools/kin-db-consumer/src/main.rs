//! Measures rows landed in `DynamoDB`.

use std::process::ExitCode;

fn main() -> ExitCode {
    bench_landed::main::<bench_landed::DynamodbConnection>()
}
