//! How a reader is told what to expect and when to stop: the same options in every tool that reads
//! what another process has sent.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bench_core::audit::{AckLedger, Expected};
use bench_core::clock::{Clock as _, SystemClock, duration_ns};
use bench_core::engine::ConsumerConfig;
use bench_core::message::RunId;
use bench_record::Guarantee;
use clap::Args;

use crate::from_run::{AckedRun, acked_in, await_run_end};
use crate::quantity::{parse_count, parse_duration};
use crate::{Shutdown, UsageError};

/// The options of a tool that reads a stream of messages; flatten it into the tool's options.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "End")]
pub struct ReaderArgs {
    /// The messages that must come.
    #[command(flatten)]
    pub expect: ExpectArgs,

    /// Stop after this many messages
    #[arg(
        short = 'n',
        long,
        value_name = "COUNT",
        alias = "num_records",
        conflicts_with = "expected",
        value_parser = parse_count
    )]
    pub messages: Option<u64>,

    /// Stop after this time
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,

    /// Messages have no header: measure only throughput
    #[arg(help_heading = "Audit", long, conflicts_with = "from_run")]
    pub raw: bool,

    /// Mark a run in which a message arrives twice as INVALID
    #[arg(help_heading = "Audit", long, conflicts_with = "raw")]
    pub exactly_once: bool,
}

/// Which messages must come, and how long to wait for them; flatten it into the options of a tool
/// that cannot use all of [`ReaderArgs`].
#[derive(Debug, Clone, Args)]
pub struct ExpectArgs {
    /// Result folder of the producing run; every message that it had acknowledged must come
    ///
    /// Waits for the end of a run that is still going on. Lost messages make this run INVALID.
    #[arg(long, value_name = "DIR")]
    pub from_run: Option<PathBuf>,

    /// Number of messages that must come; fewer make the run INVALID
    #[arg(
        long,
        value_name = "COUNT",
        visible_alias = "expected-messages",
        alias = "expected_messages",
        conflicts_with = "from_run",
        value_parser = parse_count
    )]
    pub expected: Option<u64>,

    /// Keep reading until every expected message has come, or an interrupt; never time out
    #[arg(long)]
    pub follow: bool,

    /// How long silence may last.
    #[command(flatten)]
    pub drain: DrainArgs,
}

/// How long silence may last; flatten it into the options of any tool that receives.
#[derive(Debug, Clone, Copy, Args)]
pub struct DrainArgs {
    /// Time without messages after which reading ends and missing ones count as lost
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub drain_timeout: Duration,
}

impl DrainArgs {
    /// The time in nanoseconds.
    #[must_use]
    pub fn drain_timeout_ns(self) -> u64 {
        duration_ns(self.drain_timeout)
    }
}

impl ReaderArgs {
    /// Rejects counts of 0.
    pub fn check(&self) -> Result<(), UsageError> {
        at_least_1("--messages", self.messages)?;
        self.expect.check()
    }

    /// How consumers work that start now and must receive what is `required`.
    #[must_use]
    pub fn consumer_config(&self, required: &Required, clock: SystemClock) -> ConsumerConfig {
        let deadline_ns = |duration| clock.now_ns().saturating_add(duration_ns(duration));
        ConsumerConfig {
            raw: self.raw,
            messages_max: self.messages,
            deadline_ns: self.duration.map(deadline_ns),
            guarantee: guarantee(self.exactly_once),
            ..self.expect.consumer_config(required)
        }
    }
}

impl ExpectArgs {
    /// Rejects a count of 0.
    pub fn check(&self) -> Result<(), UsageError> {
        at_least_1("--expected", self.expected)
    }

    /// Whether messages may come that are not there yet.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.follow || self.expected.is_some()
    }

    /// What must be received. Waits for the end of the run that `--from-run` names: until then,
    /// nobody knows all that it will have acknowledged.
    pub fn required(&self, shutdown: &Shutdown) -> Result<Required> {
        let Some(folder) = &self.from_run else { return Ok(Required::default()) };
        await_run_end(folder, shutdown)?;
        Ok(acked_in(folder)?.into())
    }

    /// How consumers work that must receive what is `required`.
    #[must_use]
    pub fn consumer_config(&self, required: &Required) -> ConsumerConfig {
        ConsumerConfig {
            messages_expected: self.expected,
            acked: required.acked.clone(),
            drain_timeout_ns: if self.follow { u64::MAX } else { self.drain.drain_timeout_ns() },
            stop_at_end: !self.follow,
            ..ConsumerConfig::default()
        }
    }
}

/// What readers are promised, by whether a message may arrive twice.
#[must_use]
pub fn guarantee(exactly_once: bool) -> Guarantee {
    if exactly_once { Guarantee::ExactlyOnce } else { Guarantee::AtLeastOnce }
}

/// What a reader must receive; by default whatever there is.
#[derive(Debug, Clone, Default)]
pub struct Required {
    /// The run that sent it, if that is known.
    pub run: Option<RunId>,
    /// The messages.
    pub acked: Option<Arc<AckLedger>>,
    /// Why the record of these is not whole, if it is not; the result is PARTIAL at best then.
    pub partial: Option<String>,
    /// What the reader of the figures must know of the run that sent them.
    pub warning: Option<String>,
}

impl Required {
    /// Whose messages are not foreign.
    #[must_use]
    pub fn expected(&self) -> Expected {
        self.run.map_or(Expected::Any, Expected::Run)
    }
}

impl From<AckedRun> for Required {
    fn from(AckedRun { run, ledger, partial, warning }: AckedRun) -> Self {
        Self { run: Some(run), acked: Some(Arc::new(ledger)), partial, warning }
    }
}

fn at_least_1(option: &str, count: Option<u64>) -> Result<(), UsageError> {
    if count == Some(0) {
        return Err(UsageError::new(option, "0 is too few", "use at least 1"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Tool {
        #[command(flatten)]
        reader: ReaderArgs,
    }

    fn parse(args: &str) -> Result<ReaderArgs, clap::Error> {
        let args = ["tool"].into_iter().chain(args.split_whitespace());
        Tool::try_parse_from(args).map(|tool| tool.reader)
    }

    fn config(args: &str) -> ConsumerConfig {
        let required = Required { acked: Some(Arc::default()), ..Required::default() };
        parse(args).expect(args).consumer_config(&required, SystemClock::new())
    }

    #[test]
    fn readers_stop_at_the_end_or_after_silence() {
        let default = config("");
        assert!(default.stop_at_end && default.acked.is_some());
        assert_eq!((default.messages_max, default.messages_expected), (None, None));
        assert_eq!(default.drain_timeout_ns, 10_000_000_000);
        let expecting = config("--expected_messages 7 --drain-timeout 1s --exactly-once");
        assert_eq!((expecting.messages_max, expecting.messages_expected), (None, Some(7)));
        assert_eq!(expecting.drain_timeout_ns, 1_000_000_000);
        assert_eq!(expecting.guarantee, Guarantee::ExactlyOnce);
        let following = config("--follow --expected 7 --raw");
        assert!(!following.stop_at_end && following.raw);
        assert_eq!(following.drain_timeout_ns, u64::MAX);
        let bounded = config("--num_records 5 --duration 1s");
        assert_eq!((bounded.messages_max, bounded.messages_expected), (Some(5), None));
        assert!(bounded.deadline_ns.is_some());
    }

    #[test]
    fn contradictory_expectations_are_rejected() {
        for args in [
            "-n 5 --expected 5",
            "--expected 5 --from-run x",
            "--raw --from-run x",
            "--raw --exactly-once",
        ] {
            assert!(parse(args).is_err(), "{args}");
        }
        for args in ["-n 0", "--expected 0"] {
            let error = parse(args).expect(args).check().expect_err(args).to_string();
            assert!(error.ends_with("use at least 1"), "{error}");
        }
    }
}
