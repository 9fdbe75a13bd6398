//! Requests to a table's store, by what they cost.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use bench_core::counts::{Count, Counts};

/// Failed requests that are remembered. Those that nobody repeats stay there; when there are so many
/// of them, all are forgotten.
const FAILED_MAX: usize = 10_000;

/// The counts of a store's requests, under the names that results show.
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

/// What a request is to those who charge for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// PUT, COPY, POST.
    Put,
    Get,
    List,
    Head,
    /// Of one object or of many.
    Delete,
}

impl Kind {
    /// That of an HTTP request in S3's protocol.
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

/// How many requests for a thing have failed and were not repeated yet, by a hash of the thing.
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

    pub(super) fn count(&self, kind: Kind) {
        let count = match kind {
            Kind::Put => &self.puts,
            Kind::Get => &self.gets,
            Kind::List => &self.lists,
            Kind::Head => &self.heads,
            Kind::Delete => &self.deletes,
        };
        count.add(1);
    }

    /// A hash of what is asked for, by which another try is recognised.
    pub(super) fn thing(&self, method: &str, uri: &impl Hash) -> u64 {
        self.failed.hasher.hash_one((method, uri))
    }

    /// A request is sent: one that has failed before is sent again, whoever decided it.
    pub(super) fn sent(&self, thing: u64) {
        let mut left = self.failed.left.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(times) = left.get_mut(&thing) else { return };
        *times -= 1;
        if *times == 0 {
            left.remove(&thing);
        }
        self.retried.add(1);
    }

    /// A request failed in a way that another try may cure.
    pub(super) fn failed(&self, thing: u64) {
        let mut left = self.failed.left.lock().unwrap_or_else(PoisonError::into_inner);
        if left.len() >= FAILED_MAX {
            left.clear();
        }
        *left.entry(thing).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_what_s3_charges_it_as() {
        for (method, query, kind) in [
            ("PUT", "", Kind::Put),
            ("PUT", "partNumber=1&uploadId=x", Kind::Put),
            ("POST", "uploads", Kind::Put),
            ("POST", "uploadId=x", Kind::Put),
            ("POST", "delete", Kind::Delete),
            ("DELETE", "", Kind::Delete),
            ("GET", "", Kind::Get),
            ("GET", "versionId=list-type", Kind::Get),
            ("GET", "list-type=2&prefix=a", Kind::List),
            ("GET", "prefix=a&list-type=2", Kind::List),
            ("GET", "uploads", Kind::List),
            ("HEAD", "", Kind::Head),
        ] {
            assert_eq!(Kind::of(method, query), kind, "{method} ?{query}");
        }
    }

    #[test]
    fn only_what_has_failed_before_is_retried() {
        let counts = Counts::default();
        let requests = Requests::new(&counts);
        let (a, b) = (requests.thing("PUT", &"/a"), requests.thing("PUT", &"/b"));
        assert_ne!(a, requests.thing("GET", &"/a"));
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
    fn what_is_never_repeated_is_forgotten_in_the_end() {
        let requests = Requests::new(&Counts::default());
        for thing in 0..3 * FAILED_MAX as u64 {
            requests.failed(thing);
        }
        assert!(requests.failed.left.lock().expect("nobody panicked").len() <= FAILED_MAX);
    }
}
