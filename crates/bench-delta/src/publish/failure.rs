//! Why messages have failed, and whether they may be in the table all the same.

use deltalake::logstore::object_store;

use crate::error::{NoAnswer, no_answer, store_reason};
use crate::table::Table;

/// Why the messages of a batch have failed.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) kind: FailureKind,
    pub(super) text: String,
    /// Whether the store has not answered, rather than refused.
    pub(super) is_unanswered: bool,
    /// Whether the writer stops.
    pub(super) is_final: bool,
}

/// What is known of messages that have failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// Their data file was not written.
    NotWritten = 1,
    /// Their log entry was not written, and will not appear.
    NotCommitted = 2,
    /// Whether their log entry was written could not be found out.
    InDoubt = 3,
}

/// What is added to the code of a failure without an answer from the store.
pub(super) const UNANSWERED: i32 = 10;

impl FailureKind {
    /// The code of failed completions that the store has refused.
    pub(super) fn code(self) -> i32 {
        self as i32
    }

    /// Whether messages of this code can never be read.
    pub(super) fn is_taken_back(code: i32) -> bool {
        let kind = code % UNANSWERED;
        kind == Self::NotWritten.code() || kind == Self::NotCommitted.code()
    }
}

impl Failure {
    /// The code of failed completions.
    pub(super) fn code(&self) -> i32 {
        self.kind.code() + if self.is_unanswered { UNANSWERED } else { 0 }
    }

    /// Whether the store has not answered to messages of this code.
    pub(super) fn is_unanswered(code: i32) -> bool {
        code >= UNANSWERED
    }
}

/// What came in the way of one try.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    pub(super) text: String,
    /// Whether the store has not answered.
    pub(super) is_unanswered: bool,
    /// Whether another try is of no use.
    pub(super) is_final: bool,
}

impl Trouble {
    pub(super) fn passing(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_unanswered: false, is_final: false }
    }

    /// There was no answer in time.
    pub(super) fn unanswered() -> Self {
        Self { text: NoAnswer.to_string(), is_unanswered: true, is_final: false }
    }

    /// What there is to say of this try after the one before. The last one is often cut off in the
    /// middle: what the store has said before counts for more than that.
    pub(super) fn after(self, before: Option<Self>) -> Self {
        match before {
            Some(refused) if self.is_unanswered && !refused.is_unanswered => refused,
            _ => self,
        }
    }

    pub(super) fn lasting(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_unanswered: false, is_final: true }
    }
}

impl From<object_store::Error> for Trouble {
    fn from(error: object_store::Error) -> Self {
        use object_store::Error as E;
        let is_final = matches!(
            error,
            E::PermissionDenied { .. }
                | E::Unauthenticated { .. }
                | E::NotSupported { .. }
                | E::NotImplemented { .. }
                | E::InvalidPath { .. }
                | E::UnknownConfigurationKey { .. }
        );
        let is_unanswered = no_answer(&error).is_some();
        Self { text: store_reason(&error), is_unanswered, is_final }
    }
}

/// What to do about a table that another writer has changed. Starting again helps only while the
/// table can still hold messages.
pub(super) fn what_to_do(table: Option<&Table>) -> String {
    match table.and_then(Table::refusal) {
        Some(refusal) => refusal.to_string(),
        None => "start again to write to the table as it is now".to_owned(),
    }
}

/// The first failure of each code, for people.
#[derive(Default)]
pub(super) struct Failures(Vec<Failure>);

impl Failures {
    /// Keeps what there is to know; returns the code.
    pub(super) fn add(&mut self, failure: Failure) -> i32 {
        let code = failure.code();
        if self.0.iter().all(|known| known.code() != code) {
            self.0.push(failure);
        }
        code
    }

    pub(super) fn explain(&self, code: i32) -> String {
        let known = self.0.iter().find(|known| known.code() == code);
        known.map_or_else(|| format!("code {code}"), |known| known.text.clone())
    }
}
