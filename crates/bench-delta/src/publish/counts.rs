//! A publisher's counts and durations.

use bench_core::counts::{Count, Counts};
use bench_core::durations::{DurationRecorder, Durations};

/// The counts and durations of a publisher.
#[derive(Clone)]
pub(super) struct PublishCounts {
    pub(super) commits: Count,
    pub(super) conflicts: Count,
    pub(super) recovered: Count,
    pub(super) data_files: Count,
    pub(super) data_bytes: Count,
    pub(super) checkpoints: Count,
    pub(super) checkpoints_failed: Count,
    pub(super) commit_time: DurationRecorder,
    pub(super) upload_time: DurationRecorder,
}

impl PublishCounts {
    pub(super) fn new(counts: &Counts, durations: &Durations) -> Self {
        Self {
            commits: counts.count("commits"),
            conflicts: counts.count("commit_conflicts"),
            recovered: counts.count("commits_recovered"),
            data_files: counts.count("data_files"),
            data_bytes: counts.count("data_bytes"),
            checkpoints: counts.count("checkpoints"),
            checkpoints_failed: counts.count("checkpoints_failed"),
            commit_time: durations.named("commit_time"),
            upload_time: durations.named("upload_time"),
        }
    }
}
