//! Whether a service answers.

use std::sync::{Arc, Mutex, PoisonError};

use deltalake::logstore::object_store::client::HttpError;

use crate::error::broken_off;

/// Why a service does not answer, if the last request had no answer. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Outage(Arc<Mutex<Option<String>>>);

impl Outage {
    /// A request to this host had an answer, whatever it says, or none.
    pub(super) fn note<T>(&self, host: &str, answer: &Result<T, HttpError>) {
        let reason = match answer {
            Ok(_) => None,
            Err(error) => broken_off(error).map(|reason| format!("{host}: {reason}")),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }

    pub(super) fn reason(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use deltalake::logstore::object_store::client::HttpErrorKind;

    use super::*;

    #[test]
    fn it_lasts_until_the_next_answer() {
        let outage = Outage::default();
        assert_eq!(outage.reason(), None);
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let refused = Err::<(), _>(HttpError::new(HttpErrorKind::Connect, refused));
        outage.note("127.0.0.1:9000", &refused);
        let reason = "127.0.0.1:9000: failed to connect: connection refused";
        assert_eq!(outage.reason().as_deref(), Some(reason));
        outage.note("127.0.0.1:9000", &Ok(()));
        assert_eq!(outage.reason(), None);
    }
}
