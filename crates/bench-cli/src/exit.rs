//! How a tool ends: the exit codes of all tools, and the way there from an error.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

use bench_core::system::{plain, survive_file_size_limit};

use crate::{panics, progress};

/// The exit codes of all tools. This is the one place that defines them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The work was done and its result is good.
    Good = 0,
    /// The work could not be done.
    Failed = 1,
    /// The command line asks for something that cannot be; nothing was done.
    Usage = 2,
    /// The run is invalid: messages were lost or arrived corrupt.
    Invalid = 3,
    /// A threshold or a regression gate failed.
    GateFailed = 4,
    /// A signal ended the work early; what was measured until then is kept.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A command line that was understood and cannot be carried out.
///
/// Anywhere in the chain of an error it makes [`main_with`] exit with [`Exit::Usage`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(String);

impl UsageError {
    /// Says which option is wrong, what is wrong with it and what to do about it:
    /// `--rate: 0 sends nothing; leave the option out to send as fast as possible`.
    pub fn new(option: &str, problem: impl Display, remedy: impl Display) -> Self {
        Self(format!("{option}: {problem}; {remedy}"))
    }

    /// An error of a library that is the command line's fault and says itself what to do.
    pub fn from_library(error: impl Display) -> Self {
        Self(error.to_string())
    }
}

/// A signal ended the work before there was anything to measure.
///
/// Anywhere in the chain of an error it makes [`main_with`] exit with [`Exit::Interrupted`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("interrupted while {0}")]
pub struct Interrupted(pub &'static str);

/// Runs a tool to its exit code. To be called first of all, since it sees to it that limits of the
/// system end in an error of the tool and not in its death.
///
/// An error goes to standard error as one line, its causes joined with `: `, what the system said in
/// plain words, and what a terminal would obey escaped.
pub fn main_with(tool: fn() -> anyhow::Result<Exit>) -> ExitCode {
    survive_file_size_limit();
    panics::tell_refusals();
    // A panic has been reported where it happened.
    let ended = std::panic::catch_unwind(tool).unwrap_or(Ok(Exit::Failed));
    let exit = ended.unwrap_or_else(|error| {
        progress::print_line_on_stderr(&format!("error: {}", told(&error)));
        exit_of(&error)
    });
    if exit == Exit::Interrupted {
        // What was interrupted may still be at work in other threads, which must find the libraries
        // that exit handlers take down. All that the tool owned has ended in good order before.
        let _ = io::stdout().flush();
        signal_hook::low_level::exit(exit as i32);
    }
    exit.into()
}

/// An error with its causes, as people are told.
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
    // The first finds one that is itself a context, the second one below library errors.
    error.downcast_ref::<E>().is_some() || error.chain().any(<dyn std::error::Error>::is::<E>)
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    fn usage() -> UsageError {
        UsageError::new("--partitions", "0 partitions hold nothing", "name at least 1")
    }

    #[test]
    fn an_interrupt_has_its_own_code_wherever_it_stands() {
        let error = anyhow::Error::new(Interrupted("the consumers joined")).context("drain");
        assert_eq!(exit_of(&error), Exit::Interrupted);
        assert_eq!(format!("{error:#}"), "drain: interrupted while the consumers joined");
    }

    #[test]
    fn a_usage_error_names_option_problem_and_remedy_on_one_line() {
        assert_eq!(usage().to_string(), "--partitions: 0 partitions hold nothing; name at least 1");
    }

    #[test]
    fn a_usage_error_is_found_wherever_it_stands_in_the_chain() {
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
    fn the_system_is_put_into_plain_words() {
        let error = std::io::Error::from_raw_os_error(2);
        let error = anyhow::Error::from(error).context("failed to read /x");
        let plain = "failed to read /x: no such file or folder; check the path";
        assert_eq!(told(&error), plain);
    }

    #[test]
    fn any_other_error_is_a_failure() {
        assert_eq!(exit_of(&anyhow!("the broker is gone").context("failed to send")), Exit::Failed);
    }
}
