//! Errors of landing tables, each with a remedy.

use bench_aws::{AwsError, AwsOptionsError};

/// Why an operation on a table, or one of its options, failed.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// An error of `DynamoDB` or its client.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// No service is set, neither by options nor in the environment.
    #[error(transparent)]
    Options(#[from] AwsOptionsError),
    /// An error of `MySQL` or its client.
    #[error("failed to {attempted}: {reason}{}", remedy.map(|text| format!("; {text}")).unwrap_or_default())]
    Mysql {
        /// The operation and its target.
        attempted: String,
        /// The error of the server or client, in one line, without passwords.
        reason: String,
        /// The remedy, if known.
        remedy: Option<&'static str>,
    },
    /// An invalid `MySQL` address.
    #[error(
        "--mysql-url: {reason}; use mysql://USER:PASSWORD@HOST:PORT/DATABASE, or set MYSQL_URL"
    )]
    MysqlUrl {
        /// The problem, without the address itself.
        reason: String,
    },
    /// An invalid table name.
    #[error("--table: '{table}' is not a valid table name; {rule}")]
    Name {
        /// The name.
        table: String,
        /// The rule for names.
        rule: &'static str,
    },
    /// The table does not exist.
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
    /// The table contains something unknown.
    #[error(
        "table '{table}' contains rows that are not of this benchmark: {reason}; use another \
         --table"
    )]
    Foreign {
        /// The table.
        table: String,
        /// The problem.
        reason: String,
    },
    /// The table exists but has other columns.
    #[error(
        "table '{table}' is not a landing table: {}; use another --table",
        differences.join(", ")
    )]
    OtherColumns {
        /// The table.
        table: String,
        /// The differences, such as `it has no column 'run'`.
        differences: Vec<String>,
    },
    /// The name belongs to something other than a table.
    #[error("'{table}' {reason}, not a landing table; use another --table")]
    NoTable {
        /// The name.
        table: String,
        /// A predicate, such as `is a view`.
        reason: String,
    },
    /// The table still exists after its deletion.
    #[error(
        "table '{table}' still exists after it was deleted; check whether another program \
             recreates it"
    )]
    NotDeleted {
        /// The table.
        table: String,
    },
    /// A reader's runtime could not be created.
    #[error("failed to create a runtime for a table's reader")]
    Runtime {
        /// The cause.
        source: std::io::Error,
    },
    /// The table did not reach a state in time.
    #[error(
        "table '{table}' was not {state} within {seconds} s; raise --timeout, or check the service"
    )]
    NotInTime {
        /// The table.
        table: String,
        /// The expected state.
        state: &'static str,
        /// The time limit, seconds.
        seconds: u64,
    },
}

impl TableError {
    /// Whether the command line is at fault, so that nothing was attempted.
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
