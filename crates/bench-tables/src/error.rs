//! What can go wrong with a landing table.

use bench_aws::{AwsError, AwsOptionsError};

/// Why something asked of a table, or of its options, did not work.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// What `DynamoDB` or its client said.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// The options or the environment name no service.
    #[error(transparent)]
    Options(#[from] AwsOptionsError),
    /// What `MySQL` or its client said.
    #[error("failed to {attempted}: {reason}{}", remedy.map(|text| format!("; {text}")).unwrap_or_default())]
    Mysql {
        /// What was attempted on what.
        attempted: String,
        /// What the server or the client said, in a line, without passwords.
        reason: String,
        /// What to do about it, if that is known.
        remedy: Option<&'static str>,
    },
    /// The address of `MySQL` is none.
    #[error(
        "--mysql-url: {reason}; write mysql://USER:PASSWORD@HOST:PORT/DATABASE, or set MYSQL_URL"
    )]
    MysqlUrl {
        /// What is wrong with it, without the address itself.
        reason: String,
    },
    /// The table's name is none.
    #[error("--table: '{table}' is no name of a table here; {rule}")]
    Name {
        /// What was given.
        table: String,
        /// What a name looks like.
        rule: &'static str,
    },
    /// There is no such table.
    #[error(
        "table '{table}' does not exist; create it with `table-reset {system} --table {table} \
         --action create`"
    )]
    Missing {
        /// The table.
        table: String,
        /// `dynamodb` or `mysql`.
        system: &'static str,
    },
    /// Something is in the table that this program does not understand.
    #[error(
        "table '{table}' holds what is no row of this benchmark: {reason}; name another --table"
    )]
    Foreign {
        /// The table.
        table: String,
        /// What is wrong.
        reason: String,
    },
    /// The table is there and has the columns of another one.
    #[error(
        "table '{table}' is not a landing table: {}; use another --table",
        differences.join(", ")
    )]
    OtherColumns {
        /// The table.
        table: String,
        /// What is not as it should be, as in `it has no column 'run'`.
        differences: Vec<String>,
    },
    /// What has this name is no table.
    #[error("'{table}' {reason}, which is no landing table; name another --table")]
    NoTable {
        /// What has the name.
        table: String,
        /// What it is, as in `is a view`.
        reason: String,
    },
    /// A table was deleted, and is there all the same.
    #[error("table '{table}' is still there after it was deleted; see who creates it")]
    NotDeleted {
        /// The table.
        table: String,
    },
    /// The system has no means for a reader.
    #[error("failed to make a runtime for the reader of a table")]
    Runtime {
        /// What it lacks.
        source: std::io::Error,
    },
    /// The table did not become what it was to become.
    #[error(
        "table '{table}' was not {state} within {seconds} s; raise --timeout, or look at the service"
    )]
    NotInTime {
        /// The table.
        table: String,
        /// What was waited for.
        state: &'static str,
        /// How long, seconds.
        seconds: u64,
    },
}

impl TableError {
    /// Whether the command line is to blame, so that nothing was attempted.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Options(_)
                | Self::MysqlUrl { .. }
                | Self::Name { .. }
                | Self::OtherColumns { .. }
        )
    }
}
