//! `run-suite` as a user runs it: against a stand-in for a tool, and against the real one.

mod chains;
#[cfg(target_os = "linux")]
mod damage;
mod delta;
mod fake_tool;
#[cfg(target_os = "linux")]
mod faults;
mod figures;
mod interruptions;
mod kinesis;
mod prepare;
mod real_tool;
mod runs;
