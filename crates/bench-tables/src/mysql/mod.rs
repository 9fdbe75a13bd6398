//! The landing table in `MySQL`, `MariaDB` and what else speaks their protocol.
//!
//! Rows are numbered in the order in which their inserts began, so that a reader can follow by
//! number. `docs/tables.md` has the columns.

mod admin;
mod catalog;
mod connection;
mod gaps;
mod reader;
mod writer;

pub use admin::MysqlAdmin;
pub use connection::{MysqlArgs, MysqlServer, MysqlUrl};
pub(crate) use reader::MysqlSource;
pub use writer::MysqlWriter;

use mysql_async::{Error, ServerError};

use crate::error::TableError;

/// Most rows of an INSERT statement, and so of a transaction: a prepared statement takes 65,535
/// parameters, of which a row needs twelve.
pub const INSERT_ROWS_MAX: usize = 5_000;

/// The comment of the table of confirmations. It begins with [`MARK`](crate::MARK).
const CONFIRMATIONS_COMMENT: &str = "stream-benchmark: when batches of rows were confirmed";

/// What follows a table's name in that of the table of its confirmations.
const CONFIRMED: &str = "_confirmed";

/// Columns of a row, in the order of [`writer`]'s parameters.
const COLUMNS: [&str; 12] = [
    "run",
    "producer",
    "sequence",
    "key_",
    "message",
    "partition_",
    "received_ns",
    "boot",
    "wall_offset_ns",
    "arrived_ms",
    "batch",
    "part",
];

/// A table's name that needs no escaping within back-ticks.
#[derive(Debug, Clone)]
pub(crate) struct TableName(String);

impl TableName {
    pub(crate) fn new(table: &str) -> Result<Self, TableError> {
        let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '$');
        if (1..=64 - CONFIRMED.len()).contains(&table.len()) && table.chars().all(is_good) {
            return Ok(Self(table.to_owned()));
        }
        let rule = "MySQL takes 1 to 54 letters, digits, and any of _ - $ here";
        Err(TableError::Name { table: table.to_owned(), rule })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// As a statement has it.
    pub(crate) fn quoted(&self) -> String {
        format!("`{}`", self.0)
    }

    /// The table of its confirmations.
    pub(crate) fn confirmed(&self) -> String {
        format!("{}{CONFIRMED}", self.0)
    }

    /// The same as a statement has it.
    pub(crate) fn quoted_confirmed(&self) -> String {
        format!("`{}`", self.confirmed())
    }
}

/// Codes of the server for what another attempt may do without: too many connections, a shutdown, a
/// lock that was not had in time, a deadlock, an interrupt, a server that only reads for the moment,
/// connections that were killed or timed out.
const PASSING: [u16; 13] =
    [1040, 1053, 1077, 1203, 1205, 1213, 1226, 1290, 1317, 1836, 1927, 3169, 4031];

/// The server's code for a table that is not there.
const NO_SUCH_TABLE: u16 = 1146;

/// Whether another attempt, on another connection, may succeed.
fn is_passing(error: &Error) -> bool {
    match error {
        Error::Io(mysql_async::IoError::Io(_)) => true,
        Error::Driver(error) => matches!(
            error,
            mysql_async::DriverError::ConnectionClosed
                | mysql_async::DriverError::PoolDisconnected
                | mysql_async::DriverError::PacketOutOfOrder
        ),
        Error::Server(error) => PASSING.contains(&error.code),
        _ => false,
    }
}

/// What was attempted on a table, and what the server or the client said of it.
fn table_error(attempted: &str, table: &TableName, error: &Error) -> TableError {
    match error {
        Error::Server(ServerError { code: NO_SUCH_TABLE, .. }) => {
            TableError::Missing { table: table.0.clone(), system: "mysql" }
        }
        error => server_error(format!("{attempted} table '{}'", table.0), error),
    }
}

/// What was attempted, and what the server or the client said of it.
fn server_error(attempted: String, error: &Error) -> TableError {
    let (reason, remedy) = match error {
        Error::Server(error) => {
            let remedy = match error.code {
                1044 | 1142 => Some("docs/tables.md has the rights that the tools need"),
                1045 => Some("check the user and the password in MYSQL_URL"),
                1049 => Some("name a database that exists in MYSQL_URL"),
                _ => None,
            };
            (format!("{} ({})", error.message, error.code), remedy)
        }
        Error::Io(error) => {
            (error.to_string(), Some("see whether the server in MYSQL_URL is there"))
        }
        error => (error.to_string(), None),
    };
    TableError::Mysql { attempted, reason, remedy }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_need_no_escaping() {
        assert_eq!(TableName::new("a-b_$1").expect("good").quoted(), "`a-b_$1`");
        for wrong in ["", "a`b", "a.b", "a b", "ä", &"x".repeat(55)] {
            assert!(TableName::new(wrong).expect_err(wrong).is_usage(), "{wrong}");
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let server = |code| {
            let (message, state) = (String::new(), String::new());
            Error::Server(ServerError { code, message, state })
        };
        assert!(is_passing(&server(1213)) && is_passing(&server(1927)));
        assert!(!is_passing(&server(1146)) && !is_passing(&server(1045)));
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert!(is_passing(&Error::Io(mysql_async::IoError::Io(reset))));
    }
}
