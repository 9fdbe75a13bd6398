//! What can go wrong with following a table: what was attempted, on what, and what helps.

use std::time::Duration;

use super::entry::Problem;
use crate::log::LogError;

/// Why a table cannot be followed, or not any further.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The table is not there.
    #[error(
        "there is no Delta table at {uri}{}; name another place with --lake-path, or wait {} with \
         --wait-for-table",
        after(*waited),
        if waited.is_zero() { "for it" } else { "longer" }
    )]
    NoTable {
        /// Where it was looked for.
        uri: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// An object could not be read, however often it was tried.
    #[error("failed to {attempted} of {uri}: {problem}; see that the storage can be reached")]
    Read {
        /// To read what.
        attempted: String,
        /// The table.
        uri: String,
        /// What the storage said last.
        problem: String,
    },
    /// The storage does not let us read.
    #[error(
        "not allowed to {attempted} of {uri}: {problem}; the credentials need to read and to list \
         (on S3 s3:GetObject, and s3:ListBucket, without which what is not there is refused too)"
    )]
    Denied {
        /// To read what.
        attempted: String,
        /// The table.
        uri: String,
        /// What the storage said last.
        problem: String,
    },
    /// Versions that are to be read were removed from the log.
    #[error(
        "versions {first} to {last} of {uri} were cleaned up before they were read; start at what \
         is left with --from version:{oldest}, or with --from beginning for all rows that the table \
         has now, and keep the log for longer (--log-retention of delta-producer, \
         delta.logRetentionDuration of other writers)"
    )]
    VersionsGone {
        /// The table.
        uri: String,
        /// The first version that is gone.
        first: u64,
        /// The last one.
        last: u64,
        /// The oldest version that is left.
        oldest: u64,
    },
    /// The log does not go back to the time that following is to begin at.
    #[error(
        "the log of {uri} begins with version {oldest}, which was committed at {committed}: what \
         was committed before was cleaned up; start with --from version:{oldest}, or with --from \
         beginning"
    )]
    TimeGone {
        /// The table.
        uri: String,
        /// The oldest version that is left.
        oldest: u64,
        /// When it was committed, by the clock of its writer.
        committed: String,
    },
    /// The version that following is to begin with is not there, and is not the next one to come.
    #[error(
        "there is no version {asked} of {uri}, which has versions {oldest} to {newest}; use one of \
         them with --from version:N, or wait for the next one with --from version:{} and --follow",
        newest + 1
    )]
    VersionAhead {
        /// The table.
        uri: String,
        /// The version that was asked for.
        asked: u64,
        /// The oldest version that is there.
        oldest: u64,
        /// The newest version that is there.
        newest: u64,
    },
    /// Nothing was committed at the time that following is to begin at or later.
    #[error(
        "no version of {uri} was committed at {asked} or later: {newest}; use an earlier time \
         (seconds since 1970, or as in 2026-11-21T14:00:00Z), or wait for what is to come with \
         --from end and --follow"
    )]
    TimeAhead {
        /// The table.
        uri: String,
        /// The time that was asked for.
        asked: String,
        /// What the newest version is, and when it was committed.
        newest: String,
    },
    /// What was read to its end has nothing to be read.
    #[error(
        "nothing can be read from the end of {uri} without waiting for it; add --follow or \
         --expected, or start earlier with --from"
    )]
    NothingAhead {
        /// The table.
        uri: String,
    },
    /// The table is another one by now.
    #[error(
        "version {version} of {uri} is not what it was when it was read: the table was deleted or \
         made anew; follow the new one from its beginning"
    )]
    Replaced {
        /// The table.
        uri: String,
        /// The last version that was read.
        version: u64,
    },
    /// A data file was removed before it was read.
    #[error(
        "data file {path} of {uri}, in version {version}, was removed before it was read; start \
         after it with --from version:{}, and keep removed files for longer (--retention of \
         delta-producer maintain, delta.deletedFileRetentionDuration of other writers)",
        version + 1
    )]
    DataFileGone {
        /// The table.
        uri: String,
        /// The file, from the table on.
        path: String,
        /// The version that named it.
        version: u64,
    },
    /// The table uses something of the Delta protocol that following does not know.
    #[error("version {version} of {uri} cannot be followed: {problem}")]
    Unsupported {
        /// The table.
        uri: String,
        /// The version that brought it.
        version: u64,
        /// What it is, and what to do.
        problem: String,
    },
    /// The table's log is damaged.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A data file is not what it is to be.
    #[error("data file {path} of {uri}, in version {version}, cannot be read: {problem}")]
    DataFile {
        /// The table.
        uri: String,
        /// The file, from the table on.
        path: String,
        /// The version that named it.
        version: u64,
        /// What is wrong.
        problem: String,
    },
    /// A part of the follower has ended.
    #[error("the follower of {uri} has ended: {problem}")]
    Ended {
        /// The table.
        uri: String,
        /// Why.
        problem: String,
    },
    /// The runtime of a connection did not start.
    #[error("failed to start a follower's runtime; ask for fewer consumers")]
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

    /// Whether other options help, if it says so before anything was received.
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

/// How long was waited in vain, if at all.
fn after(waited: Duration) -> String {
    if waited.is_zero() { String::new() } else { format!(" after {waited:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_table_names_the_wait_only_where_there_was_one() {
        let told = |waited| FollowError::NoTable { uri: "s3://b/t".to_owned(), waited }.to_string();
        let text = told(Duration::ZERO);
        assert!(text.starts_with("there is no Delta table at s3://b/t; name another"), "{text}");
        assert!(text.ends_with("wait for it with --wait-for-table"), "{text}");
        let text = told(Duration::from_secs(3));
        assert!(text.starts_with("there is no Delta table at s3://b/t after 3s; "), "{text}");
        assert!(text.ends_with("wait longer with --wait-for-table"), "{text}");
    }
}
