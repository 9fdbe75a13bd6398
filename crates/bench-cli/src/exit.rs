//! Exit codes, and how errors map to them.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

use bench_core::system::{plain, survive_file_size_limit};

use crate::{panics, progress};

/// The exit codes of all tools, defined only here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The work was done and its result is good.
    Good = 0,
    /// The work failed.
    Failed = 1,
    /// The command line is invalid; nothing was done.
    Usage = 2,
    /// The run is invalid, or its result is partial: `docs/results.md` lists the reasons.
    Invalid = 3,
    /// A threshold or a regression gate failed.
    GateFailed = 4,
    /// A signal ended the work early; the measurements until then are kept.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A command line that parses but is invalid.
///
/// Anywhere in an error's chain, it makes [`main_with`] exit with [`Exit::Usage`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(String);

impl UsageError {
    /// An error from the option at fault, the problem and the remedy:
    /// `--rate: 0 sends nothing; leave the option out to send as fast as possible`.
    pub fn new(option: &str, problem: impl Display, remedy: impl Display) -> Self {
        Self(format!("{option}: {problem}; {remedy}"))
    }

    /// An error of a library that is the command line's fault and has a remedy of its own.
    pub fn from_library(error: impl Display) -> Self {
        Self(error.to_string())
    }
}

/// A signal ended the work before there was anything to measure. The text completes "interrupted
/// while".
///
/// Anywhere in an error's chain, it makes [`main_with`] exit with [`Exit::Interrupted`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("interrupted while {0}")]
pub struct Interrupted(pub &'static str);

/// Runs a tool and returns its exit code. Call it first in `main`, since it turns system limits
/// that would kill the process into errors.
///
/// Prints an error to standard error as one line, with causes joined by `: `, system errors in
/// plain words, and control characters escaped.
pub fn main_with(tool: fn() -> anyhow::Result<Exit>) -> ExitCode {
    survive_file_size_limit();
    panics::tell_refusals();
    // The panic was already reported where it happened.
    let ended = std::panic::catch_unwind(tool).unwrap_or(Ok(Exit::Failed));
    let exit = ended.unwrap_or_else(|error| {
        progress::print_line_on_stderr(&format!("error: {}", told(&error)));
        exit_of(&error)
    });
    if exit == Exit::Interrupted {
        // Interrupted calls may still run in other threads, which need the libraries that exit
        // handlers tear down. Everything the tool owns has been shut down cleanly by now.
        let _ = io::stdout().flush();
        signal_hook::low_level::exit(exit as i32);
    }
    exit.into()
}

/// An error with its causes, as shown to people.
pub(crate) fn told(error: &anyhow::Error) -> String {
    plain(&format!("{error:#}"))
}

fn exit_of(error: &anyhow::Error) -> Exit {
    if holds::<UsageError>(error) {
        Exit::Usage
    } else if holds::<Interrupted>(error) {
        Exit::Interrupted
    } else {
        Exit::Failed
    }
}

/// Whether an error of this kind is anywhere in the chain.
fn holds<E: std::error::Error + Send + Sync + 'static>(error: &anyhow::Error) -> bool {
    // The first finds an error used as context, the second one below library errors.
    error.downcast_ref::<E>().is_some() || error.chain().any(<dyn std::error::Error>::is::<E>)
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    fn usage() -> UsageError {
        UsageError::new("--partitions", "0 is too few", "use at least 1")
    }

    #[test]
    fn interrupts_have_their_own_code_anywhere() {
        let error = anyhow::Error::new(Interrupted("consumers were joining")).context("drain");
        assert_eq!(exit_of(&error), Exit::Interrupted);
        assert_eq!(format!("{error:#}"), "drain: interrupted while consumers were joining");
    }

    #[test]
    fn usage_errors_name_option_problem_and_remedy() {
        assert_eq!(usage().to_string(), "--partitions: 0 is too few; use at least 1");
    }

    #[test]
    fn usage_errors_are_found_anywhere_in_the_chain() {
        #[derive(Debug, thiserror::Error)]
        #[error("failed to make a plan")]
        struct Plan(#[source] UsageError);

        let outermost = anyhow!("no such file").context(usage());
        let innermost = Err::<(), _>(usage()).context("a").context("b").expect_err("is an error");
        let below_a_library_error = anyhow::Error::from(Plan(usage())).context("c");
        for error in [outermost, innermost, below_a_library_error] {
            assert_eq!(exit_of(&error), Exit::Usage, "{error:#}");
        }
    }

    #[test]
    fn system_errors_are_shown_in_plain_words() {
        let error = std::io::Error::from_raw_os_error(2);
        let error = anyhow::Error::from(error).context("failed to read /x");
        let plain = "failed to read /x: no such file or folder; check the path";
        assert_eq!(told(&error), plain);
    }

    #[test]
    fn other_errors_are_failures() {
        assert_eq!(exit_of(&anyhow!("the broker is gone").context("failed to send")), Exit::Failed);
    }
}
