//! The results of a run: its folder and the documents in it.

mod document;
mod folder;
mod host;
mod interval_log;
mod recovery;
mod summary;
pub mod windows;

pub use document::*;
pub use folder::{FolderError, RunFolder, mark_faults};
pub use host::ResourceMeter;
pub use recovery::{IntervalRow, RowLatency, assess_faults};
pub use summary::SummaryInput;

/// A time as RFC 3339 in UTC, to the second.
#[must_use]
pub fn rfc3339(time: std::time::SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}
