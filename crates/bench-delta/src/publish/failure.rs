//! Why messages failed, and whether they may be in the table anyway.

use bench_core::transport;
use deltalake::logstore::object_store;

use crate::reason::{NoAnswer, is_denied, no_answer, store_reason};
use crate::table::Table;

/// Why the messages of a batch failed.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) kind: FailureKind,
    pub(super) text: String,
    /// Whether the store did not respond, rather than reject the request.
    pub(super) is_unanswered: bool,
    /// Whether the writer stops.
    pub(super) is_final: bool,
}

/// The state of failed messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// Their data file was not written.
    NotWritten,
    /// Their log entry was not written and will not appear.
    NotCommitted,
    /// Their log entry may or may not have been written.
    InDoubt,
}

/// The error of one attempt.
#[derive(Debug, Clone)]
pub(super) struct AttemptError {
    pub(super) text: String,
    /// Whether the store did not respond.
    pub(super) is_unanswered: bool,
    /// Whether retrying is pointless.
    pub(super) is_final: bool,
}

impl AttemptError {
    pub(super) fn transient(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_unanswered: false, is_final: false }
    }

    /// The attempt timed out.
    pub(super) fn unanswered() -> Self {
        Self { text: NoAnswer.to_string(), is_unanswered: true, is_final: false }
    }

    /// Picks the error to report from this attempt and the one before. The last attempt is often
    /// cut off midway, so an earlier answer of the store is worth more than a timeout.
    pub(super) fn after(self, before: Option<Self>) -> Self {
        match before {
            Some(refused) if self.is_unanswered && !refused.is_unanswered => refused,
            _ => self,
        }
    }

    pub(super) fn fatal(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_unanswered: false, is_final: true }
    }
}

impl From<object_store::Error> for AttemptError {
    fn from(error: object_store::Error) -> Self {
        use object_store::Error as E;
        let is_final = is_denied(&error)
            || matches!(
                error,
                E::NotSupported { .. }
                    | E::NotImplemented { .. }
                    | E::InvalidPath { .. }
                    | E::UnknownConfigurationKey { .. }
            );
        let is_unanswered = no_answer(&error).is_some();
        Self { text: store_reason(&error), is_unanswered, is_final }
    }
}

/// The remedy for a table that another writer changed. Starting again helps only if the table can
/// still hold messages.
pub(super) fn remedy(table: Option<&Table>) -> String {
    match table.and_then(Table::refusal) {
        Some(refusal) => refusal.to_string(),
        None => "start again to write to the table as it is now".to_owned(),
    }
}

/// The first failure of each kind, for explanations; the code of each is its index.
#[derive(Default)]
pub(super) struct Failures(Vec<Failure>);

impl Failures {
    /// Keeps the first failure of each kind; returns the failure as the engine knows it.
    pub(super) fn add(&mut self, failure: Failure) -> transport::Failure {
        let kind = |failure: &Failure| (failure.kind, failure.is_unanswered);
        let known = self.0.iter().position(|known| kind(known) == kind(&failure));
        let code = i32::try_from(known.unwrap_or(self.0.len())).unwrap_or(i32::MAX);
        let reported = match failure.kind {
            // Such messages can never be read.
            FailureKind::NotWritten | FailureKind::NotCommitted => {
                transport::Failure::Aborted(code)
            }
            FailureKind::InDoubt if failure.is_unanswered => transport::Failure::Unanswered(code),
            FailureKind::InDoubt => transport::Failure::Refused(code),
        };
        if known.is_none() {
            self.0.push(failure);
        }
        reported
    }

    pub(super) fn explain(&self, failure: transport::Failure) -> String {
        let code = failure.code();
        self.get(failure).map_or_else(|| format!("code {code}"), |known| known.text.clone())
    }

    /// The failure that was reported as this one.
    pub(super) fn get(&self, failure: transport::Failure) -> Option<&Failure> {
        usize::try_from(failure.code()).ok().and_then(|index| self.0.get(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denied_requests_of_all_kinds_are_final() {
        for (status, is_final) in [(401, true), (403, true), (404, false), (503, false)] {
            let source = format!("Server returned non-2xx status code: {status} : ").into();
            let error = object_store::Error::Generic { store: "S3", source };
            assert_eq!(AttemptError::from(error).is_final, is_final, "{status}");
        }
    }
}
