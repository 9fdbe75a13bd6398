//! What can go wrong with a service.

use std::io;
use std::path::PathBuf;

/// Why a service did not start, or did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The running program's file, which is also the service's, cannot be found.
    #[error("failed to find this program's own file to start the embedded Kafka broker from")]
    OwnExecutable(#[source] io::Error),
    /// The service's process could not be started.
    #[error("failed to start the embedded Kafka broker from {}", executable.display())]
    Start {
        /// The file that was to run.
        executable: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The service's process did not answer, or answered nonsense.
    #[error(
        "failed to {action}: the embedded Kafka broker {reason}; see its messages above, or name a \
         server with --bootstrap-servers"
    )]
    NoAnswer {
        /// What was attempted.
        action: String,
        /// What it did instead.
        reason: String,
    },
    /// The service refused a request.
    #[error("failed to {action}: the embedded Kafka broker answered: {reason}")]
    Refused {
        /// What was attempted.
        action: String,
        /// Its words.
        reason: String,
    },
}
