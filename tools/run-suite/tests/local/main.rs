//! `run-suite` with real servers on this machine, as a user runs it.

mod comparison;
mod embedded;
mod faults;
mod lifecycle;
mod sandbox;
