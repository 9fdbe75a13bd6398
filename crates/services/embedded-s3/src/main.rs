//! The program of the embedded S3, which tools start.

use std::process::ExitCode;

use bench_service_s3::stand_in::KIND;
use bench_stand_in_host::main_of;

fn main() -> ExitCode {
    main_of(&KIND, embedded_s3::serve)
}
