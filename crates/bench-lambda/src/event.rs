//! A Kinesis event, and when it came.

use std::sync::LazyLock;

use aws_lambda_events::event::kinesis::KinesisEvent;
use bench_core::clock::{Stamp, SystemClock};
use serde::{Deserialize, Deserializer};

/// The clock of all instants of this process.
pub(crate) static CLOCK: LazyLock<SystemClock> = LazyLock::new(SystemClock::new);

/// An event with the instant at which the function was handed it, which is before it is parsed: a
/// large one takes milliseconds.
#[derive(Debug)]
pub struct ReceivedEvent {
    /// When it came.
    pub received: Stamp,
    /// What it is.
    pub event: KinesisEvent,
}

impl<'de> Deserialize<'de> for ReceivedEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let received = Stamp::now(&CLOCK);
        Ok(Self { received, event: KinesisEvent::deserialize(deserializer)? })
    }
}
