//! A Kinesis event and when it arrived.

use std::sync::LazyLock;

use aws_lambda_events::event::kinesis::KinesisEvent;
use bench_core::clock::{Stamp, SystemClock};
use serde::{Deserialize, Deserializer};

/// The clock of all instants of this process.
pub(crate) static CLOCK: LazyLock<SystemClock> = LazyLock::new(SystemClock::new);

/// An event with the instant at which the function received it, before parsing: a large one takes
/// milliseconds.
#[derive(Debug)]
pub(crate) struct ReceivedEvent {
    /// When it arrived.
    pub(crate) received: Stamp,
    /// The event.
    pub(crate) event: KinesisEvent,
}

impl<'de> Deserialize<'de> for ReceivedEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let received = Stamp::now(&CLOCK);
        Ok(Self { received, event: KinesisEvent::deserialize(deserializer)? })
    }
}
