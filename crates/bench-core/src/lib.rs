//! The measurement itself: clock, messages, pacing, latency, audit, engine and results.
//!
//! This crate knows no messaging system and no command line. An adapter crate implements the traits
//! of [`transport`] for its system; everything else exists only here.

pub mod address;
pub mod audit;
pub mod clock;
pub mod counts;
pub mod durations;
pub mod engine;
pub mod latency;
pub mod message;
pub mod pacing;
pub mod results;
pub mod system;
pub mod transport;
