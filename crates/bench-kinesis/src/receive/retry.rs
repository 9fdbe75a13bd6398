//! What becomes of a call that failed: it is made again, and counted, if that can help.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_kinesis::config::http::HttpResponse;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use bench_aws::{AwsError, is_throttled};
use bench_core::counts::{Count, Counts};

use crate::KinesisError;

/// How long a shard may go on failing, throttling aside, before the reader gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// The first wait after a failed call, and the longest.
const WAIT_MIN: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(2);

/// What readers count beside the records; those that share it count together.
#[derive(Debug, Default)]
pub struct ReadCounters {
    /// Calls of `GetRecords`, or subscriptions.
    calls: Count,
    /// Calls that the service refused because it was asked too much; they were made again.
    throttled: Count,
    /// Other calls that failed and were made again.
    retried: Count,
    /// Iterators that had expired, or subscriptions that had ended, and were replaced.
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

/// Decides for one reader whether a failed call is made again, and when.
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

    /// Waits before the next attempt; the error if there is to be none.
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

    /// The same for a failure that is known to pass.
    pub(super) async fn wait(
        &mut self,
        is_throttled: bool,
        error: AwsError,
    ) -> Result<(), KinesisError> {
        if is_throttled {
            // The service is there, however many others read the same shard.
            self.failing_since = None;
            self.counters.throttled.add(1);
        } else {
            let now = Instant::now();
            if now - *self.failing_since.get_or_insert(now) > PATIENCE {
                return Err(error.into());
            }
            self.counters.retried.add(1);
        }
        tracing::debug!("{error}; trying again");
        tokio::time::sleep(spread(self.wait)).await;
        self.wait = (self.wait * 2).min(WAIT_MAX);
        Ok(())
    }
}

/// Whether the same call may succeed a moment later.
fn is_passing<E>(error: &SdkError<E, HttpResponse>) -> bool {
    match error {
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => true,
        SdkError::DispatchFailure(failure) => failure.is_io() || failure.is_timeout(),
        SdkError::ServiceError(context) => context.raw().status().is_server_error(),
        _ => false,
    }
}

/// From half of `wait` to all of it, so that readers that were refused at once do not come back at
/// once.
fn spread(wait: Duration) -> Duration {
    let random = RandomState::new().hash_one(0_u8) % 1_000;
    wait / 2 + wait.mul_f64(random as f64 / 2_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_differ_within_their_bounds() {
        let wait = Duration::from_secs(1);
        let waits: Vec<Duration> = (0..50).map(|_| spread(wait)).collect();
        assert!(waits.iter().all(|spread| (wait / 2..=wait).contains(spread)), "{waits:?}");
        assert!(waits.iter().any(|spread| *spread != waits[0]), "{waits:?}");
    }
}
