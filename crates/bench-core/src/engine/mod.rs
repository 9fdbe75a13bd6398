//! The engine: the loops of producers and consumers over a [`transport`](crate::transport), and the
//! collector that merges their measurements. All systems share it.
//!
//! Workers never wait for each other: each records into a sample of its own and sends it to the
//! collector when an interval ends. The loops read the time from a
//! [`Clock`](crate::clock::Clock), so that tests can use a virtual one.

mod collector;
mod consumer;
mod control;
mod latencies;
mod producer;
mod report;
mod run;
#[cfg(test)]
mod simulation;

pub use collector::{Interval, IntervalSink, Totals};
pub use consumer::ConsumerConfig;
pub use control::RunControl;
pub use latencies::{Latencies, StageLatencies};
pub use report::{Span, Timeline, Volume};
pub use run::{EngineError, Plan, SystemFigures, run};
