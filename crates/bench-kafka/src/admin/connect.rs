//! Connects to a cluster, and finds out why that fails.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError as LibraryError;
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;

use super::POLL_INTERVAL;
use crate::config::KafkaConfig;
use crate::connection_error::ConnectionError;
use crate::error::KafkaError;

/// Timeout of the first attempt to reach a broker. The client's errors are read between attempts,
/// so that a rejected login ends the wait; each attempt takes twice as long as the one before,
/// which leaves time for a distant broker's answer.
const CONNECT_ATTEMPT: Duration = Duration::from_millis(250);

/// How long to check whether a certificate would be trusted under another name.
const PROBE: Duration = Duration::from_secs(2);

/// Keeps the last connection error that the client library reported.
#[derive(Default)]
pub(super) struct ConnectionErrors {
    last: Mutex<Option<LastError>>,
}

#[derive(Clone)]
pub(super) struct LastError {
    code: Option<RDKafkaErrorCode>,
    pub(super) connection_error: ConnectionError,
}

impl ConnectionErrors {
    pub(super) fn last(&self) -> Option<LastError> {
        self.last.lock().ok().and_then(|last| last.clone())
    }

    pub(super) fn forget(&self) {
        if let Ok(mut last) = self.last.lock() {
            *last = None;
        }
    }
}

impl ClientContext for ConnectionErrors {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, "{message}");
        if facility == "FAIL"
            && let Ok(mut last) = self.last.lock()
            // An error says as much, and also has a code.
            && last.as_ref().is_none_or(|last| last.code.is_none())
        {
            let line = message.split_once("]: ").map_or(message, |(_, line)| line);
            *last = Some(LastError { code: None, connection_error: ConnectionError::new(line) });
        }
    }

    fn error(&self, error: LibraryError, reason: &str) {
        tracing::debug!("{reason}");
        let code = error.rdkafka_error_code();
        // `AllBrokersDown` follows from the error before it, which gives the reason; the end of a
        // partition is not an error.
        if matches!(code, Some(RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::PartitionEOF)) {
            return;
        }
        if let Ok(mut last) = self.last.lock() {
            *last = Some(LastError { code, connection_error: ConnectionError::new(reason) });
        }
    }
}

impl ProducerContext for ConnectionErrors {
    type DeliveryOpaque = ();

    fn delivery(&self, _result: &DeliveryResult<'_>, _opaque: Self::DeliveryOpaque) {}
}

/// Waits until a broker has answered a request.
pub(super) fn wait_for_broker(
    client: &BaseProducer<ConnectionErrors>,
    servers: &str,
    timeout: Duration,
) -> Result<(), KafkaError> {
    let deadline = Instant::now() + timeout;
    let mut attempt = CONNECT_ATTEMPT;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if client.client().fetch_metadata(None, left.min(attempt)).is_ok() {
            return Ok(());
        }
        // For an interval, not once: most queued events are log lines.
        client.poll(POLL_INTERVAL);
        let last = client.context().last();
        let servers = servers.to_owned();
        match last {
            Some(LastError { code: Some(code), connection_error }) if is_final(code) => {
                return Err(KafkaError::Refused { servers, connection_error });
            }
            last if left.is_zero() => {
                let connection_error = last.map(|last| last.connection_error);
                return Err(KafkaError::Unreachable { servers, timeout, connection_error });
            }
            _ => attempt *= 2,
        }
    }
}

/// Checks whether an untrusted certificate is only issued for another host name, which the client
/// library does not report: TLS then succeeds without checking the name and without a login.
pub(super) fn name_mismatch(error: KafkaError, config: &KafkaConfig) -> KafkaError {
    let KafkaError::Refused { servers, connection_error } = error else { return error };
    if !connection_error.is_about_trust() {
        return KafkaError::Refused { servers, connection_error };
    }
    let mut probe = config.to_client_config();
    for (name, value) in
        [("security.protocol", "ssl"), ("ssl.endpoint.identification.algorithm", "none")]
    {
        probe.set(name, value);
    }
    for name in ["sasl.username", "sasl.password", "sasl.mechanism"] {
        probe.remove(name);
    }
    let client: Result<BaseProducer<ConnectionErrors>, _> =
        probe.create_with_context(ConnectionErrors::default());
    let is_trusted = client.is_ok_and(|client| match wait_for_broker(&client, &servers, PROBE) {
        Err(KafkaError::Refused { connection_error, .. }) => !connection_error.is_about_trust(),
        _ => true,
    });
    let connection_error =
        if is_trusted { connection_error.for_another_name() } else { connection_error };
    KafkaError::Refused { servers, connection_error }
}

/// Whether retrying is pointless.
fn is_final(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::UnsupportedSASLMechanism
            | RDKafkaErrorCode::SSL
    )
}
