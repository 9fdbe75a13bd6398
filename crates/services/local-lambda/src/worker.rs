//! One worker of a function: a process that is started, given events, and killed when too slow.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use super::runtime_api::{Event, FromWorker, RuntimeApi};
use bench_service_lambda::FunctionConfig;

/// Time until a worker must ask for its first event: AWS's limit for the init phase.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);

/// What every worker of a function is started with.
#[derive(Debug, Clone)]
pub(super) struct Launch {
    pub(super) function: FunctionConfig,
    pub(super) function_arn: String,
    pub(super) region: String,
    /// The file to which the function's output is appended.
    pub(super) log: PathBuf,
}

/// Why an invocation failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The function reported an error.
    Error(String),
    /// It exceeded the time limit and was killed.
    TimedOut,
    /// The process ended during an event.
    Crashed(String),
    /// The process did not start.
    Init(String),
}

/// The result of an invocation.
#[derive(Debug)]
pub(super) struct Invocation {
    pub(super) answer: Result<Vec<u8>, Failure>,
    /// Time from handing over the event to the answer.
    pub(super) duration: Duration,
    /// Start time of the worker, if it was started for this.
    pub(super) init: Option<Duration>,
}

/// A worker, whose process is started at its first event.
#[derive(Debug)]
pub(super) struct Worker {
    launch: Launch,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    process: Child,
    api: RuntimeApi,
    /// The reply channel for the next event, if the worker has asked for one.
    next: Option<oneshot::Sender<Event>>,
}

impl Worker {
    pub(super) fn new(launch: Launch) -> Self {
        Self { launch, running: None }
    }

    /// Hands over an event and waits for the result.
    pub(super) async fn invoke(&mut self, payload: Vec<u8>) -> Invocation {
        let mut init = None;
        // A worker that ended while idle is replaced, as in AWS.
        if !self.is_ready().await {
            let started = Instant::now();
            match self.start().await {
                Ok(running) => self.running = Some(running),
                Err(reason) => {
                    let answer = Err(Failure::Init(reason));
                    return Invocation { answer, duration: Duration::ZERO, init };
                }
            }
            init = Some(started.elapsed());
        }
        let timeout = Duration::from_millis(self.launch.function.timeout_ms);
        let event = Event {
            request_id: request_id(),
            deadline_ms: wall_ms().saturating_add(self.launch.function.timeout_ms),
            function_arn: self.launch.function_arn.clone(),
            payload,
        };
        let started = Instant::now();
        let answer = match self.running.as_mut() {
            Some(running) => match tokio::time::timeout(timeout, running.hand_over(event)).await {
                Ok(answer) => answer,
                Err(_) => Err(Failure::TimedOut),
            },
            None => Err(Failure::Init("it has gone".to_owned())),
        };
        let duration = started.elapsed();
        if matches!(answer, Err(Failure::TimedOut | Failure::Crashed(_))) {
            self.kill().await;
        }
        Invocation { answer, duration, init }
    }

    /// Ends the process, if there is one.
    pub(super) async fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            // It may have ended by itself, which is fine.
            let _ = running.process.kill().await;
        }
    }

    async fn is_ready(&mut self) -> bool {
        let Some(running) = &mut self.running else { return false };
        if running.wait_for_next().await.is_ok() {
            return true;
        }
        self.kill().await;
        false
    }

    async fn start(&self) -> Result<Running, String> {
        let program = self.launch.function.program.display();
        let failed = |error: io::Error| format!("failed to start {program}: {error}");
        let api = RuntimeApi::open().await.map_err(failed)?;
        let log = OpenOptions::new().create(true).append(true).open(&self.launch.log);
        let log =
            log.map_err(|error| format!("failed to write {}: {error}", self.launch.log.display()))?;
        let process = self.command(&api, log).and_then(|mut command| command.spawn());
        let process = process.map_err(failed)?;
        let mut running = Running { process, api, next: None };
        match tokio::time::timeout(INIT_TIMEOUT, running.wait_for_next()).await {
            Ok(Ok(())) => Ok(running),
            Ok(Err(reason)) => Err(reason),
            Err(_) => Err(format!("{program} did not ask for an event in {INIT_TIMEOUT:?}")),
        }
    }

    /// Sets the environment that AWS documents, and the inherited variables that the function
    /// needs.
    fn command(&self, api: &RuntimeApi, log: File) -> io::Result<Command> {
        let Launch { function, region, .. } = &self.launch;
        let errors = log.try_clone()?;
        let mut command = Command::new(&function.program);
        command
            .env_clear()
            .envs(function.inherited(std::env::vars_os()))
            .env("AWS_REGION", region)
            .env("AWS_DEFAULT_REGION", region)
            .envs(&function.environment)
            .env("AWS_LAMBDA_RUNTIME_API", &api.url)
            .env("AWS_LAMBDA_FUNCTION_NAME", &function.name)
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", function.memory_mb.to_string())
            .env("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", function.name))
            .env("AWS_LAMBDA_LOG_STREAM_NAME", format!("[$LATEST]{}", request_id()))
            .env("_HANDLER", "bootstrap")
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .kill_on_drop(true);
        Ok(command)
    }
}

impl Running {
    /// Waits until the worker asks for an event; an error says why it never will.
    async fn wait_for_next(&mut self) -> Result<(), String> {
        while self.next.as_ref().is_none_or(oneshot::Sender::is_closed) {
            tokio::select! {
                biased;
                message = self.api.requests.recv() => match message {
                    Some(FromWorker::Next(next)) => self.next = Some(next),
                    Some(FromWorker::InitError(reason)) => return Err(reason),
                    // The answer to an event that is no longer waited for.
                    Some(FromWorker::Answer { .. }) => {}
                    None => return Err("its Runtime API has gone".to_owned()),
                },
                status = self.process.wait() => return Err(ended(status)),
            }
        }
        Ok(())
    }

    async fn hand_over(&mut self, event: Event) -> Result<Vec<u8>, Failure> {
        let expected = event.request_id.clone();
        let next = self.next.take();
        if next.is_none_or(|next| next.send(event).is_err()) {
            return Err(Failure::Crashed("it hung up".to_owned()));
        }
        loop {
            tokio::select! {
                biased;
                message = self.api.requests.recv() => match message {
                    Some(FromWorker::Answer { request_id, answer }) if request_id == expected => {
                        return answer.map(Into::into).map_err(Failure::Error);
                    }
                    Some(FromWorker::Answer { .. }) => {}
                    Some(FromWorker::InitError(reason)) => return Err(Failure::Crashed(reason)),
                    // It asks for another event without having answered: this one is lost.
                    Some(FromWorker::Next(next)) => {
                        self.next = Some(next);
                        let reason = "it asked for another event without an answer";
                        return Err(Failure::Error(reason.to_owned()));
                    }
                    None => return Err(Failure::Crashed("its Runtime API has gone".to_owned())),
                },
                status = self.process.wait() => return Err(Failure::Crashed(ended(status))),
            }
        }
    }
}

fn ended(status: io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => format!("the process ended with {status}"),
        Err(error) => format!("the process cannot be watched: {error}"),
    }
}

/// Milliseconds since 1970.
pub(super) fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A unique id in the form of a UUID.
fn request_id() -> String {
    // The standard library seeds its hash maps with random bits of the system.
    use std::hash::{BuildHasher as _, RandomState};
    let (high, low) = (RandomState::new().hash_one(0), RandomState::new().hash_one(1));
    let digits = format!("{high:016x}{low:016x}");
    let part = |range: std::ops::Range<usize>| digits.get(range).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0..8), part(8..12), part(12..16), part(16..20), part(20..32))
}
