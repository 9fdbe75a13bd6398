//! Faults of S3, injected on purpose.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use s3s::{S3Error, S3ErrorCode, s3_error};
use tokio::sync::Notify;

/// Interval between polls of [`Injected::wait_for`].
const POLL: Duration = Duration::from_millis(2);

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is answered with this status and not carried out: 503 (`SlowDown`), 412, 500, ...
    Answer(u16),
    /// It is carried out, and answered with this status as if it had not been.
    ForwardThenAnswer(u16),
    /// It is carried out, and the connection breaks before the answer.
    ForwardThenDrop,
    /// The connection breaks, and it is not carried out.
    Drop,
    /// It is carried out after this delay.
    Delay(Duration),
    /// It is carried out once [`Injected::release`] is called.
    Hold,
}

/// The requests that a fault applies to.
#[derive(Debug, Clone)]
pub struct Requests {
    method: String,
    contains: String,
    every: usize,
    times: usize,
}

impl Requests {
    /// Requests with this method, or with any if it is empty, whose decoded path and query, as in
    /// `/bucket/key?list-type=2&prefix=a/`, contain `text`.
    #[must_use]
    pub fn matching(method: &str, text: &str) -> Self {
        let (method, contains) = (method.to_owned(), text.to_owned());
        Self { method, contains, every: 1, times: usize::MAX }
    }

    /// Only every `count`th of them, beginning with the `count`th.
    #[must_use]
    pub fn every(self, count: usize) -> Self {
        Self { every: count.max(1), ..self }
    }

    /// Only the first `count` of them.
    #[must_use]
    pub fn times(self, count: usize) -> Self {
        Self { times: count, ..self }
    }

    fn include(&self, method: &str, target: &str) -> bool {
        (self.method.is_empty() || self.method == method) && target.contains(&self.contains)
    }
}

/// The faults of one server. If several apply to a request, the one injected first is used.
#[derive(Debug, Clone, Default)]
pub struct S3Faults(Arc<Mutex<Vec<Arc<Rule>>>>);

#[derive(Debug)]
struct Rule {
    requests: Requests,
    fault: Fault,
    seen: AtomicUsize,
    struck: AtomicUsize,
    is_over: AtomicBool,
    released: Notify,
}

impl S3Faults {
    /// Injects a fault into requests from now on.
    #[must_use = "says what has been struck, and ends a fault; dropping it does not"]
    pub fn inject(&self, requests: Requests, fault: Fault) -> Injected {
        let rule = Arc::new(Rule {
            requests,
            fault,
            seen: AtomicUsize::new(0),
            struck: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            released: Notify::new(),
        });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&rule));
        Injected(rule)
    }

    /// The fault to inject into a request; sleeps for its delay.
    pub(super) async fn strike(&self, method: &str, path_and_query: &str) -> Option<Fault> {
        let rule = self.find(method, path_and_query)?;
        match rule.fault {
            Fault::Delay(delay) => tokio::time::sleep(delay).await,
            Fault::Hold => rule.wait().await,
            _ => {}
        }
        Some(rule.fault)
    }

    fn find(&self, method: &str, path_and_query: &str) -> Option<Arc<Rule>> {
        let rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if rules.is_empty() {
            return None;
        }
        let target = decoded(path_and_query);
        rules.iter().find(|rule| rule.is_due(method, &target)).map(Arc::clone)
    }
}

impl Rule {
    fn is_due(&self, method: &str, target: &str) -> bool {
        if self.is_over.load(Ordering::Acquire) || !self.requests.include(method, target) {
            return false;
        }
        let seen = self.seen.fetch_add(1, Ordering::AcqRel) + 1;
        let is_due = seen.is_multiple_of(self.requests.every)
            && self.struck.load(Ordering::Acquire) < self.requests.times;
        if is_due {
            self.struck.fetch_add(1, Ordering::AcqRel);
        }
        is_due
    }

    async fn wait(&self) {
        loop {
            let released = self.released.notified();
            if self.is_over.load(Ordering::Acquire) {
                return;
            }
            released.await;
        }
    }
}

/// A fault that was injected.
#[derive(Debug, Clone)]
pub struct Injected(Arc<Rule>);

impl Injected {
    /// Requests that it has been applied to so far.
    #[must_use]
    pub fn struck(&self) -> usize {
        self.0.struck.load(Ordering::Acquire)
    }

    /// Waits until it has been applied to so many requests; returns whether that happened within
    /// `timeout`.
    #[must_use]
    pub fn wait_for(&self, count: usize, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        while self.struck() < count {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(POLL);
        }
        true
    }

    /// Ends the fault, and releases the requests that it holds.
    pub fn release(&self) {
        self.0.is_over.store(true, Ordering::Release);
        self.0.released.notify_waiters();
    }
}

/// The error of S3 for a status.
pub(super) fn error_of(status: u16) -> S3Error {
    let mut error = match status {
        403 => s3_error!(AccessDenied),
        404 => s3_error!(NoSuchKey),
        409 => s3_error!(OperationAborted),
        412 => s3_error!(PreconditionFailed),
        500 => s3_error!(InternalError),
        503 => s3_error!(SlowDown),
        _ => S3Error::new(S3ErrorCode::Custom("Injected".into())),
    };
    if let Ok(status) = status.try_into() {
        error.set_status_code(status);
    }
    error
}

/// A URL's text with its escapes decoded.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.filter(|_| *first == b'%');
        if let Some(byte) = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_select_requests() {
        let faults = S3Faults::default();
        let logs = faults.inject(Requests::matching("PUT", "/t/_delta_log/"), Fault::Answer(503));
        let any = faults.inject(Requests::matching("", "date=2026"), Fault::Drop);
        let found = |method: &str, target: &str| faults.find(method, target).map(|rule| rule.fault);
        assert_eq!(found("PUT", "/bench/t/_delta_log/0.json"), Some(Fault::Answer(503)));
        assert_eq!(found("GET", "/bench/t/_delta_log/0.json"), None);
        assert_eq!(found("GET", "/bench/t/date%3D2026-01-01/a%"), Some(Fault::Drop));
        logs.release();
        assert_eq!(found("PUT", "/bench/t/_delta_log/0.json"), None);
        assert_eq!((logs.struck(), any.struck()), (1, 1));
    }

    #[test]
    fn faults_apply_the_requested_number_of_times() {
        let faults = S3Faults::default();
        let requests = Requests::matching("GET", "").every(3).times(2);
        let third = faults.inject(requests, Fault::Answer(500));
        let struck: Vec<usize> = (1..=20).filter(|_| faults.find("GET", "/").is_some()).collect();
        assert_eq!(struck, [3, 6]);
        assert!(third.wait_for(2, Duration::ZERO) && !third.wait_for(3, Duration::ZERO));
    }

    #[test]
    fn errors_use_the_codes_of_s3() {
        for (status, code) in [(503, "SlowDown"), (412, "PreconditionFailed"), (418, "Injected")] {
            let error = error_of(status);
            assert_eq!(error.code().as_str(), code);
            assert_eq!(error.status_code().map(|status| status.as_u16()), Some(status));
        }
    }
}
