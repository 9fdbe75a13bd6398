//! When a run that only receives ends, and what it is checked against: the options of all tools
//! that read messages sent by another process.

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
    /// Continue after reaching the end; stops after --messages, --duration, or an interrupt
    #[arg(long)]
    pub follow: bool,

    /// Stop after this many messages
    #[arg(
        short = 'n',
        long,
        value_name = "COUNT",
        alias = "num_records",
        value_parser = parse_count
    )]
    pub messages: Option<u64>,

    /// Wait for this many messages, even beyond the end; fail if they do not arrive
    #[arg(
        long,
        value_name = "COUNT",
        visible_alias = "expected-messages",
        alias = "expected_messages",
        conflicts_with_all = ["messages", "follow"],
        value_parser = parse_count
    )]
    pub expected: Option<u64>,

    /// Stop after this time
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,

    /// Time without messages after which missing ones count as lost
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub drain_timeout: Duration,
}

/// What messages are checked against; flatten it into a tool's options.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Audit")]
pub struct AuditArgs {
    /// Result folder of the producing run; received messages are checked against it
    #[arg(long, value_name = "DIR", conflicts_with = "raw")]
    pub from_run: Option<PathBuf>,

    /// Messages have no header: measure only throughput
    #[arg(long)]
    pub raw: bool,

    /// Mark a run in which a message arrives twice as INVALID
    #[arg(long, conflicts_with = "raw")]
    pub exactly_once: bool,
}

impl EndArgs {
    /// Refuses options that would measure nothing.
    pub fn check(&self) -> Result<(), UsageError> {
        for (option, count) in [("--messages", self.messages), ("--expected", self.expected)] {
            if count == Some(0) {
                return Err(UsageError::new(option, "0 is too few", "use at least 1"));
            }
        }
        Ok(())
    }

    /// When the consumers stop.
    #[must_use]
    pub fn consumer_config(&self, clock: SystemClock) -> ConsumerConfig {
        let deadline_ns = |duration| clock.now_ns().saturating_add(duration_ns(duration));
        // Following has no end of its own, and `Expecting` waits for expected messages.
        let waits = self.follow || self.expected.is_some();
        ConsumerConfig {
            messages_max: self.messages.or(self.expected),
            deadline_ns: self.duration.map(deadline_ns),
            drain_timeout_ns: if waits { u64::MAX } else { duration_ns(self.drain_timeout) },
            stop_at_end: !waits,
            ..ConsumerConfig::default()
        }
    }

    /// The expectation if `before_end` messages are known to have been sent.
    #[must_use]
    pub fn expectation(&self, before_end: u64) -> Expectation {
        Expectation { required: self.expected, before_end }
    }
}

impl AuditArgs {
    /// The guarantee given to the readers.
    #[must_use]
    pub fn guarantee(&self) -> Guarantee {
        if self.exactly_once { Guarantee::ExactlyOnce } else { Guarantee::AtLeastOnce }
    }
}
