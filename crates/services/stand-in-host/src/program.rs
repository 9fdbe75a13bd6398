//! The `main` of a stand-in's program.

use std::io::Write;
use std::panic;
use std::process::ExitCode;

use bench_core::system::{self, plain};
use bench_stand_in::{PROTOCOL, Reply, StandInKind};

use crate::{HostError, say};

/// The threads that a stand-in needs at least.
const THREADS_MIN: u64 = 6;

/// Runs a stand-in: checks that the program which started it was built with it, then calls `serve`
/// with the stand-in's argument, JSON.
pub fn main_of(
    kind: &'static StandInKind,
    serve: impl FnOnce(&str) -> Result<(), HostError>,
) -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(protocol), Some(argument), None) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        report(&format!(
            "{} {}: started by the tools of the benchmark as {}; not for use by hand",
            kind.program,
            env!("CARGO_PKG_VERSION"),
            kind.name
        ));
        return ExitCode::from(2);
    };
    if protocol != PROTOCOL {
        report(&format!(
            "{}: started by a program of another version; build both again with `cargo build \
             --release`",
            kind.program
        ));
        // If that fails, nobody is left to be told.
        let _ = say(&Reply::OtherVersion);
        return ExitCode::FAILURE;
    }
    system::survive_file_size_limit();
    report_refusals(kind);
    if let Err(error) = system::reserve_threads(THREADS_MIN) {
        // Before it becomes a panic or an abort inside a library.
        let reason = system::start_thread_error(&error);
        let _ = say(&Reply::Failed(format!("no thread can be started: {reason}")));
        return ExitCode::FAILURE;
    }
    match serve(&argument) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&format!("{}: {}", kind.name, plain(&error.to_string())));
            ExitCode::FAILURE
        }
    }
}

/// Turns a library's panic over a refused thread or memory into one sentence and the end of this
/// process: without the thread, the service would be up and never answer.
fn report_refusals(kind: &'static StandInKind) {
    let others = panic::take_hook();
    panic::set_hook(Box::new(move |panic| match system::refusal(panic.payload()) {
        Some(refusal) => {
            report(&format!("{}: {refusal}", kind.name));
            std::process::exit(1);
        }
        None => others(panic),
    }));
}

/// Standard error is that of the tool, whose log this process cannot write to.
fn report(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
