//! A function: its workers, as many as are needed at once, and their cost.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::worker::{Failure, Invocation, Launch, Worker};

/// Invocations of a function and their cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionReport {
    /// Events handed to it.
    pub invocations: u64,
    /// Of these, those that the function reported as failed.
    pub errors: u64,
    /// Of these, those that exceeded the time limit.
    pub timeouts: u64,
    /// Of these, those whose process ended.
    pub crashes: u64,
    /// Workers that did not start.
    pub init_failures: u64,
    /// Workers started.
    pub cold_starts: u64,
    /// Most events in progress at the same time.
    pub concurrency_max: u32,
    /// Start time of all workers, ms, each rounded up.
    pub init_ms: u64,
    /// Billed time, ms: each invocation rounded up, starts excluded.
    pub billed_ms: u64,
    /// The longest invocation, ms.
    pub duration_max_ms: u64,
}

#[derive(Debug)]
pub(super) struct Function {
    launch: Launch,
    idle: Mutex<Vec<Worker>>,
    permits: Semaphore,
    concurrency: u32,
    report: Mutex<FunctionReport>,
}

impl Function {
    pub(super) fn new(launch: Launch) -> Self {
        let concurrency = launch.function.concurrency;
        Self {
            permits: Semaphore::new(concurrency as usize),
            launch,
            idle: Mutex::default(),
            concurrency,
            report: Mutex::default(),
        }
    }

    /// Hands an event to an idle worker, or to a new one.
    pub(super) async fn invoke(&self, event: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let Ok(_permit) = self.permits.acquire().await else {
            return Err(Failure::Init("the function has ended".to_owned()));
        };
        let in_use =
            self.concurrency - u32::try_from(self.permits.available_permits()).unwrap_or(0);
        // The one that worked last, so that superfluous ones stay idle.
        let worker = lock(&self.idle).pop();
        let mut worker = worker.unwrap_or_else(|| Worker::new(self.launch.clone()));
        let invocation = worker.invoke(event).await;
        lock(&self.idle).push(worker);
        lock(&self.report).add(&invocation, in_use);
        invocation.answer
    }

    /// Ends all idle workers.
    pub(super) async fn end(&self) {
        let workers = std::mem::take(&mut *lock(&self.idle));
        for mut worker in workers {
            worker.kill().await;
        }
    }

    pub(super) fn report(&self) -> FunctionReport {
        *lock(&self.report)
    }
}

impl FunctionReport {
    fn add(&mut self, invocation: &Invocation, in_use: u32) {
        self.concurrency_max = self.concurrency_max.max(in_use);
        if let Some(init) = invocation.init {
            self.cold_starts += 1;
            self.init_ms += ceil_ms(init);
        }
        match &invocation.answer {
            Ok(_) => {}
            Err(Failure::Error(_)) => self.errors += 1,
            Err(Failure::TimedOut) => self.timeouts += 1,
            Err(Failure::Crashed(_)) => self.crashes += 1,
            Err(Failure::Init(_)) => {
                self.init_failures += 1;
                return;
            }
        }
        self.invocations += 1;
        let duration_ms = ceil_ms(invocation.duration);
        self.billed_ms += duration_ms;
        self.duration_max_ms = self.duration_max_ms.max(duration_ms);
    }
}

fn ceil_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
