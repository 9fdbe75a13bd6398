//! What can go wrong with a service.

use std::io;
use std::path::PathBuf;

/// Why a service did not start, or did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The running program's file, which is also the service's, cannot be found.
    #[error("failed to find this program's own file to start the {service} from")]
    OwnExecutable {
        /// What was to be started.
        service: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// The service's process could not be started.
    #[error("failed to start the {service} from {}", executable.display())]
    Start {
        /// What was to be started.
        service: &'static str,
        /// The file that was to run.
        executable: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The service's process did not answer, or answered nonsense.
    #[error("failed to {action}: the {service} {reason}; see its messages above, or {remedy}")]
    NoAnswer {
        /// What was attempted.
        action: String,
        /// The service.
        service: &'static str,
        /// What it did instead.
        reason: String,
        /// How to do without it.
        remedy: &'static str,
    },
    /// The service refused a request.
    #[error("failed to {action}: the {service} answered: {reason}")]
    Refused {
        /// What was attempted.
        action: String,
        /// The service.
        service: &'static str,
        /// Its words.
        reason: String,
    },
    /// There is no temporary folder for the service.
    #[error(
        "failed to make a folder for the {service} in {}: {reason}; set TMPDIR to a folder with room",
        path.display()
    )]
    Folder {
        /// What was to be started.
        service: &'static str,
        /// Where it was to be made.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The service could not be started inside of this process.
    #[error("failed to start the {service} in this process")]
    Background {
        /// What was to be started.
        service: &'static str,
        /// Why not.
        source: io::Error,
    },
}
