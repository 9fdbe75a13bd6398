//! Whether a service responds.

use std::sync::{Arc, Mutex, PoisonError};

use deltalake::logstore::object_store::client::HttpError;

use crate::reason::broken_off;

/// The reason why the last request got no response, if it got none. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Outage(Arc<Mutex<Option<String>>>);

impl Outage {
    /// Records whether a request to this host got a response, whatever its status.
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
    fn outage_ends_with_the_next_response() {
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
