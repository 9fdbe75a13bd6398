//! A Lambda function that lands a Kinesis stream in `MySQL`.

use std::process::ExitCode;

use bench_lambda::LandingSystem;

fn main() -> ExitCode {
    bench_lambda::run(LandingSystem::Mysql)
}
