//! What can go wrong with a local stack.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a local stack did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// This machine lacks a program or a package.
    #[error("{what}; {remedy}")]
    Missing {
        /// What was looked for, and found lacking.
        what: String,
        /// What to install or to set.
        remedy: String,
    },
    /// What is not on this machine could not be fetched.
    #[error("failed to fetch {what}: {how}; {remedy}{}", quoted(last_lines))]
    NotFetched {
        /// What.
        what: String,
        /// How the program that fetches it ended.
        how: String,
        /// What may help.
        remedy: String,
        /// The last that the program said.
        last_lines: String,
    },
    /// The stack that was asked for cannot be.
    #[error("{0}")]
    Options(String),
    /// The folder holds a stack already, of another shape.
    #[error("the stack in {} {difference}: end it first with `services down`", dir.display())]
    Different {
        /// The stack's folder.
        dir: PathBuf,
        /// In what it differs from what was asked for.
        difference: String,
    },
    /// There is no stack in this folder.
    #[error("there is no stack in {}: start one with `services up`", dir.display())]
    NoStack {
        /// The folder.
        dir: PathBuf,
    },
    /// Another process is at work on the same stack or the same cache.
    #[error("another process has been at work on {} for {waited:?}: wait for it or end it", path.display())]
    Busy {
        /// What is locked.
        path: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The user interrupted the wait, see [`interruptible`](super::interruptible).
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
    /// The record of a stack makes no sense.
    #[error("failed to understand {}, which is no record of a stack", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: serde_json::Error,
    },
    /// A program could not be started.
    #[error("failed to start {} for {purpose}", program.display())]
    Spawn {
        /// What it was to do.
        purpose: String,
        /// The program.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A program that was to end well did not.
    #[error("failed to {purpose}: {how}{}", said(last_lines, log))]
    Command {
        /// What it was to do.
        purpose: String,
        /// How it ended.
        how: String,
        /// The last that it said.
        last_lines: String,
        /// Where the rest is.
        log: PathBuf,
    },
    /// A server ended, or did not become healthy in time.
    #[error("{node} did not start: {how}{}", said(last_lines, log))]
    Unhealthy {
        /// The node.
        node: String,
        /// What is wrong with it.
        how: String,
        /// The last that it said.
        last_lines: String,
        /// Where the rest is.
        log: PathBuf,
    },
    /// The stack has no such node.
    #[error("the stack has no node '{name}'; it has {known}")]
    UnknownNode {
        /// What was asked for.
        name: String,
        /// The nodes that there are.
        known: String,
    },
    /// What a node is doing does not go with what was asked.
    #[error("failed to {attempted} {node}: it {state}")]
    State {
        /// `freeze`, ...
        attempted: &'static str,
        /// The node.
        node: String,
        /// What it does instead: `has ended`, ...
        state: String,
    },
    /// No port of this machine could be had.
    #[error("found no free port on 127.0.0.1 between {first} and {last}")]
    NoPort {
        /// The lowest that was tried.
        first: u16,
        /// The highest.
        last: u16,
    },
    /// Certificates could not be made.
    #[error("failed to make certificates for the TLS listeners")]
    Certificates(#[source] rcgen::Error),
}

impl LocalError {
    /// Whether the reason is something that this machine lacks, so that a test may be skipped.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::NotFetched { .. })
    }

    /// Whether what was asked for is at fault: nothing has been done, and nothing would help but
    /// asking for something else.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Options(_) | Self::Different { .. } | Self::UnknownNode { .. })
    }

    /// For `map_err` after a program was run to fetch `what`, whose log goes with its folder.
    pub(super) fn not_fetched(what: &str, remedy: &str) -> impl FnOnce(Self) -> Self {
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

    /// For `map_err` after something done to a file or folder.
    pub(super) fn file(attempted: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { attempted, path: path.to_owned(), source }
    }
}

fn quoted(last_lines: &str) -> String {
    if last_lines.is_empty() { String::new() } else { format!(". It said:\n{last_lines}") }
}

fn said(last_lines: &str, log: &Path) -> String {
    if last_lines.is_empty() {
        return format!(" (it said nothing; its log is {})", log.display());
    }
    format!(". Its last lines, of {}:\n{last_lines}", log.display())
}
