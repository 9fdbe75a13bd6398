//! `run-suite` with real servers on this machine, as a user runs it.

mod faults;
mod lifecycle;
mod place;
