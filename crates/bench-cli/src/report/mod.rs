//! Reports of runs: pure functions from result documents to text.

mod csv;
mod human;
#[cfg(test)]
pub(crate) mod sample;

use bench_core::results::{LatencySummary, ServiceOrigin, Status, Summary, VerdictOutcome};

pub use csv::csv;
pub use human::human;

/// A latency as reports name it.
struct LatencyKind {
    title: &'static str,
    /// How names of columns begin.
    column: &'static str,
    /// Whether it came later: its columns stand behind those that were there before.
    later: bool,
    of: fn(&Summary) -> Option<&LatencySummary>,
}

/// The latencies in the order in which they are reported.
const LATENCIES: [LatencyKind; 7] = [
    LatencyKind {
        title: "publish latency",
        column: "publish",
        later: false,
        of: |summary| summary.publish_latency.as_ref(),
    },
    LatencyKind {
        title: "service time",
        column: "service",
        later: false,
        of: |summary| summary.service_time.as_ref(),
    },
    LatencyKind {
        title: "end-to-end latency",
        column: "end_to_end",
        later: false,
        of: |summary| summary.end_to_end_latency.as_ref(),
    },
    LatencyKind {
        title: "arrival latency",
        column: "arrival",
        later: true,
        of: |summary| summary.arrival_latency.as_ref(),
    },
    LatencyKind {
        title: "landing latency",
        column: "landing",
        later: true,
        of: |summary| summary.landing_latency.as_ref(),
    },
    LatencyKind {
        title: "table time",
        column: "table",
        later: true,
        of: |summary| summary.table_time.as_ref(),
    },
    LatencyKind {
        title: "schedule lag",
        column: "schedule_lag",
        later: false,
        of: |summary| summary.schedule_lag.as_ref(),
    },
];

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

fn origin(origin: ServiceOrigin) -> &'static str {
    match origin {
        ServiceOrigin::Embedded => "embedded",
        ServiceOrigin::Local => "local",
        ServiceOrigin::External => "external",
    }
}
