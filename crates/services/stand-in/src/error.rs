//! What can go wrong with a stand-in.

use std::io;
use std::path::PathBuf;

use bench_stack::StackError;

/// Why a stand-in did not start, or did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum StandInError {
    /// Its program was not found.
    #[error("failed to start the {service}: {source}")]
    NotFound {
        /// The stand-in.
        service: &'static str,
        /// Why not.
        source: StackError,
    },
    /// Its process could not be started.
    #[error("failed to start the {service} from {}", executable.display())]
    Start {
        /// The stand-in.
        service: &'static str,
        /// Its program.
        executable: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Its program was built from another version of the sources.
    #[error(
        "failed to start the {service}: its program {} was built from another version; build it \
         again with `cargo build --release -p {package}`",
        executable.display()
    )]
    OtherVersion {
        /// The stand-in.
        service: &'static str,
        /// Its program.
        executable: PathBuf,
        /// The package that the program is built from.
        package: &'static str,
    },
    /// Its process did not answer, or gave an invalid answer.
    #[error("failed to {action}: the {service} {reason}; see its messages above, or {remedy}")]
    NoAnswer {
        /// What was attempted.
        action: String,
        /// The stand-in.
        service: &'static str,
        /// What it did instead.
        reason: String,
        /// How to do without it.
        remedy: &'static str,
    },
    /// It refused a request.
    #[error("failed to {action}: the {service} answered: {reason}")]
    Refused {
        /// What was attempted.
        action: String,
        /// The stand-in.
        service: &'static str,
        /// Its answer.
        reason: String,
    },
    /// Its temporary folder could not be created.
    #[error(
        "failed to create a folder for the {service} in {}: {reason}; set TMPDIR to a folder with \
         free space",
        path.display()
    )]
    Folder {
        /// The stand-in.
        service: &'static str,
        /// The parent folder.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// It could not be started in this process.
    #[error("failed to start the {service} in this process")]
    Background {
        /// The stand-in.
        service: &'static str,
        /// Why not.
        source: io::Error,
    },
}
