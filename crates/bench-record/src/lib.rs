//! What a run leaves behind, and how `run-suite` and the tools that it starts talk to each other.
//!
//! The lowest crate of the workspace: the engine and the tools write with it, `run-suite` and reports
//! read with it. It holds no engine and no clock.
//!
//! | file in a result folder | |
//! |---|---|
//! | `run.json` | [`RunDocument`] |
//! | `intervals.csv` | one row per interval, see [`intervals`] |
//! | `NAME.hlog` | `HdrHistogram` V2 interval log of one latency or duration, see [`interval_log`] |
//! | `acked.json` | [`LedgerFile`] |

mod acked;
mod audit;
mod document;
mod faults;
pub mod file_names;
pub mod files;
pub mod interval_log;
pub mod intervals;
pub mod latency;
mod marks;
pub mod protocol;
mod recovery;
mod services;
mod summary;
pub mod windows;

pub use acked::{LEDGER_SCHEMA_VERSION, LedgerFile, LedgerProducer};
pub use audit::{AuditBasis, AuditSummary, Guarantee, ProducerAudit};
pub use document::{
    HostInfo, RunDocument, SCHEMA_VERSION, ScheduleStart, Status, ToolInfo, Verdict, VerdictOutcome,
};
pub use faults::{FaultAction, FaultBand, FaultRecord};
pub use latency::{LatencyKind, LatencySummary};
pub use marks::mark_faults;
pub use services::{ServiceInfo, ServiceOrigin};
pub use summary::{
    ClockComparison, Consumed, EarlyStop, LoadModel, Produced, Resources, SelfCheck, Summary,
};

/// A time as RFC 3339 in UTC, to the second.
#[must_use]
pub fn rfc3339(time: std::time::SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}
