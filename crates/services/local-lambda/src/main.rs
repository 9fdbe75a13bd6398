//! The program that runs a Lambda function on this machine, which a stack starts.

use std::process::ExitCode;

use bench_service_lambda::KIND;
use bench_stand_in_host::main_of;

fn main() -> ExitCode {
    main_of(&KIND, local_lambda::serve)
}
