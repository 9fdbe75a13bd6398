//! Requests to a table's store, by price class.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use bench_core::counts::{Count, Counts};

/// Limit on remembered failed requests. Those that are never retried stay in the map; at the limit,
/// all are forgotten.
const FAILED_MAX: usize = 10_000;

/// The counts of a store's requests, under their names in results.
#[derive(Debug, Clone)]
pub(super) struct Requests {
    puts: Count,
    gets: Count,
    lists: Count,
    heads: Count,
    deletes: Count,
    pub(super) bytes_written: Count,
    pub(super) bytes_read: Count,
    retried: Count,
    failed: Arc<Failed>,
}

/// The price class of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestKind {
    /// PUT, COPY, POST.
    Put,
    Get,
    List,
    Head,
    /// Of one or many objects.
    Delete,
}

impl RequestKind {
    /// The class of an HTTP request in S3's protocol.
    pub(super) fn of(method: &str, query: &str) -> Self {
        let asks = |name: &str| {
            query.split('&').any(|pair| pair.split_once('=').map_or(pair, |(key, _)| key) == name)
        };
        match method {
            "HEAD" => Self::Head,
            "DELETE" => Self::Delete,
            "POST" if asks("delete") => Self::Delete,
            "GET" if asks("list-type") || asks("uploads") => Self::List,
            "GET" => Self::Get,
            _ => Self::Put,
        }
    }
}

/// Failed requests that have not been retried yet, by a hash of the request.
#[derive(Debug, Default)]
struct Failed {
    hasher: RandomState,
    left: Mutex<HashMap<u64, u32>>,
}

impl Requests {
    pub(super) fn new(counts: &Counts) -> Self {
        Self {
            puts: counts.count("put_requests"),
            gets: counts.count("get_requests"),
            lists: counts.count("list_requests"),
            heads: counts.count("head_requests"),
            deletes: counts.count("delete_requests"),
            bytes_written: counts.count("bytes_written"),
            bytes_read: counts.count("bytes_read"),
            retried: counts.count("requests_retried"),
            failed: Arc::default(),
        }
    }

    pub(super) fn count(&self, kind: RequestKind) {
        let count = match kind {
            RequestKind::Put => &self.puts,
            RequestKind::Get => &self.gets,
            RequestKind::List => &self.lists,
            RequestKind::Head => &self.heads,
            RequestKind::Delete => &self.deletes,
        };
        count.add(1);
    }

    /// A hash of the request, which identifies a retry.
    pub(super) fn request_id(&self, method: &str, uri: &impl Hash) -> u64 {
        self.failed.hasher.hash_one((method, uri))
    }

    /// Records that a request was sent: if it failed before, it counts as a retry, whichever layer
    /// decided it.
    pub(super) fn sent(&self, request_id: u64) {
        let mut left = self.failed.left.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(times) = left.get_mut(&request_id) else { return };
        *times -= 1;
        if *times == 0 {
            left.remove(&request_id);
        }
        self.retried.add(1);
    }

    /// Records that a request failed in a way that a retry may cure.
    pub(super) fn failed(&self, request_id: u64) {
        let mut left = self.failed.left.lock().unwrap_or_else(PoisonError::into_inner);
        if left.len() >= FAILED_MAX {
            left.clear();
        }
        *left.entry(request_id).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_classed_as_s3_charges_them() {
        for (method, query, kind) in [
            ("PUT", "", RequestKind::Put),
            ("PUT", "partNumber=1&uploadId=x", RequestKind::Put),
            ("POST", "uploads", RequestKind::Put),
            ("POST", "uploadId=x", RequestKind::Put),
            ("POST", "delete", RequestKind::Delete),
            ("DELETE", "", RequestKind::Delete),
            ("GET", "", RequestKind::Get),
            ("GET", "versionId=list-type", RequestKind::Get),
            ("GET", "list-type=2&prefix=a", RequestKind::List),
            ("GET", "prefix=a&list-type=2", RequestKind::List),
            ("GET", "uploads", RequestKind::List),
            ("HEAD", "", RequestKind::Head),
        ] {
            assert_eq!(RequestKind::of(method, query), kind, "{method} ?{query}");
        }
    }

    #[test]
    fn only_requests_that_failed_count_as_retries() {
        let counts = Counts::default();
        let requests = Requests::new(&counts);
        let (a, b) = (requests.request_id("PUT", &"/a"), requests.request_id("PUT", &"/b"));
        assert_ne!(a, requests.request_id("GET", &"/a"));
        requests.sent(a);
        requests.failed(a);
        requests.failed(a);
        requests.sent(b);
        assert_eq!(counts.read()["requests_retried"], 0);
        for _ in 0..3 {
            requests.sent(a);
        }
        assert_eq!(counts.read()["requests_retried"], 2);
    }

    #[test]
    fn failed_requests_without_retries_are_forgotten() {
        let requests = Requests::new(&Counts::default());
        for request_id in 0..3 * FAILED_MAX as u64 {
            requests.failed(request_id);
        }
        assert!(requests.failed.left.lock().expect("nobody panicked").len() <= FAILED_MAX);
    }
}
