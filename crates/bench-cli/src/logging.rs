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
    /// Log more to standard error; repeat for details (-vv) or everything (-vvv)
    #[arg(
        help_heading = "Output",
        short,
        long,
        action = ArgAction::Count,
        global = true,
        conflicts_with = "quiet"
    )]
    pub verbose: u8,

    /// Log only errors to standard error, and show no progress
    #[arg(help_heading = "Output", short, long, global = true)]
    pub quiet: bool,
}

impl LogArgs {
    /// Sends logs to standard error from now on. A second call has no effect.
    ///
    /// Warnings are always shown, this project's informational messages with `--verbose`. The
    /// environment variable `RUST_LOG` takes precedence.
    pub fn init(self) {
        let (filter, complaint) = self.filter(std::env::var("RUST_LOG").ok().as_deref());
        let colours = has_colours();
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

    /// The progress line for these options: none with `--quiet`.
    #[must_use]
    pub fn progress(self) -> Progress {
        if self.quiet { Progress::hidden() } else { Progress::on_stderr() }
    }

    /// The filter, and what is wrong with `RUST_LOG`, if anything.
    fn filter(self, rust_log: Option<&str>) -> (EnvFilter, Option<String>) {
        let by_options = || EnvFilter::new(self.directives(&own_crate()));
        match rust_log.filter(|directives| !directives.trim().is_empty()) {
            None => (by_options(), None),
            Some(directives) => match EnvFilter::try_new(directives) {
                Ok(filter) => (filter, None),
                Err(error) => {
                    let complaint = format!(
                        "RUST_LOG={directives} is ignored: {error}; write it like \
                         RUST_LOG=info,bench_core=debug"
                    );
                    (by_options(), Some(complaint))
                }
            },
        }
    }

    /// Levels for dependencies, for this project's libraries (whose names all begin with `bench_`)
    /// and for the tool.
    fn directives(self, tool: &str) -> String {
        // The AWS SDK warns about each place without credentials, and dumps the response; if none
        // are found at all, we report an error. The kernel of delta-rs logs every error that it
        // returns, even that a table does not exist yet.
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

/// Whether standard error may be coloured: it is a terminal, and `NO_COLOR` is not set.
#[must_use]
pub fn has_colours() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// The crate of the running tool, derived from the name of the binary.
fn own_crate() -> String {
    let path = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&path).file_stem().unwrap_or_default().to_string_lossy();
    // The directives must parse even if the binary was renamed.
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(verbose: u8, quiet: bool) -> LogArgs {
        LogArgs { verbose, quiet }
    }

    #[test]
    fn each_v_raises_our_crates_first() {
        let least = "warn,aws_config=error,buoyant_kernel=off,bench_=warn,t=warn";
        assert_eq!(args(0, false).directives("t"), least);
        let some = "warn,buoyant_kernel=off,bench_=info,topic_clean=info";
        assert_eq!(args(1, false).directives("topic_clean"), some);
        assert_eq!(args(2, false).directives("t"), "info,bench_=debug,t=debug");
        assert_eq!(args(9, false).directives("t"), "debug,bench_=trace,t=trace");
        assert_eq!(args(0, true).directives("t"), "error,buoyant_kernel=off,bench_=error,t=error");
    }

    #[test]
    fn rust_log_takes_precedence() {
        let (filter, complaint) = args(0, true).filter(Some("bench_core=trace"));
        assert_eq!((filter.to_string().as_str(), complaint), ("bench_core=trace", None));
        let (filter, complaint) = args(1, false).filter(Some(" "));
        assert!(filter.to_string().contains("bench_=info"), "{filter}");
        assert_eq!(complaint, None);
    }

    #[test]
    fn malformed_rust_log_is_reported_and_ignored() {
        let (filter, complaint) = args(1, false).filter(Some("bench_core=loud"));
        assert!(filter.to_string().contains("bench_=info"), "{filter}");
        let complaint = complaint.expect("a complaint");
        assert!(complaint.starts_with("RUST_LOG=bench_core=loud is ignored"), "{complaint}");
    }
}
