//! Reports of runs: pure functions from result documents to text.

mod csv;
mod human;
#[cfg(test)]
pub(crate) mod sample;

use bench_record::{Status, VerdictOutcome};
pub use csv::{csv, csv_after};
pub use human::human;

fn status(status: Status) -> &'static str {
    match status {
        Status::Running => "running",
        Status::Complete => "complete",
        Status::Incomplete => "incomplete",
        Status::Failed => "failed",
    }
}

fn outcome(outcome: VerdictOutcome) -> &'static str {
    match outcome {
        VerdictOutcome::Valid => "valid",
        VerdictOutcome::Partial => "partial",
        VerdictOutcome::Invalid => "invalid",
    }
}
