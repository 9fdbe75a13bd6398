//! Parts of tests: real servers, where the machine can run them, and [tools](tool) as users run
//! them.
//!
//! A test that needs a server asks for it first, and returns if it cannot be had:
//!
//! ```no_run
//! let Some(kafka) = bench_testing::broker("deleting records") else { return };
//! let servers = kafka.bootstrap_servers();
//! ```
//!
//! A skipped test is printed with the reason, past the test harness; with
//! `BENCH_TEST_LOCAL=require` in the environment it fails instead.

mod browser;
pub mod endpoint;
mod reaper;
mod s3;
mod silent;
pub mod tool;

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bench_services::SERVICES;
use bench_stack::{Cache, Stack, StackError, StackOptions};
use reaper::Reaper;
use tempfile::TempDir;

pub use browser::{Browser, Misdeeds};
pub use s3::S3;
pub use silent::Silent;

/// The environment variable that names a broker to use where any broker will do, `host:port`.
pub const KAFKA_VARIABLE: &str = "BENCH_TEST_KAFKA";

/// With `require` in this environment variable, tests that cannot run fail.
pub const LOCAL_VARIABLE: &str = "BENCH_TEST_LOCAL";

/// How long a test waits for the answer of a broker that shares the machine with other tests: its disk may
/// be busy for longer than a user would wait.
pub const BROKER_TIMEOUT: Duration = Duration::from_mins(1);

/// A broker with default settings: the one in `BENCH_TEST_KAFKA`, else one that this process's
/// tests share. Topics need names of their own. `test` names the test in the message if it is
/// skipped.
#[must_use]
pub fn broker(test: &str) -> Option<TestStack> {
    match std::env::var(KAFKA_VARIABLE) {
        Ok(servers) if !servers.is_empty() => {
            let environment = vec![(SERVERS.to_owned(), servers)];
            Some(TestStack { environment, stack: None, _running: None })
        }
        _ => local(test, &StackOptions::of(["kafka"])),
    }
}

/// A stack that all tests of this process with the same options share. They must leave its
/// processes alone.
#[must_use]
pub fn local(test: &str, options: &StackOptions) -> Option<TestStack> {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    // Small machines have no room for unused stacks.
    shared.retain(|other| &other.options == options || other.is_in_use());
    let index = shared.iter().position(|other| &other.options == options).unwrap_or_else(|| {
        let running = Running::start(options).map(Arc::new);
        shared.push(Shared { options: options.clone(), running });
        shared.len() - 1
    });
    let running = shared[index].running.clone();
    drop(shared);
    TestStack::of(test, running)
}

/// A stack for this test alone, which may do anything to it.
#[must_use]
pub fn alone(test: &str, options: &StackOptions) -> Option<TestStack> {
    TestStack::of(test, Running::start(options).map(Arc::new))
}

/// Whether a test can start such a stack, which it does itself.
///
/// # Panics
/// On other errors than missing programs, and as [`skip`] does.
#[must_use]
pub fn can_start(test: &str, options: &StackOptions) -> bool {
    let cache = Cache::from_environment();
    match cache.and_then(|cache| Stack::fetch(SERVICES, &cache, options, &mut |_| ())) {
        Ok(()) => true,
        Err(error) if error.is_missing() => {
            skip(test, &error.to_string());
            false
        }
        Err(error) => panic!("the parts of the local stack cannot be found: {}", whole(&error)),
    }
}

const SERVERS: &str = "KAFKA_BOOTSTRAP_SERVERS";

/// The stacks of [`local`]. The last one stays until the process ends, since another test may
/// follow.
static SHARED: Mutex<Vec<Shared>> = Mutex::new(Vec::new());

struct Shared {
    options: StackOptions,
    running: Result<Arc<Running>, String>,
}

impl Shared {
    fn is_in_use(&self) -> bool {
        self.running.as_ref().is_ok_and(|running| Arc::strong_count(running) > 1)
    }
}

/// Servers for one test. Those that no other test uses stop when this value is dropped.
#[derive(Debug)]
pub struct TestStack {
    environment: Vec<(String, String)>,
    stack: Option<Stack>,
    _running: Option<Arc<Running>>,
}

impl TestStack {
    fn of(test: &str, running: Result<Arc<Running>, String>) -> Option<Self> {
        let running = match running {
            Ok(running) => running,
            Err(reason) => {
                skip(test, &reason);
                return None;
            }
        };
        let stack = Stack::open(SERVICES, running.dir()).expect("the stack is up");
        let environment = stack.environment();
        Some(Self { environment, stack: Some(stack), _running: Some(running) })
    }

    /// What a tool needs in its environment to find the servers.
    #[must_use]
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// One of the environment variables.
    ///
    /// # Panics
    /// If the stack has no service that sets it.
    #[must_use]
    pub fn variable(&self, name: &str) -> &str {
        let found = self.environment.iter().find(|(variable, _)| variable == name);
        found.map(|(_, value)| value.as_str()).expect("a service of this stack sets it")
    }

    /// The brokers' addresses.
    ///
    /// # Panics
    /// If the stack has no Kafka.
    #[must_use]
    pub fn bootstrap_servers(&self) -> &str {
        self.variable(SERVERS)
    }

    /// The stack itself, for tests that got it from [`local`] or [`alone`].
    ///
    /// # Panics
    /// If there is none, because `BENCH_TEST_KAFKA` named a broker.
    #[must_use]
    pub fn stack(&self) -> &Stack {
        self.stack.as_ref().expect("asked for by local() or alone()")
    }

    /// The same, to break it.
    ///
    /// # Panics
    /// As [`TestStack::stack`] does.
    pub fn stack_mut(&mut self) -> &mut Stack {
        self.stack.as_mut().expect("asked for by local() or alone()")
    }
}

/// Prints that a test is skipped, and why. Fails where skipping is not allowed.
///
/// # Panics
/// With `BENCH_TEST_LOCAL=require` in the environment.
pub fn skip(test: &str, reason: &str) {
    let is_required = std::env::var(LOCAL_VARIABLE).is_ok_and(|value| value == "require");
    assert!(!is_required, "{test} cannot be run, and {LOCAL_VARIABLE} requires it: {reason}");
    // Directly to the stream, which the test harness does not capture.
    let line = format!("skipped: {test}: {reason}\n");
    std::io::stderr().write_all(line.as_bytes()).expect("standard error");
}

/// A stack in a temporary folder.
#[derive(Debug)]
struct Running {
    stack: Mutex<Stack>,
    dir: TempDir,
    reaper: Reaper,
}

impl Running {
    /// Starts it, or returns what is missing on this machine.
    fn start(options: &StackOptions) -> Result<Self, String> {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let reaper = Reaper::of(dir.path());
        let cache = Cache::from_environment();
        let up = |cache: Cache| Stack::up(SERVICES, dir.path(), &cache, options, &mut |_| ());
        match cache.and_then(up) {
            Ok(stack) => Ok(Self { stack: Mutex::new(stack), dir, reaper }),
            Err(error) if error.is_missing() => Err(error.to_string()),
            Err(error) => panic!("the local stack does not start: {}", whole(&error)),
        }
    }

    fn dir(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let stack = self.stack.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = stack.down(&mut |_| ()) {
            let line = format!("the local stack does not end: {}\n", whole(&error));
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
        self.reaper.dismiss();
    }
}

/// An error with its causes.
fn whole(error: &StackError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
