//! Retries and counts failed calls.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_kinesis::config::http::HttpResponse;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use bench_aws::{AwsError, is_throttled};
use bench_core::counts::{Count, Counts};

use crate::KinesisError;

/// How long calls to a shard may keep failing, throttling aside, before the reader gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// The minimum and maximum wait after a failed call.
const WAIT_MIN: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(2);

/// Counts of readers beside the records; may be shared by several readers.
#[derive(Debug, Default)]
pub struct ReadCounters {
    /// Calls of `GetRecords`, or subscriptions.
    calls: Count,
    /// Calls that were throttled and retried.
    throttled: Count,
    /// Other calls that failed and were retried.
    retried: Count,
    /// Expired iterators, or ended subscriptions, that were replaced.
    resumed: Count,
}

impl ReadCounters {
    /// Counts into `counts`: `reads`, `reads_throttled`, `reads_retried` and `reads_resumed`.
    #[must_use]
    pub fn new(counts: &Counts) -> Self {
        Self {
            calls: counts.count("reads"),
            throttled: counts.count("reads_throttled"),
            retried: counts.count("reads_retried"),
            resumed: counts.count("reads_resumed"),
        }
    }

    pub(super) fn add_call(&self) {
        self.calls.add(1);
    }

    pub(super) fn add_resumed(&self) {
        self.resumed.add(1);
    }
}

/// Decides for one reader whether and when a failed call is retried.
#[derive(Debug)]
pub(super) struct Retries {
    counters: Arc<ReadCounters>,
    failing_since: Option<Instant>,
    wait: Duration,
}

impl Retries {
    pub(super) fn new(counters: Arc<ReadCounters>) -> Self {
        Self { counters, failing_since: None, wait: WAIT_MIN }
    }

    pub(super) fn counters(&self) -> &ReadCounters {
        &self.counters
    }

    pub(super) fn succeeded(&mut self) {
        self.failing_since = None;
        self.wait = WAIT_MIN;
    }

    /// Waits before the next attempt, or returns the error if there is none.
    pub(super) async fn wait_after<E>(
        &mut self,
        attempted: String,
        error: &SdkError<E, HttpResponse>,
    ) -> Result<(), KinesisError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let is_throttled = error.code().is_some_and(is_throttled);
        let error = if is_throttled || is_passing(error) {
            AwsError::new(attempted, error)
        } else {
            return Err(AwsError::new(attempted, error).into());
        };
        self.wait(is_throttled, error).await
    }

    /// Waits after a transient failure, unless failures have lasted too long.
    pub(super) async fn wait(
        &mut self,
        is_throttled: bool,
        error: AwsError,
    ) -> Result<(), KinesisError> {
        if is_throttled {
            // The service answers, however many others read the same shard.
            self.failing_since = None;
            self.counters.throttled.add(1);
        } else {
            let now = Instant::now();
            if now - *self.failing_since.get_or_insert(now) > PATIENCE {
                return Err(error.into());
            }
            self.counters.retried.add(1);
        }
        tracing::debug!("{error}; retrying");
        tokio::time::sleep(spread(self.wait)).await;
        self.wait = (self.wait * 2).min(WAIT_MAX);
        Ok(())
    }
}

/// Whether the same call may succeed when retried.
fn is_passing<E>(error: &SdkError<E, HttpResponse>) -> bool {
    match error {
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => true,
        SdkError::DispatchFailure(failure) => failure.is_io() || failure.is_timeout(),
        SdkError::ServiceError(context) => context.raw().status().is_server_error(),
        _ => false,
    }
}

/// A random duration from half of `wait` to all of it, so that readers that failed together do not
/// retry together.
fn spread(wait: Duration) -> Duration {
    let random = RandomState::new().hash_one(0_u8) % 1_000;
    wait / 2 + wait.mul_f64(random as f64 / 2_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_vary_within_their_bounds() {
        let wait = Duration::from_secs(1);
        let waits: Vec<Duration> = (0..50).map(|_| spread(wait)).collect();
        assert!(waits.iter().all(|spread| (wait / 2..=wait).contains(spread)), "{waits:?}");
        assert!(waits.iter().any(|spread| *spread != waits[0]), "{waits:?}");
    }
}
