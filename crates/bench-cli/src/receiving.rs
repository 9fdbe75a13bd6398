//! When a run that only receives ends, and what it is held against: the options of all tools that
//! read what another process has sent.

use std::path::PathBuf;
use std::time::Duration;

use bench_core::clock::{Clock as _, SystemClock, duration_ns};
use bench_core::engine::ConsumerConfig;
use bench_core::results::Guarantee;
use clap::Args;

use crate::quantity::{parse_count, parse_duration};
use crate::{Expectation, UsageError};

/// When reading ends; flatten it into a tool's options.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "End")]
pub struct EndArgs {
    /// Go on when the end is reached; stops after --messages, --duration, or an interrupt
    #[arg(long)]
    pub follow: bool,

    /// Stop after so many messages
    #[arg(
        short = 'n',
        long,
        value_name = "COUNT",
        alias = "num_records",
        value_parser = parse_count
    )]
    pub messages: Option<u64>,

    /// Wait for so many messages, also beyond the end; it is a failure when they do not come
    #[arg(
        long,
        value_name = "COUNT",
        visible_alias = "expected-messages",
        alias = "expected_messages",
        conflicts_with_all = ["messages", "follow"],
        value_parser = parse_count
    )]
    pub expected: Option<u64>,

    /// Stop after so long
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,

    /// Time without a message after which missing ones count as lost
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub drain_timeout: Duration,
}

/// What messages are checked against; flatten it into a tool's options.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Audit")]
pub struct AuditArgs {
    /// Result folder of the run that sent the messages: tells what must be there
    #[arg(long, value_name = "DIR", conflicts_with = "raw")]
    pub from_run: Option<PathBuf>,

    /// Messages have no header: measure throughput alone
    #[arg(long)]
    pub raw: bool,

    /// A run in which a message arrives twice is INVALID
    #[arg(long, conflicts_with = "raw")]
    pub exactly_once: bool,
}

impl EndArgs {
    /// Refuses what would measure nothing.
    pub fn check(&self) -> Result<(), UsageError> {
        for (option, count) in [("--messages", self.messages), ("--expected", self.expected)] {
            if count == Some(0) {
                let problem = "0 messages measure nothing";
                return Err(UsageError::new(option, problem, "name at least 1"));
            }
        }
        Ok(())
    }

    /// When the consumers stop.
    #[must_use]
    pub fn consumer_config(&self, clock: SystemClock) -> ConsumerConfig {
        let deadline_ns = |duration| clock.now_ns().saturating_add(duration_ns(duration));
        // Following has no end of its own, and what is expected is waited for by `Expecting`.
        let waits = self.follow || self.expected.is_some();
        ConsumerConfig {
            messages_max: self.messages.or(self.expected),
            deadline_ns: self.duration.map(deadline_ns),
            drain_timeout_ns: if waits { u64::MAX } else { duration_ns(self.drain_timeout) },
            stop_at_end: !waits,
            ..ConsumerConfig::default()
        }
    }

    /// What is waited for, where `before_end` messages are known to have been sent.
    #[must_use]
    pub fn expectation(&self, before_end: u64) -> Expectation {
        Expectation { required: self.expected, before_end }
    }
}

impl AuditArgs {
    /// What the readers were promised.
    #[must_use]
    pub fn guarantee(&self) -> Guarantee {
        if self.exactly_once { Guarantee::ExactlyOnce } else { Guarantee::AtLeastOnce }
    }
}
