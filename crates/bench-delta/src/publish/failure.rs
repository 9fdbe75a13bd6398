//! Why messages have failed, and whether they may be in the table all the same.

use deltalake::logstore::object_store;

use crate::error::store_reason;

/// Why the messages of a batch have failed.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) kind: FailureKind,
    pub(super) text: String,
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

impl FailureKind {
    /// The code of failed completions.
    pub(super) fn code(self) -> i32 {
        self as i32
    }

    /// Whether messages of this code can never be read.
    pub(super) fn is_taken_back(code: i32) -> bool {
        code == Self::NotWritten.code() || code == Self::NotCommitted.code()
    }
}

/// What came in the way of one try.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) text: String,
    /// Whether another try is of no use.
    pub(super) is_final: bool,
}

impl Trouble {
    pub(super) fn passing(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_final: false }
    }

    pub(super) fn lasting(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_final: true }
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
        Self { text: store_reason(&error), is_final }
    }
}

/// The first failure of each kind, for people.
#[derive(Default)]
pub(super) struct Failures(Vec<Failure>);

impl Failures {
    /// Keeps what there is to know; returns the code.
    pub(super) fn add(&mut self, failure: Failure) -> i32 {
        let code = failure.kind.code();
        if self.0.iter().all(|known| known.kind != failure.kind) {
            self.0.push(failure);
        }
        code
    }

    pub(super) fn explain(&self, code: i32) -> String {
        let known = self.0.iter().find(|known| known.kind.code() == code);
        known.map_or_else(|| format!("code {code}"), |known| known.text.clone())
    }
}
