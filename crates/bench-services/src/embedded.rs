//! An embedded Kafka broker, in a process of its own so that it does not count as the client's CPU.
//!
//! It is librdkafka's mock cluster: real sockets and the real protocol, nothing to install, up in
//! milliseconds. It stores nothing on disk, keeps little ([`BACKLOG_MAX_BYTES`]), and knows no
//! administration beyond creating topics. Figures taken against it are the client's ceiling on
//! loopback, never Kafka's performance.
//!
//! The process is the running program itself, started again with a hidden first argument; a tool
//! that wants to offer the broker calls [`run_if_requested`] first of all.

mod protocol;
mod server;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::ServiceError;
use protocol::{Reply, Request};

/// How much may lie in one partition, produced and not yet consumed, without loss. At 5 MiB or
/// [`BACKLOG_MAX_BATCHES`] the broker drops the oldest batches and tells nobody; this leaves room
/// for batches in flight.
pub const BACKLOG_MAX_BYTES: u64 = 3 << 20;

/// How many batches a partition holds before the oldest are dropped.
pub const BACKLOG_MAX_BATCHES: u64 = 100_000;

/// What a client's `fetch.wait.max.ms` should be. The broker answers an empty fetch only when that
/// time is up, even though messages have arrived meanwhile.
pub const FETCH_WAIT_MS: u32 = 2;

/// How many partitions a topic may have here.
pub const PARTITIONS_MAX: u32 = 1_000;

/// How many brokers a cluster may have here.
pub const BROKERS_MAX: u32 = 16;

/// The argument that makes a tool's program the broker instead.
const ARGUMENT: &str = "__embedded-kafka";

/// How long the broker may take to start and to answer: thousands of times what it does take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the broker may take to end by itself before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Becomes the broker when this process was started for that: returns its exit code once whoever
/// started it has gone. Otherwise returns nothing, at once.
///
/// To be called first in `main`, before options are parsed:
/// `if let Some(code) = run_if_requested() { return code; }`
#[must_use]
pub fn run_if_requested() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != ARGUMENT {
        return None;
    }
    let brokers = arguments.next().and_then(|brokers| brokers.to_str()?.parse().ok());
    Some(match server::serve(brokers.unwrap_or(0)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The parent's log is not ours to write to; standard error is the same for both.
            let _ = writeln!(std::io::stderr(), "embedded Kafka broker: {error}");
            ExitCode::FAILURE
        }
    })
}

/// A running embedded broker, or several that form a cluster. Ends with its value, and by itself
/// when this process ends in whatever way.
#[derive(Debug)]
pub struct EmbeddedKafka {
    process: Child,
    requests: Option<ChildStdin>,
    replies: Receiver<String>,
    bootstrap_servers: String,
}

impl EmbeddedKafka {
    /// Starts a cluster of `brokers` from the running program, whose `main` must call
    /// [`run_if_requested`].
    pub fn start(brokers: u32) -> Result<Self, ServiceError> {
        let executable = std::env::current_exe().map_err(ServiceError::OwnExecutable)?;
        Self::start_from(&executable, brokers)
    }

    /// Starts a cluster from another program than the running one.
    pub fn start_from(executable: &Path, brokers: u32) -> Result<Self, ServiceError> {
        let mut command = Command::new(executable);
        command.args([ARGUMENT, &brokers.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        #[cfg(unix)]
        {
            // A Ctrl-C goes to the terminal's whole foreground group. The broker stands apart, so
            // that it lives until the run that uses it has wound up.
            std::os::unix::process::CommandExt::process_group(&mut command, 0);
        }
        let mut process = command
            .spawn()
            .map_err(|source| ServiceError::Start { executable: executable.to_owned(), source })?;
        let requests = process.stdin.take();
        let (sender, replies) = channel();
        if let Some(stdout) = process.stdout.take() {
            // Ends when the process does.
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        let mut kafka = Self { process, requests, replies, bootstrap_servers: String::new() };
        let action = format!("start a cluster of {brokers}");
        match kafka.reply(&action)? {
            Reply::BootstrapServers(servers) => kafka.bootstrap_servers = servers,
            Reply::Failed(reason) => return Err(ServiceError::Refused { action, reason }),
            Reply::Done => return Err(out_of_turn(action)),
        }
        tracing::debug!(pid = kafka.pid(), servers = kafka.bootstrap_servers, "embedded Kafka");
        Ok(kafka)
    }

    /// The brokers' addresses, `host:port` separated by commas.
    #[must_use]
    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    /// The process id of the broker.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Creates a topic with 1 to [`PARTITIONS_MAX`] partitions, and 1 replica to one on each broker.
    pub fn create_topic(
        &mut self,
        name: &str,
        partitions: u32,
        replication: u32,
    ) -> Result<(), ServiceError> {
        let action = format!("create topic '{name}'");
        let request = Request::CreateTopic { name: name.to_owned(), partitions, replication };
        match self.ask(&action, &request)? {
            Reply::Done => Ok(()),
            Reply::Failed(reason) => Err(ServiceError::Refused { action, reason }),
            Reply::BootstrapServers(_) => Err(out_of_turn(action)),
        }
    }

    fn ask(&mut self, action: &str, request: &Request) -> Result<Reply, ServiceError> {
        let no_answer = |reason: String| {
            let action = action.to_owned();
            ServiceError::NoAnswer { action, reason }
        };
        let mut line = serde_json::to_vec(request).map_err(|error| no_answer(error.to_string()))?;
        line.push(b'\n');
        if let Some(requests) = &mut self.requests {
            requests.write_all(&line).map_err(|_| no_answer("has ended".to_owned()))?;
        }
        self.reply(action)
    }

    fn reply(&self, action: &str) -> Result<Reply, ServiceError> {
        let reason = match self.replies.recv_timeout(ANSWER_TIMEOUT) {
            Ok(line) => match serde_json::from_str(&line) {
                Ok(reply) => return Ok(reply),
                Err(_) => format!("answered '{}'", line.chars().take(200).collect::<String>()),
            },
            Err(RecvTimeoutError::Disconnected) => "has ended".to_owned(),
            Err(RecvTimeoutError::Timeout) => format!("did not answer within {ANSWER_TIMEOUT:?}"),
        };
        Err(ServiceError::NoAnswer { action: action.to_owned(), reason })
    }
}

impl Drop for EmbeddedKafka {
    fn drop(&mut self) {
        // The broker ends when nobody can ask it for anything any more.
        drop(self.requests.take());
        let deadline = Instant::now() + STOP_TIMEOUT;
        while Instant::now() < deadline {
            match self.process.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(2)),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        tracing::warn!(pid = self.pid(), "the embedded Kafka broker does not end; killing it");
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn out_of_turn(action: String) -> ServiceError {
    ServiceError::NoAnswer { action, reason: "answered out of turn".to_owned() }
}
