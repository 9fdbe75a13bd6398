//! What can go wrong with a stack.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a stack could not be started, used or stopped.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// A program or package is not installed.
    #[error("{what}; {remedy}")]
    Missing {
        /// What is missing.
        what: String,
        /// What to install or to set.
        remedy: String,
    },
    /// A download failed.
    #[error("failed to fetch {what}: {how}; {remedy}{}", quoted(last_lines))]
    NotFetched {
        /// What.
        what: String,
        /// How the program that fetches it ended.
        how: String,
        /// What may help.
        remedy: String,
        /// The end of the program's output.
        last_lines: String,
    },
    /// The options of the stack cannot be used.
    #[error("{0}")]
    Options(String),
    /// The folder already holds a different stack.
    #[error("the stack in {} {difference}: stop it first with `services down`", dir.display())]
    Different {
        /// The stack's folder.
        dir: PathBuf,
        /// How it differs from the requested one.
        difference: String,
    },
    /// There is no stack in this folder.
    #[error("no stack in {}: start one with `services up`", dir.display())]
    NoStack {
        /// The folder.
        dir: PathBuf,
    },
    /// Another process uses the same stack or the same cache.
    #[error("{} has been locked by another process for {waited:?}: wait for it or stop it", path.display())]
    Busy {
        /// What is locked.
        path: PathBuf,
        /// How long this process waited.
        waited: Duration,
    },
    /// The user interrupted the wait, see [`interruptible`](crate::interruptible).
    #[error("interrupted")]
    Interrupted,
    /// A file or folder could not be read or written.
    #[error("failed to {attempted} {}", path.display())]
    File {
        /// `read`, `write`, ...
        attempted: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The record of a stack is not a valid one.
    #[error("failed to understand {}, which is not the record of a stack", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: serde_json::Error,
    },
    /// The record of a stack was written by another version of this program.
    #[error(
        "{} was written by another version: stop the stack with that version's `services down`, or \
         end its processes and remove {}",
        path.display(), dir.display()
    )]
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// The stack's folder.
        dir: PathBuf,
    },
    /// A program could not be started.
    #[error("failed to start {} for {purpose}", program.display())]
    Spawn {
        /// Its purpose.
        purpose: String,
        /// The program.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A program that should have succeeded failed.
    #[error("failed to {purpose}: {how}{}", said(last_lines, log))]
    Command {
        /// Its purpose.
        purpose: String,
        /// How it ended.
        how: String,
        /// The end of its output.
        last_lines: String,
        /// The file with all of its output.
        log: PathBuf,
    },
    /// A server ended or did not become healthy in time.
    #[error("{node} did not start: {how}{}", said(last_lines, log))]
    Unhealthy {
        /// The node.
        node: String,
        /// What is wrong with it.
        how: String,
        /// The end of its output.
        last_lines: String,
        /// The file with all of its output.
        log: PathBuf,
    },
    /// The stack has no such node.
    #[error("the stack has no node '{name}'; it has {known}")]
    UnknownNode {
        /// The name that was given.
        name: String,
        /// The nodes that it has.
        known: String,
    },
    /// The state of a node does not allow what was attempted.
    #[error("failed to {attempted} {node}: it {state}")]
    State {
        /// `freeze`, ...
        attempted: &'static str,
        /// The node.
        node: String,
        /// Its state: `has ended`, ...
        state: String,
    },
    /// All ports are in use.
    #[error("found no free port on 127.0.0.1 between {first} and {last}")]
    NoPort {
        /// The lowest port that was tried.
        first: u16,
        /// The highest.
        last: u16,
    },
    /// Something that a service needs for itself failed.
    #[error("failed to {attempted}")]
    Failed {
        /// What was attempted.
        attempted: &'static str,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StackError {
    /// Whether something is not installed on this machine, so that a test may be skipped.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::NotFetched { .. })
    }

    /// Whether the request is at fault: nothing has been done, and only another request would help.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Options(_) | Self::Different { .. } | Self::UnknownNode { .. })
    }

    /// For `map_err` after a program was run to download `what`, whose log goes with its folder.
    pub fn not_fetched(what: &str, remedy: &str) -> impl FnOnce(Self) -> Self {
        move |error| match error {
            Self::Command { how, last_lines, .. } => Self::NotFetched {
                what: what.to_owned(),
                how,
                remedy: remedy.to_owned(),
                last_lines,
            },
            other => other,
        }
    }

    /// For `map_err` after an attempt on a file or folder.
    pub fn file(attempted: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { attempted, path: path.to_owned(), source }
    }
}

fn quoted(last_lines: &str) -> String {
    if last_lines.is_empty() { String::new() } else { format!(". Its output:\n{last_lines}") }
}

fn said(last_lines: &str, log: &Path) -> String {
    if last_lines.is_empty() {
        return format!(" (it printed nothing; its log is {})", log.display());
    }
    format!(". Its last lines, of {}:\n{last_lines}", log.display())
}
