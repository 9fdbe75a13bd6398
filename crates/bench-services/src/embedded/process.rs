//! The process of an embedded service, as the program that started it sees it.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use bench_core::system::ending;
use serde::{Deserialize, Serialize};

use super::s3::Keys;
use crate::ServiceError;

/// How long a service may take to start and to answer: thousands of times what it does take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a service may take to end by itself before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a service may take to end once it has closed its output.
const ENDING_TIMEOUT: Duration = Duration::from_secs(1);

/// A kind of embedded service.
#[derive(Debug)]
pub(super) struct Kind {
    /// As it is called in messages.
    pub(super) name: &'static str,
    /// The argument that makes a program this service instead.
    pub(super) argument: &'static str,
    /// How another one is named.
    pub(super) remedy: &'static str,
}

/// What a service says to whoever started it: one JSON value a line, on its standard output.
/// Requests come on its standard input, in the same form.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reply {
    /// It is up. The first line, unasked.
    Up {
        /// Where it is reached.
        address: String,
        /// What its clients need, of a service that looks at their signatures.
        keys: Option<Keys>,
    },
    /// What was asked for is done.
    Done,
    /// What was asked for cannot be done, for this reason.
    Failed(String),
}

/// A running service. Ends with its value, and by itself when this process ends in whatever way.
#[derive(Debug)]
pub(super) struct ServiceProcess {
    kind: &'static Kind,
    process: Child,
    requests: Option<ChildStdin>,
    replies: Receiver<String>,
    ended: Arc<AtomicBool>,
    address: String,
    keys: Option<Keys>,
}

impl ServiceProcess {
    /// Starts the service from this program, or from `executable`, and waits until it is up.
    /// `argument` is what that is told, as JSON; `action` is for messages.
    pub(super) fn start(
        kind: &'static Kind,
        executable: Option<&Path>,
        argument: &impl Serialize,
        action: &str,
    ) -> Result<Self, ServiceError> {
        let executable = match executable {
            Some(executable) => executable.to_owned(),
            None => std::env::current_exe()
                .map_err(|source| ServiceError::OwnExecutable { service: kind.name, source })?,
        };
        let argument = serde_json::to_string(argument).map_err(|error| {
            let reason = error.to_string();
            ServiceError::Refused { action: action.to_owned(), service: kind.name, reason }
        })?;
        let mut command = Command::new(&executable);
        command.args([kind.argument, &argument]).stdin(Stdio::piped()).stdout(Stdio::piped());
        #[cfg(unix)]
        {
            // A Ctrl-C goes to the terminal's whole foreground group. The service stands apart, so
            // that it lives until the run that uses it has wound up.
            std::os::unix::process::CommandExt::process_group(&mut command, 0);
        }
        let mut process = command.spawn().map_err(|source| ServiceError::Start {
            service: kind.name,
            executable,
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
            let thread = std::thread::Builder::new().name("service".to_owned()).spawn(read);
            if let Err(source) = thread {
                let _ = process.kill();
                let _ = process.wait();
                return Err(ServiceError::Background { service: kind.name, source });
            }
        }
        let address = String::new();
        let mut started = Self { kind, process, requests, replies, ended, address, keys: None };
        match started.reply(action)? {
            Reply::Up { address, keys } => (started.address, started.keys) = (address, keys),
            Reply::Failed(reason) => return Err(started.refused(action, reason)),
            Reply::Done => return Err(started.out_of_turn(action)),
        }
        tracing::debug!(pid = started.pid(), address = started.address, "{} is up", kind.name);
        Ok(started)
    }

    /// Where it is reached.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// What its clients need.
    pub(super) fn keys(&self, action: &str) -> Result<&Keys, ServiceError> {
        let keys = self.keys.as_ref();
        keys.ok_or_else(|| self.no_answer(action, "has told no keys".to_owned()))
    }

    /// Becomes true when the process has ended.
    pub(super) fn ended(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.ended)
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Has it do something.
    pub(super) fn ask(
        &mut self,
        action: &str,
        request: &impl Serialize,
    ) -> Result<(), ServiceError> {
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
            Reply::Up { .. } => Err(self.out_of_turn(action)),
        }
    }

    fn reply(&mut self, action: &str) -> Result<Reply, ServiceError> {
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

    /// That the process has ended, and how, as far as that is known in time.
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

    fn refused(&self, action: &str, reason: String) -> ServiceError {
        ServiceError::Refused { action: action.to_owned(), service: self.kind.name, reason }
    }

    fn out_of_turn(&self, action: &str) -> ServiceError {
        self.no_answer(action, "answered out of turn".to_owned())
    }

    fn no_answer(&self, action: &str, reason: String) -> ServiceError {
        let Kind { name: service, remedy, .. } = *self.kind;
        ServiceError::NoAnswer { action: action.to_owned(), service, reason, remedy }
    }
}

impl Drop for ServiceProcess {
    fn drop(&mut self) {
        // The service ends when nobody can ask it for anything any more.
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

    const KIND: Kind = Kind { name: "embedded test", argument: "__test", remedy: "use another" };

    /// What is told of a service that is this script.
    fn told(script: &str) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("service");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("written");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&program, mode).expect("permissions");
        let started = ServiceProcess::start(&KIND, Some(&program), &(), "start it");
        started.expect_err("no service").to_string()
    }

    #[test]
    fn a_service_that_dies_is_told_with_how_it_died() {
        for (script, ending) in [
            ("kill -ABRT $$", "has ended with signal 6 (SIGABRT: "),
            ("kill -XFSZ $$", "ulimit -f"),
            ("exit 7", "has ended with exit code 7;"),
        ] {
            let told = told(script);
            assert!(told.starts_with("failed to start it: the embedded test "), "{told}");
            assert!(told.contains(ending), "{told}");
        }
    }

    #[test]
    fn a_service_that_is_refused_a_thread_says_so() {
        let told = told("echo '{\"failed\":\"no thread can be started: raise it\"}'; read line");
        assert!(told.ends_with("answered: no thread can be started: raise it"), "{told}");
    }
}
