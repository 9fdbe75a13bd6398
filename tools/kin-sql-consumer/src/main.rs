//! Measures rows landed in `MySQL`.

use std::process::ExitCode;

fn main() -> ExitCode {
    bench_landed::main::<bench_landed::MysqlConnection>()
}
