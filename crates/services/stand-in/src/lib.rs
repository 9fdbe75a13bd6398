//! The process of a stand-in, as the program that started it sees it.
//!
//! Stand-ins need no installation, start in milliseconds and end with the run. Each is a server on
//! loopback in a process of its own, so that its work does not count as the client's CPU time.
//! Figures taken against it are the client's ceiling on loopback, never the performance of the
//! service that it stands in for. Its program is built with the tools and lies beside them: tools
//! link none of it. `bench-stand-in-host` is the other half.

mod error;

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use bench_core::system::ending;
use bench_stack::{StackError, programs};
use serde::{Deserialize, Serialize};

pub use error::StandInError;

/// What both halves compare before anything else: a program from another build is refused. Raise
/// the number with every change to what a stand-in is told or answers.
pub const PROTOCOL: &str = concat!(env!("CARGO_PKG_VERSION"), "/1");

/// Time to start and to answer: thousands of times what it takes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Time to end by itself before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Time to end once it has closed its output.
const ENDING_TIMEOUT: Duration = Duration::from_secs(1);

/// A kind of stand-in.
#[derive(Debug)]
pub struct StandInKind {
    /// Its name in messages, such as `embedded database`.
    pub name: &'static str,
    /// Its program, which is also the package that builds it.
    pub program: &'static str,
    /// How to use another server instead.
    pub remedy: &'static str,
}

impl StandInKind {
    /// Its program, beside the running one or in `PATH`.
    pub fn find_program(&self) -> Result<PathBuf, StackError> {
        programs::find_own(self.program)
    }

    /// The command line arguments by which its program gets an argument.
    pub fn arguments(&self, argument: &impl Serialize) -> Result<Vec<String>, StackError> {
        let argument = serde_json::to_string(argument).map_err(|error| StackError::Failed {
            attempted: "write the argument of a stand-in",
            source: error.into(),
        })?;
        Ok(vec![PROTOCOL.to_owned(), argument])
    }
}

/// What a stand-in prints on its standard output, one JSON value per line. Requests reach it on its
/// standard input in the same form.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It is up. The first line, unless it fails.
    Up {
        /// [`PROTOCOL`] of its build.
        protocol: String,
        /// Where clients reach it.
        address: String,
    },
    /// It was started with another [`PROTOCOL`] than that of its build.
    OtherVersion,
    /// A request was carried out.
    Done,
    /// A request was refused, for this reason.
    Failed(String),
}

/// A running stand-in. It ends when this value is dropped, and when this process ends in any way.
#[derive(Debug)]
pub struct StandInProcess {
    kind: &'static StandInKind,
    executable: PathBuf,
    process: Child,
    requests: Option<ChildStdin>,
    replies: Receiver<String>,
    ended: Arc<AtomicBool>,
    address: String,
}

impl StandInProcess {
    /// Starts the stand-in and waits until it is up. It gets `argument` as JSON; `action` is for
    /// messages.
    pub fn start(
        kind: &'static StandInKind,
        argument: &impl Serialize,
        action: &str,
    ) -> Result<Self, StandInError> {
        let executable = kind
            .find_program()
            .map_err(|source| StandInError::NotFound { service: kind.name, source })?;
        Self::start_program(kind, executable, argument, action)
    }

    /// Starts it from a certain program.
    pub fn start_program(
        kind: &'static StandInKind,
        executable: PathBuf,
        argument: &impl Serialize,
        action: &str,
    ) -> Result<Self, StandInError> {
        let arguments = kind.arguments(argument).map_err(|error| {
            let reason = error.to_string();
            StandInError::Refused { action: action.to_owned(), service: kind.name, reason }
        })?;
        let mut command = Command::new(&executable);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        #[cfg(unix)]
        {
            // A Ctrl-C reaches the terminal's whole foreground group. The stand-in leaves it, so
            // that it lives until the run that uses it has finished.
            std::os::unix::process::CommandExt::process_group(&mut command, 0);
        }
        let mut process = command.spawn().map_err(|source| StandInError::Start {
            service: kind.name,
            executable: executable.clone(),
            source,
        })?;
        let requests = process.stdin.take();
        let (sender, replies) = channel();
        let ended = Arc::new(AtomicBool::new(false));
        if let Some(stdout) = process.stdout.take() {
            let ended = Arc::clone(&ended);
            // Ends when the process does.
            let read = move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
                ended.store(true, Ordering::Relaxed);
            };
            let thread = std::thread::Builder::new().name("stand-in".to_owned()).spawn(read);
            if let Err(source) = thread {
                let _ = process.kill();
                let _ = process.wait();
                return Err(StandInError::Background { service: kind.name, source });
            }
        }
        let address = String::new();
        let mut started = Self { kind, executable, process, requests, replies, ended, address };
        match started.reply(action)? {
            Reply::Up { protocol, address } if protocol == PROTOCOL => started.address = address,
            Reply::Up { .. } | Reply::OtherVersion => return Err(started.other_version()),
            Reply::Failed(reason) => return Err(started.refused(action, reason)),
            Reply::Done => return Err(started.unexpected(action)),
        }
        tracing::debug!(pid = started.pid(), address = started.address, "{} is up", kind.name);
        Ok(started)
    }

    /// Where clients reach it.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A flag that becomes true when the process has ended.
    #[must_use]
    pub fn ended(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.ended)
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Sends a request and waits until it was carried out.
    pub fn ask(&mut self, action: &str, request: &impl Serialize) -> Result<(), StandInError> {
        let mut line = serde_json::to_vec(request)
            .map_err(|error| self.no_answer(action, error.to_string()))?;
        line.push(b'\n');
        if let Some(requests) = &mut self.requests
            && requests.write_all(&line).is_err()
        {
            let ending = self.ending();
            return Err(self.no_answer(action, ending));
        }
        match self.reply(action)? {
            Reply::Done => Ok(()),
            Reply::Failed(reason) => Err(self.refused(action, reason)),
            Reply::Up { .. } | Reply::OtherVersion => Err(self.unexpected(action)),
        }
    }

    fn reply(&mut self, action: &str) -> Result<Reply, StandInError> {
        let reason = match self.replies.recv_timeout(ANSWER_TIMEOUT) {
            Ok(line) => match serde_json::from_str(&line) {
                Ok(reply) => return Ok(reply),
                Err(_) => format!("answered '{}'", line.chars().take(200).collect::<String>()),
            },
            Err(RecvTimeoutError::Disconnected) => self.ending(),
            Err(RecvTimeoutError::Timeout) => format!("did not answer within {ANSWER_TIMEOUT:?}"),
        };
        Err(self.no_answer(action, reason))
    }

    /// Says that the process has ended, and how, if that becomes known in time.
    fn ending(&mut self) -> String {
        let deadline = Instant::now() + ENDING_TIMEOUT;
        loop {
            match self.process.try_wait() {
                Ok(Some(status)) => return format!("has ended with {}", ending(status)),
                Ok(None) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Ok(None) | Err(_) => return "has ended".to_owned(),
            }
        }
    }

    fn other_version(&self) -> StandInError {
        StandInError::OtherVersion {
            service: self.kind.name,
            executable: self.executable.clone(),
            package: self.kind.program,
        }
    }

    fn refused(&self, action: &str, reason: String) -> StandInError {
        StandInError::Refused { action: action.to_owned(), service: self.kind.name, reason }
    }

    fn unexpected(&self, action: &str) -> StandInError {
        self.no_answer(action, "gave an unexpected answer".to_owned())
    }

    fn no_answer(&self, action: &str, reason: String) -> StandInError {
        let StandInKind { name: service, remedy, .. } = *self.kind;
        StandInError::NoAnswer { action: action.to_owned(), service, reason, remedy }
    }
}

impl Drop for StandInProcess {
    fn drop(&mut self) {
        // It ends when its standard input does.
        drop(self.requests.take());
        let deadline = Instant::now() + STOP_TIMEOUT;
        while Instant::now() < deadline {
            match self.process.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(2)),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        tracing::warn!(pid = self.pid(), "the {} does not end; killing it", self.kind.name);
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const KIND: StandInKind =
        StandInKind { name: "embedded test", program: "embedded-test", remedy: "use another" };

    /// The error for a stand-in that is this script.
    fn error_of(script: &str) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("service");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("written");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&program, mode).expect("permissions");
        let started = StandInProcess::start_program(&KIND, program, &(), "start it");
        started.expect_err("no service").to_string()
    }

    #[test]
    fn a_dead_stand_in_is_reported_with_its_ending() {
        for (script, ending) in [
            ("kill -ABRT $$", "has ended with signal 6 (SIGABRT: "),
            ("kill -XFSZ $$", "ulimit -f"),
            ("exit 7", "has ended with exit code 7;"),
        ] {
            let error = error_of(script);
            assert!(error.starts_with("failed to start it: the embedded test "), "{error}");
            assert!(error.contains(ending), "{error}");
        }
    }

    #[test]
    fn a_refused_thread_is_reported() {
        let error =
            error_of("echo '{\"failed\":\"no thread can be started: raise it\"}'; read line");
        assert!(error.ends_with("answered: no thread can be started: raise it"), "{error}");
    }

    #[test]
    fn programs_of_other_versions_are_refused() {
        for script in [
            r#"echo '{"up":{"protocol":"0.0.0/0","address":"x"}}'; read line"#,
            r#"echo '"other_version"'; read line"#,
        ] {
            let error = error_of(script);
            assert!(error.contains("was built from another version"), "{error}");
            assert!(error.ends_with("`cargo build --release -p embedded-test`"), "{error}");
        }
    }

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let error = StandInProcess::start(&KIND, &(), "start it").expect_err("none").to_string();
        assert!(
            error.starts_with("failed to start the embedded test: found no program"),
            "{error}"
        );
        assert!(error.ends_with("`cargo build --release -p embedded-test`"), "{error}");
    }
}
