//! Logs on standard error.

use std::io::{self, IsTerminal};
use std::path::Path;

use clap::{ArgAction, Args};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::uptime;

use crate::Progress;
use crate::progress::BesideProgress;

/// The options `--verbose` and `--quiet`; flatten them into the top of a tool's options.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct LogArgs {
    /// Say more on standard error; twice for details, three times for everything
    #[arg(
        help_heading = "Output",
        short,
        long,
        action = ArgAction::Count,
        global = true,
        conflicts_with = "quiet"
    )]
    pub verbose: u8,

    /// Say nothing but errors on standard error, and show no progress
    #[arg(help_heading = "Output", short, long, global = true)]
    pub quiet: bool,
}

impl LogArgs {
    /// Sends logs to standard error from here on. A second call changes nothing.
    ///
    /// Warnings are shown in any case, this project's own information with `--verbose`. The
    /// environment variable `RUST_LOG` has the last word.
    pub fn init(self) {
        let (filter, complaint) = self.filter(std::env::var("RUST_LOG").ok().as_deref());
        let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let installed = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(move || BesideProgress { colours })
            .with_ansi(colours)
            .with_timer(uptime())
            .with_target(self.verbose > 1)
            .try_init();
        if let (Ok(()), Some(complaint)) = (installed, complaint) {
            tracing::warn!("{complaint}");
        }
    }

    /// The progress line that goes with these options: none with `--quiet`.
    #[must_use]
    pub fn progress(self) -> Progress {
        if self.quiet { Progress::hidden() } else { Progress::on_stderr() }
    }

    /// The filter, and what is wrong with `RUST_LOG` if anything is.
    fn filter(self, rust_log: Option<&str>) -> (EnvFilter, Option<String>) {
        let by_options = || EnvFilter::new(self.directives(&own_crate()));
        match rust_log.filter(|directives| !directives.trim().is_empty()) {
            None => (by_options(), None),
            Some(directives) => match EnvFilter::try_new(directives) {
                Ok(filter) => (filter, None),
                Err(error) => {
                    let complaint = format!(
                        "RUST_LOG={directives} is ignored: {error}; write it as in \
                         RUST_LOG=info,bench_core=debug"
                    );
                    (by_options(), Some(complaint))
                }
            },
        }
    }

    /// Levels for dependencies, for the libraries of this project (whose names all begin with
    /// `bench_`) and for the tool.
    fn directives(self, tool: &str) -> String {
        // The AWS SDK warns of each place in which it finds no credentials, and dumps the answer; that
        // none were found is an error of ours. The kernel of delta-rs logs as an error whatever it
        // returns as one, that there is no table yet for instance.
        let (others, ours) = match (self.quiet, self.verbose) {
            (true, _) => ("error,buoyant_kernel=off", "error"),
            (false, 0) => ("warn,aws_config=error,buoyant_kernel=off", "warn"),
            (false, 1) => ("warn,buoyant_kernel=off", "info"),
            (false, 2) => ("info", "debug"),
            (false, _) => ("debug", "trace"),
        };
        format!("{others},bench_={ours},{tool}={ours}")
    }
}

/// The crate of the running tool, which the binary is named after.
fn own_crate() -> String {
    let path = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&path).file_stem().unwrap_or_default().to_string_lossy();
    // Whatever the binary was renamed to, the directives must parse.
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(verbose: u8, quiet: bool) -> LogArgs {
        LogArgs { verbose, quiet }
    }

    #[test]
    fn each_v_says_more_about_our_crates_first() {
        let least = "warn,aws_config=error,buoyant_kernel=off,bench_=warn,t=warn";
        assert_eq!(args(0, false).directives("t"), least);
        let some = "warn,buoyant_kernel=off,bench_=info,topic_clean=info";
        assert_eq!(args(1, false).directives("topic_clean"), some);
        assert_eq!(args(2, false).directives("t"), "info,bench_=debug,t=debug");
        assert_eq!(args(9, false).directives("t"), "debug,bench_=trace,t=trace");
        assert_eq!(args(0, true).directives("t"), "error,buoyant_kernel=off,bench_=error,t=error");
    }

    #[test]
    fn the_environment_has_the_last_word() {
        let (filter, complaint) = args(0, true).filter(Some("bench_core=trace"));
        assert_eq!((filter.to_string().as_str(), complaint), ("bench_core=trace", None));
        let (filter, complaint) = args(1, false).filter(Some(" "));
        assert!(filter.to_string().contains("bench_=info"), "{filter}");
        assert_eq!(complaint, None);
    }

    #[test]
    fn a_malformed_environment_variable_is_reported_and_ignored() {
        let (filter, complaint) = args(1, false).filter(Some("bench_core=loud"));
        assert!(filter.to_string().contains("bench_=info"), "{filter}");
        let complaint = complaint.expect("says what is wrong");
        assert!(complaint.starts_with("RUST_LOG=bench_core=loud is ignored"), "{complaint}");
    }
}
