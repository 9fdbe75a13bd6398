//! The program of the embedded Kinesis, which tools start.

use std::process::ExitCode;

use bench_service_kinesis::stand_in::KIND;
use bench_stand_in_host::main_of;

fn main() -> ExitCode {
    main_of(&KIND, embedded_kinesis::serve)
}
