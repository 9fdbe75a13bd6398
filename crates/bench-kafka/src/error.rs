//! Errors of Kafka and its client's configuration, each with a remedy.

use std::path::PathBuf;
use std::time::Duration;

use rdkafka::types::RDKafkaErrorCode;

use crate::answers::{self, Subject};
use crate::connection_error::{self, ConnectionError};

/// An error of a request to Kafka or of the client's configuration.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// The properties file cannot be read.
    #[error(
        "failed to read the properties file {}: {cause}; use a readable file with --properties",
        path.display()
    )]
    ReadProperties {
        /// The file.
        path: PathBuf,
        /// The error of reading it.
        cause: std::io::Error,
    },
    /// A line of the properties file is malformed.
    #[error("failed to read {}, line {line}: {reason}", path.display())]
    PropertiesSyntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A `--config` setting is not `key=value`.
    #[error("'{name}' has no value; write --config KEY=VALUE, such as --config linger.ms=5")]
    SettingSyntax {
        /// The given text; never more than the part before any `=`.
        name: String,
    },
    /// A property of the Java client that librdkafka does not know.
    #[error("{property} ({origin}) belongs to the Java client; {remedy}")]
    JavaOnly {
        /// The property.
        property: String,
        /// Where it was set.
        origin: String,
        /// What to use instead.
        remedy: String,
    },
    /// A property that librdkafka does not know.
    #[error("{property} ({origin}) is not a librdkafka property; {remedy}")]
    UnknownProperty {
        /// The property.
        property: String,
        /// Where it was set.
        origin: String,
        /// The nearest known name, or where names are listed.
        remedy: String,
    },
    /// A property's value is invalid, or another property that it needs is missing.
    #[error("{property} ({origin}): {reason}")]
    InvalidProperty {
        /// The property.
        property: String,
        /// Where it was set.
        origin: String,
        /// What is wrong with the value; never quotes a secret.
        reason: String,
    },
    /// The tools depend on another value of this property.
    #[error("{property} ({origin}) cannot be set: {reason}")]
    Reserved {
        /// The property and its value.
        property: String,
        /// Where it was set.
        origin: String,
        /// Why not, and what to do.
        reason: &'static str,
    },
    /// Two settings conflict.
    #[error("{first} conflicts with {second}: {reason}")]
    Conflict {
        /// One setting, with its value and origin.
        first: String,
        /// The other setting.
        second: String,
        /// What must hold, and the remedy.
        reason: String,
    },
    /// The client library rejects the settings as a whole, before connecting.
    #[error("librdkafka rejects the settings of the {clients}: {reason}; change or remove them")]
    Settings {
        /// The clients that the settings are for.
        clients: &'static str,
        /// librdkafka's message.
        reason: String,
    },
    /// No server is set.
    #[error(
        "no Kafka server is set; use --bootstrap-servers HOST:PORT, the environment variable \
         KAFKA_BOOTSTRAP_SERVERS, or bootstrap.servers in a --properties file"
    )]
    NoServers,
    /// The client library failed to create a client.
    #[error("failed to start a Kafka client for {servers}: {reason}")]
    Client {
        /// The configured servers.
        servers: String,
        /// librdkafka's message.
        reason: String,
    },
    /// No broker answered.
    #[error(
        "failed to reach a Kafka broker at {servers} within {timeout:?}{}; {}",
        within_parentheses(connection_error.as_ref()),
        remedy(connection_error.as_ref())
    )]
    Unreachable {
        /// The configured servers.
        servers: String,
        /// The timeout.
        timeout: Duration,
        /// The last connection error, if any.
        connection_error: Option<ConnectionError>,
    },
    /// A broker refused the connection.
    #[error("the Kafka broker at {servers} refused the connection: {}; {}", connection_error.what, connection_error.remedy)]
    Refused {
        /// The configured servers.
        servers: String,
        /// The reason.
        connection_error: ConnectionError,
    },
    /// A request failed.
    #[error("failed to {action}: {meaning}")]
    Request {
        /// The attempted action and its object.
        action: String,
        /// The code of the broker or the client library.
        code: RDKafkaErrorCode,
        /// What the code means and the remedy, in one sentence.
        meaning: String,
    },
    /// A request failed because a broker was unreachable.
    #[error("failed to {action}: no connection to {connection_error}; {}", connection_error.remedy)]
    NoConnection {
        /// The attempted action and its object.
        action: String,
        /// The client library's code.
        code: RDKafkaErrorCode,
        /// The failed connection.
        connection_error: ConnectionError,
    },
    /// The cluster accepted a request, but its effect did not show in time.
    #[error("failed to {action}: no effect within {timeout:?}; raise --timeout")]
    NoEffect {
        /// The attempted action and its object.
        action: String,
        /// The timeout.
        timeout: Duration,
    },
    /// The topic does not exist.
    #[error("topic '{topic}' does not exist; list the topics with `topic-clean list`")]
    NoSuchTopic {
        /// The topic.
        topic: String,
    },
    /// A topic was deleted, and creating it again failed.
    #[error(
        "topic '{topic}' has been deleted and could not be created again; create it by hand: \
         topic-clean create {topic} {options}"
    )]
    NotRecreated {
        /// The topic.
        topic: String,
        /// The options of `topic-clean create` that restore it.
        options: String,
        /// The error of creating it.
        source: Box<KafkaError>,
    },
    /// The client library itself failed.
    #[error("failed to {action}: {reason}")]
    Library {
        /// The attempted action and its object.
        action: String,
        /// librdkafka's message.
        reason: String,
    },
}

impl KafkaError {
    /// Converts the client library's error in `action` ("delete topic 'x'").
    #[must_use]
    pub fn from_library(action: impl Into<String>, error: &rdkafka::error::KafkaError) -> Self {
        Self::of_subject(action, error, &Subject::default())
    }

    /// Converts the client library's error in a request about `subject`.
    pub(crate) fn of_subject(
        action: impl Into<String>,
        error: &rdkafka::error::KafkaError,
        subject: &Subject,
    ) -> Self {
        let action = action.into();
        match code(error) {
            Some(code) => Self::answer(action, code, subject, None),
            None => Self::Library { action, reason: error.to_string() },
        }
    }

    /// The error `code` of `action`, which was about `subject`, with the broker's own message in
    /// `words`, if it sent one.
    pub(crate) fn answer(
        action: impl Into<String>,
        code: RDKafkaErrorCode,
        subject: &Subject,
        words: Option<&str>,
    ) -> Self {
        let meaning = answers::sentence(code, subject, words);
        Self::Request { action: action.into(), code, meaning }
    }

    /// Adds the connection error that occurred meanwhile, if it explains why there was no answer.
    pub(crate) fn because_of(self, connection_error: Option<ConnectionError>) -> Self {
        match (self, connection_error) {
            (Self::Request { action, code, .. }, Some(connection_error)) if is_unanswered(code) => {
                Self::NoConnection { action, code, connection_error }
            }
            (error, _) => error,
        }
    }

    /// Whether the options or the configuration are at fault, before any request to Kafka.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::ReadProperties { .. }
                | Self::PropertiesSyntax { .. }
                | Self::SettingSyntax { .. }
                | Self::JavaOnly { .. }
                | Self::UnknownProperty { .. }
                | Self::InvalidProperty { .. }
                | Self::Reserved { .. }
                | Self::Conflict { .. }
                | Self::Settings { .. }
                | Self::NoServers
        )
    }

    /// The code of a failed request.
    #[must_use]
    pub fn code(&self) -> Option<RDKafkaErrorCode> {
        match self {
            Self::Request { code, .. } | Self::NoConnection { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether retrying is pointless because the broker refuses the request, such as deleting
    /// records of a compacted topic, or does not support it.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(
            self.code(),
            Some(
                RDKafkaErrorCode::PolicyViolation
                    | RDKafkaErrorCode::UnsupportedVersion
                    | RDKafkaErrorCode::UnsupportedFeature
                    | RDKafkaErrorCode::InvalidRequest
            )
        )
    }
}

/// Whether the client library uses this code for requests that no broker has answered.
fn is_unanswered(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::OperationTimedOut
            | RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::Resolve
    )
}

fn within_parentheses(connection_error: Option<&ConnectionError>) -> String {
    connection_error.map(|connection_error| format!(" ({connection_error})")).unwrap_or_default()
}

fn remedy(connection_error: Option<&ConnectionError>) -> &'static str {
    connection_error.map_or(connection_error::GENERAL, |connection_error| connection_error.remedy)
}

/// Whether the error is transient: the broker is taking over a new or moved partition. These are the
/// ones that Java's client retries (`RetriableException` in `Errors.java`) among those of a partition.
pub(crate) fn is_passing(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::NotLeaderForPartition
            | RDKafkaErrorCode::LeaderNotAvailable
            | RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::FencedLeaderEpoch
            | RDKafkaErrorCode::UnknownLeaderEpoch
            | RDKafkaErrorCode::OffsetNotAvailable
            | RDKafkaErrorCode::ReplicaNotAvailable
            | RDKafkaErrorCode::EligibleLeadersNotAvailable
            | RDKafkaErrorCode::PreferredLeaderNotAvailable
            | RDKafkaErrorCode::KafkaStorageError
    )
}

/// The code of a client library error. Its own accessor ignores admin operations.
fn code(error: &rdkafka::error::KafkaError) -> Option<RDKafkaErrorCode> {
    match error {
        rdkafka::error::KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_a_partition_in_transition_are_transient() {
        use RDKafkaErrorCode as Code;
        // A new leader tells no offsets until its followers have caught up.
        for code in [Code::OffsetNotAvailable, Code::LeaderNotAvailable, Code::ReplicaNotAvailable]
        {
            assert!(is_passing(code), "{code:?}");
        }
        for code in [Code::TopicAuthorizationFailed, Code::InvalidTopic, Code::OffsetOutOfRange] {
            assert!(!is_passing(code), "{code:?}");
        }
    }

    #[test]
    fn admin_operations_keep_their_code() {
        let library = rdkafka::error::KafkaError::AdminOp(RDKafkaErrorCode::PolicyViolation);
        let error = KafkaError::from_library("delete the records of topic 'x'", &library);
        assert_eq!(error.code(), Some(RDKafkaErrorCode::PolicyViolation));
        assert!(error.is_refusal());
        assert!(error.to_string().starts_with("failed to delete the records of topic 'x': "));
    }

    #[test]
    fn timeouts_are_not_refusals() {
        let library = rdkafka::error::KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut);
        let error = KafkaError::from_library("delete topic 'x'", &library);
        assert!(!error.is_refusal());
        assert!(error.to_string().ends_with("raise --timeout, or check the state of the cluster"));
    }

    #[test]
    fn unreachable_brokers_are_named_with_the_cause() {
        let error = KafkaError::Unreachable {
            servers: "127.0.0.1:1".into(),
            timeout: Duration::from_secs(10),
            connection_error: Some(ConnectionError::new("127.0.0.1:1/1: Connection refused")),
        };
        let text = error.to_string();
        let expected = "at 127.0.0.1:1 within 10s (127.0.0.1:1: Connection refused); check";
        assert!(text.contains(expected), "{text}");
    }
}
