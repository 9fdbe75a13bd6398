//! Errors of following a table, each with a remedy.

use std::time::Duration;

use super::entry::Problem;
use crate::log::LogError;

/// Why a table cannot be followed, or no further.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The table does not exist.
    #[error(
        "there is no Delta table at {uri}{}; check --lake-path, or wait {} with --wait-for-table",
        after(*waited),
        if waited.is_zero() { "for it" } else { "longer" }
    )]
    NoTable {
        /// Its expected location.
        uri: String,
        /// How long the follower waited.
        waited: Duration,
    },
    /// An object could not be read, even after retries.
    #[error("failed to {attempted} of {uri}: {problem}; check that the storage is reachable")]
    Read {
        /// The read.
        attempted: String,
        /// The table.
        uri: String,
        /// The storage's last answer.
        problem: String,
    },
    /// The storage denies access.
    #[error(
        "not allowed to {attempted} of {uri}: {problem}; grant these credentials permission to \
         read and to list (on S3 s3:GetObject and s3:ListBucket; without the latter, missing \
         objects are denied too)"
    )]
    Denied {
        /// The read.
        attempted: String,
        /// The table.
        uri: String,
        /// The storage's last answer.
        problem: String,
    },
    /// Versions were removed from the log before they were read.
    #[error(
        "versions {first} to {last} of {uri} were cleaned up before they were read; start from \
         what is left with --from version:{oldest}, or read all current rows with --from \
         beginning, and keep the log longer (--log-retention of delta-producer, \
         delta.logRetentionDuration of other writers)"
    )]
    VersionsGone {
        /// The table.
        uri: String,
        /// The first missing version.
        first: u64,
        /// The last one.
        last: u64,
        /// The oldest version left.
        oldest: u64,
    },
    /// The log does not reach back to the requested time.
    #[error(
        "the log of {uri} begins with version {oldest}, committed at {committed}; earlier versions \
         were cleaned up; start with --from version:{oldest}, or with --from beginning"
    )]
    TimeGone {
        /// The table.
        uri: String,
        /// The oldest version left.
        oldest: u64,
        /// Its commit time, by the writer's clock.
        committed: String,
    },
    /// The requested version does not exist and is not the next one.
    #[error(
        "there is no version {asked} of {uri}, which has versions {oldest} to {newest}; use one of \
         them with --from version:N, or wait for the next one with --from version:{} and --follow",
        newest + 1
    )]
    VersionAhead {
        /// The table.
        uri: String,
        /// The requested version.
        asked: u64,
        /// The oldest existing version.
        oldest: u64,
        /// The newest existing version.
        newest: u64,
    },
    /// Nothing was committed at or after the requested time.
    #[error(
        "no version of {uri} was committed at {asked} or later: {newest}; use an earlier time \
         (seconds since 1970, or 2026-11-21T14:00:00Z), or wait for new versions with --from end \
         and --follow"
    )]
    TimeAhead {
        /// The table.
        uri: String,
        /// The requested time.
        asked: String,
        /// The newest version and its commit time.
        newest: String,
    },
    /// Reading ends where it starts.
    #[error(
        "there is nothing to read from the end of {uri} without waiting; add --follow or \
         --expected, or start earlier with --from"
    )]
    NothingAhead {
        /// The table.
        uri: String,
    },
    /// The table was replaced.
    #[error(
        "version {version} of {uri} is not the one that was read: the table was deleted or \
         recreated; follow the new table from its beginning"
    )]
    Replaced {
        /// The table.
        uri: String,
        /// The last version read.
        version: u64,
    },
    /// A data file was removed before it was read.
    #[error(
        "data file {path} of {uri}, in version {version}, was removed before it was read; start \
         after it with --from version:{}, and keep removed files longer (--retention of \
         delta-producer maintain, delta.deletedFileRetentionDuration of other writers)",
        version + 1
    )]
    DataFileGone {
        /// The table.
        uri: String,
        /// The file, relative to the table.
        path: String,
        /// The version that added it.
        version: u64,
    },
    /// The table uses a part of the Delta protocol that followers do not support.
    #[error("version {version} of {uri} cannot be followed: {problem}")]
    Unsupported {
        /// The table.
        uri: String,
        /// The version that introduced it.
        version: u64,
        /// The unsupported part, and the remedy.
        problem: String,
    },
    /// The table's log is damaged.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A data file is damaged.
    #[error("data file {path} of {uri}, in version {version}, is unreadable: {problem}")]
    DataFile {
        /// The table.
        uri: String,
        /// The file, relative to the table.
        path: String,
        /// The version that added it.
        version: u64,
        /// What is wrong.
        problem: String,
    },
    /// A task of the follower ended.
    #[error("the follower of {uri} ended: {problem}")]
    Ended {
        /// The table.
        uri: String,
        /// Why.
        problem: String,
    },
    /// The runtime did not start.
    #[error("failed to start a follower's runtime; lower --consumers")]
    Runtime(#[source] std::io::Error),
}

impl FollowError {
    /// An entry that cannot be followed.
    pub(super) fn entry(uri: &str, version: u64, problem: Problem) -> Self {
        let uri = uri.to_owned();
        match problem {
            Problem::Damaged(problem) => LogError::Entry { uri, version, problem }.into(),
            Problem::Unsupported(problem) => Self::Unsupported { uri, version, problem },
        }
    }

    /// Whether different options would help, if the error comes before anything was received.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::NoTable { .. }
                | Self::VersionsGone { .. }
                | Self::TimeGone { .. }
                | Self::VersionAhead { .. }
                | Self::TimeAhead { .. }
                | Self::NothingAhead { .. }
                | Self::Unsupported { .. }
        )
    }
}

/// How long the follower waited, if it did.
fn after(waited: Duration) -> String {
    if waited.is_zero() { String::new() } else { format!(" after {waited:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_tables_mention_only_actual_waits() {
        let told = |waited| FollowError::NoTable { uri: "s3://b/t".to_owned(), waited }.to_string();
        let text = told(Duration::ZERO);
        assert!(
            text.starts_with("there is no Delta table at s3://b/t; check --lake-path"),
            "{text}"
        );
        assert!(text.ends_with("wait for it with --wait-for-table"), "{text}");
        let text = told(Duration::from_secs(3));
        assert!(text.starts_with("there is no Delta table at s3://b/t after 3s; "), "{text}");
        assert!(text.ends_with("wait longer with --wait-for-table"), "{text}");
    }
}
