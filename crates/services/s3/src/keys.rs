//! The keys that clients of an S3 server sign their requests with.

use std::fmt;

use bench_stack::{StackError, secret};

/// An access key and its secret key.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// The access key.
    pub access_key: String,
    /// The secret key.
    pub secret_key: String,
}

impl Keys {
    /// Keys that nobody can guess.
    pub fn random() -> Result<Self, StackError> {
        Ok(Self { access_key: secret::password()?, secret_key: secret::password()? })
    }

    /// Reads [`Keys::lines`].
    #[must_use]
    pub fn parse(lines: &str) -> Self {
        let mut lines = lines.lines().map(str::to_owned);
        let mut next = || lines.next().unwrap_or_default();
        Self { access_key: next(), secret_key: next() }
    }

    /// The access key in the first line, the secret key in the second.
    #[must_use]
    pub fn lines(&self) -> String {
        format!("{}\n{}\n", self.access_key, self.secret_key)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_written() {
        let keys = Keys::random().expect("random");
        assert_ne!(keys.access_key, keys.secret_key);
        assert_eq!(Keys::parse(&keys.lines()), keys);
    }

    #[test]
    fn the_secret_is_not_shown() {
        let keys = Keys::random().expect("random");
        let shown = format!("{keys:?}");
        assert!(shown.contains(&keys.access_key) && !shown.contains(&keys.secret_key), "{shown}");
    }
}
