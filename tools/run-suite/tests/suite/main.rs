//! `run-suite` as a user runs it: against a stand-in for a tool, and against the real one.

mod adaptive;
mod cells;
mod chains;
mod ci;
mod compare;
#[cfg(target_os = "linux")]
mod damage;
mod delta;
mod fake_tool;
#[cfg(target_os = "linux")]
mod faults;
mod figures;
mod gates;
mod health;
mod history;
mod interruptions;
mod kinesis;
mod large;
#[cfg(target_os = "linux")]
mod live;
mod metrics;
mod noise;
mod page;
mod prepare;
mod real_tool;
mod runs;
