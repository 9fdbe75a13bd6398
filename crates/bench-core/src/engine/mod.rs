//! The engine: the loops of producers and consumers over a [`transport`](crate::transport), and the
//! collector that merges what they measured. It exists once, for every system.
//!
//! A worker never waits for another: it records into a sample of its own and sends that to the
//! [`Collector`] when an interval ends. The loops read their time from a
//! [`Clock`](crate::clock::Clock), so that they run on a virtual clock in tests.

mod collector;
mod consumer;
mod control;
mod latencies;
mod producer;
mod report;
mod run;
#[cfg(test)]
mod simulation;

pub use collector::{Collector, Interval, IntervalSink, Outboxes, Totals};
pub use consumer::ConsumerConfig;
pub use control::RunControl;
pub use latencies::{Latencies, StageLatencies};
pub use producer::ProducerConfig;
pub use report::{Span, Timeline, Volume};
pub use run::{EngineError, Plan, run};
