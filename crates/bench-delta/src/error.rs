//! Errors of tables, each with a remedy.

use std::fmt::Display;
use std::path::PathBuf;

use bench_aws::{AwsError, AwsOptionsError};
use deltalake::DeltaTableError;
use deltalake::logstore::object_store;

use crate::log::LogError;
use crate::maintenance::MaintenanceError;
use crate::reason::{io_reason, store_reason, table_reason};
use crate::receive::FollowError;

/// Invalid options of a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LakeOptionsError(String);

impl LakeOptionsError {
    /// Names the wrong option or variable, the problem and the remedy.
    pub(crate) fn new(option: &str, problem: impl Display, remedy: impl Display) -> Self {
        Self(format!("{option}: {problem}; {remedy}"))
    }

    /// A secret in a place where everybody can see it.
    pub(crate) fn credentials(option: &str) -> Self {
        let problem = "contains a user, a key or parameters, which do not belong there";
        let remedy = "set credentials as for the AWS command line: AWS_PROFILE, or \
                      AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
        Self::new(option, problem, remedy)
    }
}

/// Why an operation on a table, or at its location, failed.
#[derive(Debug, thiserror::Error)]
pub enum DeltaError {
    /// Contradictory or invalid options.
    #[error(transparent)]
    Options(#[from] LakeOptionsError),
    /// No service is set, neither by options nor in the environment.
    #[error(transparent)]
    Service(#[from] AwsOptionsError),
    /// The table's folder is a file.
    #[error("{} is a file; use a folder for --lake-path", path.display())]
    NotAFolder {
        /// The file.
        path: PathBuf,
    },
    /// A folder cannot be used.
    #[error(
        "failed to {attempted}: {}; use a folder that this user may write to with --lake-path",
        io_reason(error)
    )]
    Folder {
        /// The operation and its target.
        attempted: String,
        /// The cause.
        error: std::io::Error,
    },
    /// The bucket does not exist.
    #[error(
        "bucket '{bucket}' does not exist; use another one with --bucket or --lake-path, or create \
         it with delta-producer --create-bucket"
    )]
    NoBucket {
        /// Its name.
        bucket: String,
    },
    /// The bucket is in another region.
    #[error("bucket '{bucket}' is not in region {region}; add --region {}", found.as_deref().unwrap_or("NAME"))]
    OtherRegion {
        /// Its name.
        bucket: String,
        /// The requested region.
        region: String,
        /// The bucket's region, if the service returned it.
        found: Option<String>,
    },
    /// No region is set, neither by an option nor in the environment.
    #[error("no region is set for bucket '{bucket}'; set one with --region")]
    NoRegion {
        /// Its name.
        bucket: String,
    },
    /// The store does not let exactly one of several concurrent writers win.
    #[error(
        "{uri} cannot hold a Delta table safely: {reason}; concurrent commits would overwrite each \
         other; use a store that supports If-None-Match on PUT, such as Amazon S3, MinIO or \
         versitygw"
    )]
    NoConditionalWrites {
        /// The table's location.
        uri: String,
        /// What the store did.
        reason: String,
    },
    /// A request to AWS, or to a stand-in, failed despite retries.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// The store failed despite retries.
    #[error("failed to {attempted}: {reason}")]
    Store {
        /// The operation and its target.
        attempted: String,
        /// The store's error, in one line.
        reason: String,
    },
    /// delta-rs failed.
    #[error("failed to {attempted}: {reason}")]
    Table {
        /// The operation and its target.
        attempted: String,
        /// The error of delta-rs, in one line.
        reason: String,
    },
    /// The table's log is damaged.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A table cannot be followed, or no further.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// Maintenance of a table failed.
    #[error(transparent)]
    Maintenance(#[from] MaintenanceError),
    /// The table does not exist.
    #[error("there is no table at {uri}; create it with delta-producer")]
    NoTable {
        /// Its expected location.
        uri: String,
    },
    /// The table does not have the columns of messages.
    #[error("table {uri} cannot hold messages: {differences}; {remedy}")]
    OtherColumns {
        /// The table.
        uri: String,
        /// The differences from a table of messages.
        differences: String,
        /// The remedy.
        remedy: &'static str,
    },
    /// The table has a rule for writers that is not supported here.
    #[error(
        "table {uri} requires writers to support {rule}, which delta-producer does not; use \
         another table with --lake-path"
    )]
    UnknownRule {
        /// The table.
        uri: String,
        /// The unsupported rule.
        rule: String,
    },
    /// The runtime of a connection did not start.
    #[error("failed to start a connection's runtime; lower --producers or --consumers")]
    Runtime(#[source] std::io::Error),
}

impl DeltaError {
    /// Whether the command line is at fault: nothing was done, and a corrected one may succeed.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Options(_)
            | Self::Service(_)
            | Self::NotAFolder { .. }
            | Self::NoBucket { .. }
            | Self::NoRegion { .. }
            | Self::OtherRegion { .. }
            | Self::NoTable { .. }
            | Self::OtherColumns { .. }
            | Self::UnknownRule { .. } => true,
            Self::Follow(error) => error.is_usage(),
            Self::Maintenance(error) => error.is_usage(),
            _ => false,
        }
    }

    /// The error of an operation on the store, such as `read log entry 5 of s3://b/t`.
    ///
    /// The store's answer is reduced to one line without details of the request: answers to a wrong
    /// signature contain the access key and the signed text.
    #[must_use]
    pub fn store(attempted: impl Into<String>, error: &object_store::Error) -> Self {
        Self::Store { attempted: attempted.into(), reason: store_reason(error) }
    }

    /// The error of an operation of delta-rs.
    #[must_use]
    pub fn table(attempted: impl Into<String>, error: &DeltaTableError) -> Self {
        Self::Table { attempted: attempted.into(), reason: table_reason(error) }
    }
}
