//! What can go wrong with Kafka: what was attempted, on what, and what helps.

use std::path::PathBuf;
use std::time::Duration;

use rdkafka::types::RDKafkaErrorCode;

use crate::answers::{self, Subject};
use crate::complaint::{self, Complaint};

/// Why something asked of Kafka, or of its client's configuration, did not work.
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
        /// Why not.
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
    /// A setting is not `key=value`.
    #[error("'{name}' has no value; write --config KEY=VALUE, such as --config linger.ms=5")]
    SettingSyntax {
        /// What was given; never more than the part before any `=`.
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
        /// The nearest name, or where the names are listed.
        remedy: String,
    },
    /// A property has a value that librdkafka does not take, or lacks one that it needs.
    #[error("{property} ({origin}): {reason}")]
    InvalidProperty {
        /// The property.
        property: String,
        /// Where it was set.
        origin: String,
        /// What is wrong with the value, which is never quoted when it is secret.
        reason: String,
    },
    /// A property would keep a tool from its work.
    #[error("{property} ({origin}) cannot be set: {reason}")]
    Reserved {
        /// The property and its value.
        property: String,
        /// Where it was set.
        origin: String,
        /// Why not, and what to do.
        reason: &'static str,
    },
    /// Two settings contradict each other.
    #[error("{first} and {second} do not fit together: {reason}")]
    Conflict {
        /// The one, with its value and where it was set.
        first: String,
        /// The other.
        second: String,
        /// What must hold, and what to do.
        reason: String,
    },
    /// The client library refuses settings as a whole, before anything was connected.
    #[error("librdkafka refuses the settings of the {clients}: {reason}; change or remove them")]
    Settings {
        /// Whose settings they are.
        clients: &'static str,
        /// librdkafka's words.
        reason: String,
    },
    /// No server is named.
    #[error(
        "no Kafka server is named; use --bootstrap-servers HOST:PORT, the environment variable \
         KAFKA_BOOTSTRAP_SERVERS, or bootstrap.servers in a --properties file"
    )]
    NoServers,
    /// The client library refuses the configuration as a whole.
    #[error("failed to start a Kafka client for {servers}: {reason}")]
    Client {
        /// The servers of the configuration.
        servers: String,
        /// librdkafka's words.
        reason: String,
    },
    /// No broker answered.
    #[error(
        "failed to reach a Kafka broker at {servers} within {timeout:?}{}; {}",
        within_parentheses(complaint.as_ref()),
        remedy(complaint.as_ref())
    )]
    Unreachable {
        /// The servers of the configuration.
        servers: String,
        /// How long was waited.
        timeout: Duration,
        /// The last failure of a connection, where one is known.
        complaint: Option<Complaint>,
    },
    /// The broker does not accept who asks.
    #[error("the Kafka broker at {servers} refused the connection: {}; {}", complaint.what, complaint.remedy)]
    Refused {
        /// The servers of the configuration.
        servers: String,
        /// What does not fit.
        complaint: Complaint,
    },
    /// The cluster failed a request.
    #[error("failed to {action}: {meaning}")]
    Request {
        /// What was attempted, and on what.
        action: String,
        /// What the broker or the client library answered.
        code: RDKafkaErrorCode,
        /// What that means and what to do, as one sentence.
        meaning: String,
    },
    /// A broker was not reachable while a request waited.
    #[error("failed to {action}: no connection to {complaint}; {}", complaint.remedy)]
    NoConnection {
        /// What was attempted, and on what.
        action: String,
        /// What the client library gave up with.
        code: RDKafkaErrorCode,
        /// The connection that failed.
        complaint: Complaint,
    },
    /// The cluster took a request, and its effect did not show in time.
    #[error("failed to {action}: no effect within {timeout:?}; raise --timeout")]
    NoEffect {
        /// What was attempted, and on what.
        action: String,
        /// How long was waited.
        timeout: Duration,
    },
    /// The topic does not exist.
    #[error("topic '{topic}' does not exist; list the topics with `topic-clean list`")]
    NoSuchTopic {
        /// The topic.
        topic: String,
    },
    /// A topic was deleted to be created again, and that failed.
    #[error(
        "topic '{topic}' has been deleted and could not be created again; create it by hand: \
         topic-clean create {topic} {options}"
    )]
    NotRecreated {
        /// The topic.
        topic: String,
        /// The options of `topic-clean create` that make it what it was.
        options: String,
        /// Why not.
        source: Box<KafkaError>,
    },
    /// The client library failed in a way that no broker caused.
    #[error("failed to {action}: {reason}")]
    Library {
        /// What was attempted, and on what.
        action: String,
        /// librdkafka's words.
        reason: String,
    },
}

impl KafkaError {
    /// The failure of `action` ("delete topic 'x'") in the client library's terms, made ours.
    #[must_use]
    pub fn from_library(action: impl Into<String>, error: &rdkafka::error::KafkaError) -> Self {
        Self::of_subject(action, error, &Subject::default())
    }

    /// The same for a request about `subject`.
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

    /// The answer `code` to `action`, which was about `subject`, with the broker's own `words` where
    /// it sent any.
    pub(crate) fn answer(
        action: impl Into<String>,
        code: RDKafkaErrorCode,
        subject: &Subject,
        words: Option<&str>,
    ) -> Self {
        let meaning = answers::sentence(code, subject, words);
        Self::Request { action: action.into(), code, meaning }
    }

    /// The same failure with the connection that failed meanwhile, where that is why it got no
    /// answer.
    pub(crate) fn because_of(self, complaint: Option<Complaint>) -> Self {
        match (self, complaint) {
            (Self::Request { action, code, .. }, Some(complaint)) if is_unanswered(code) => {
                Self::NoConnection { action, code, complaint }
            }
            (error, _) => error,
        }
    }

    /// Whether the options or the configuration are at fault, before anything was asked of Kafka.
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

    /// Whether the broker understood the request and will never carry it out, as it answers to
    /// deleting records of a compacted topic, or because it does not know the request at all.
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

/// Whether the client library gives a request up so that no broker has answered.
fn is_unanswered(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::OperationTimedOut
            | RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::Resolve
    )
}

fn within_parentheses(complaint: Option<&Complaint>) -> String {
    complaint.map(|complaint| format!(" ({complaint})")).unwrap_or_default()
}

fn remedy(complaint: Option<&Complaint>) -> &'static str {
    complaint.map_or(complaint::GENERAL, |complaint| complaint.remedy)
}

/// Whether a broker answers so for the moment only, while it takes over a new or moved partition.
pub(crate) fn is_passing(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::NotLeaderForPartition
            | RDKafkaErrorCode::LeaderNotAvailable
            | RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::FencedLeaderEpoch
            | RDKafkaErrorCode::UnknownLeaderEpoch
            | RDKafkaErrorCode::KafkaStorageError
    )
}

/// The code within an error of the client library. Its own accessor leaves out admin operations.
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
    fn admin_operations_keep_their_code() {
        let library = rdkafka::error::KafkaError::AdminOp(RDKafkaErrorCode::PolicyViolation);
        let error = KafkaError::from_library("delete the records of topic 'x'", &library);
        assert_eq!(error.code(), Some(RDKafkaErrorCode::PolicyViolation));
        assert!(error.is_refusal());
        assert!(error.to_string().starts_with("failed to delete the records of topic 'x': "));
    }

    #[test]
    fn a_time_out_is_no_refusal() {
        let library = rdkafka::error::KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut);
        let error = KafkaError::from_library("delete topic 'x'", &library);
        assert!(!error.is_refusal());
        assert!(
            error.to_string().ends_with("raise --timeout, or look into the state of the cluster")
        );
    }

    #[test]
    fn an_unreachable_broker_is_named_with_the_cause() {
        let error = KafkaError::Unreachable {
            servers: "127.0.0.1:1".into(),
            timeout: Duration::from_secs(10),
            complaint: Some(Complaint::new("127.0.0.1:1/1: Connection refused")),
        };
        let text = error.to_string();
        let expected = "at 127.0.0.1:1 within 10s (127.0.0.1:1: Connection refused); check";
        assert!(text.contains(expected), "{text}");
    }
}
