//! Services that come with the tools: nothing to install, up in milliseconds, gone with the run.
//!
//! Each is a server on loopback, in a process of its own so that it does not count as the client's
//! CPU. That process is the running program itself, started again with a hidden first argument; a
//! program that wants to offer the services calls [`run_if_requested`] first of all. Figures taken
//! against them are the client's ceiling on loopback, never the performance of what they stand for.
//!
//! Tests of the crates that talk to Kinesis, `DynamoDB` or S3 start them in their own process
//! instead: [`kinesis::serve_in_background`], [`dynamodb::serve_in_background`] and
//! [`s3::serve_in_background`].

pub mod dynamodb;
mod kafka;
pub mod kinesis;
pub(crate) mod lambda;
mod process;
pub mod s3;
mod serving;

use std::ffi::OsStr;
use std::io::Write;
use std::panic;
use std::process::ExitCode;

use bench_core::system::{self, plain};

pub use dynamodb::EmbeddedDynamodb;
pub use kafka::{
    BACKLOG_MAX_BATCHES, BACKLOG_MAX_BYTES, BROKERS_MAX, EmbeddedKafka, FETCH_WAIT_MS,
    PARTITIONS_MAX,
};
pub use kinesis::{EmbeddedKinesis, KinesisLimits};
pub use s3::EmbeddedS3;

use process::{Kind, Reply};
use serving::ServeError;

/// All that this program can become, and what it then does with its second argument until whoever
/// started it has gone.
type Service = (&'static Kind, fn(&OsStr) -> Result<(), ServeError>);
const SERVICES: [Service; 5] = [
    (&kafka::KIND, kafka::serve),
    (&kinesis::KIND, kinesis::serve),
    (&dynamodb::KIND, dynamodb::serve),
    (&s3::KIND, s3::serve),
    (&lambda::KIND, lambda::serve),
];

/// The threads without which no service can do its work.
const THREADS_LEAST: u64 = 6;

/// Becomes an embedded service when this process was started for that: returns its exit code once
/// whoever started it has gone. Otherwise returns nothing, at once.
///
/// To be called first in `main`, before options are parsed:
/// `if let Some(code) = run_if_requested() { return code; }`
#[must_use]
pub fn run_if_requested() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let first = arguments.next()?;
    let (kind, serve) = SERVICES.into_iter().find(|(kind, _)| first == kind.argument)?;
    system::survive_file_size_limit();
    tell_refusals(kind);
    if let Err(error) = system::reserve_threads(THREADS_LEAST) {
        // Before it becomes a panic of a library, or its abort.
        let reason = system::start_thread_error(&error);
        // Nobody who could be told is left if that fails.
        let _ = serving::say(&Reply::Failed(format!("no thread can be started: {reason}")));
        return Some(ExitCode::FAILURE);
    }
    Some(match serve(&arguments.next().unwrap_or_default()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The parent's log is not ours to write to; standard error is the same for both.
            let _ = writeln!(std::io::stderr(), "{}: {}", kind.name, plain(&error.to_string()));
            ExitCode::FAILURE
        }
    })
}

/// Has a library's panic over a thread or memory that the system refused end this process with one
/// sentence: without the thread the service would be up and never answer.
fn tell_refusals(kind: &'static Kind) {
    let others = panic::take_hook();
    panic::set_hook(Box::new(move |panic| match system::refusal(panic.payload()) {
        Some(refusal) => {
            let _ = writeln!(std::io::stderr(), "{}: {refusal}", kind.name);
            std::process::exit(1);
        }
        None => others(panic),
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Results name versions, which are those that the program was built with.
    #[test]
    fn versions_are_those_of_the_lock_file() {
        let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock");
        let lock = std::fs::read_to_string(lock).expect("readable");
        let s3_version = s3::VERSION.trim_end_matches(", no fsync");
        let crates = [
            ("ferrokinesis", kinesis::VERSION),
            ("dynoxide-rs", dynamodb::VERSION),
            ("s3s", s3_version),
        ];
        for (name, shown) in crates {
            let (_, rest) = lock.split_once(&format!("name = \"{name}\"\n")).expect("locked");
            let (_, version) = shown.split_once(' ').expect("a name and a version");
            assert!(rest.starts_with(&format!("version = \"{version}\"\n")), "{name}: {shown}");
        }
    }
}
