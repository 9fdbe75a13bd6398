//! The landing table in `MySQL`, `MariaDB` and compatible servers.
//!
//! Rows are numbered in the order in which their inserts began, so that a reader can follow by
//! number. `docs/tables.md` lists the columns.

mod admin;
mod catalog;
mod columns;
mod connection;
mod gaps;
mod reader;
mod url;
mod writer;

pub use admin::MysqlAdmin;
pub use connection::{MysqlArgs, MysqlServer, MysqlUrl};
pub(crate) use reader::MysqlSource;
pub use writer::MysqlWriter;

use bench_aws::{NetworkProblem, one_line};
use mysql_async::{DriverError, Error, ServerError};

use crate::error::TableError;

/// Limit on rows per INSERT statement, and so per transaction: a prepared statement takes 65,535
/// parameters, and a row needs twelve.
pub const INSERT_ROWS_MAX: usize = 5_000;

/// The comment of tables of confirmations. It begins with [`MARK`](crate::MARK).
const CONFIRMATIONS_COMMENT: &str = "stream-benchmark: when batches of rows were confirmed";

/// The suffix of a table's name that gives its table of confirmations.
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

/// A table name that needs no escaping within backticks.
#[derive(Debug, Clone)]
pub(crate) struct TableName(String);

impl TableName {
    pub(crate) fn new(table: &str) -> Result<Self, TableError> {
        let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '$');
        if (1..=64 - CONFIRMED.len()).contains(&table.len()) && table.chars().all(is_good) {
            return Ok(Self(table.to_owned()));
        }
        let rule = "use 1 to 54 letters, digits, and any of _ - $";
        Err(TableError::Name { table: table.to_owned(), rule })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as written in statements.
    pub(crate) fn quoted(&self) -> String {
        format!("`{}`", self.0)
    }

    /// The table of confirmations.
    pub(crate) fn confirmed(&self) -> String {
        format!("{}{CONFIRMED}", self.0)
    }

    /// The table of confirmations as written in statements.
    pub(crate) fn quoted_confirmed(&self) -> String {
        format!("`{}`", self.confirmed())
    }
}

/// Codes of transient errors: too many connections, a shutdown, a lock timeout, a deadlock, an
/// interrupt, a server that is read-only for the moment, connections that were killed or timed out.
const TRANSIENT: [u16; 13] =
    [1040, 1053, 1077, 1203, 1205, 1213, 1226, 1290, 1317, 1836, 1927, 3169, 4031];

/// The server's code for a missing table.
const NO_SUCH_TABLE: u16 = 1146;

/// Whether retrying on another connection may succeed.
fn is_transient(error: &Error) -> bool {
    match error {
        Error::Io(mysql_async::IoError::Io(_)) => true,
        Error::Driver(error) => matches!(
            error,
            mysql_async::DriverError::ConnectionClosed
                | mysql_async::DriverError::PoolDisconnected
                | mysql_async::DriverError::PacketOutOfOrder
        ),
        Error::Server(error) => TRANSIENT.contains(&error.code),
        _ => false,
    }
}

/// The error of an operation on a table.
fn table_error(attempted: &str, table: &TableName, error: &Error) -> TableError {
    match error {
        Error::Server(ServerError { code: NO_SUCH_TABLE, .. }) => {
            TableError::Missing { table: table.0.clone(), system: "mysql" }
        }
        error => server_error(format!("{attempted} table '{}'", table.0), error),
    }
}

/// The error of an operation.
fn server_error(attempted: String, error: &Error) -> TableError {
    let (reason, remedy) = match error {
        Error::Server(error) => {
            let message = one_line(&error.message);
            (format!("{message} ({})", error.code), remedy_for(error.code))
        }
        Error::Driver(DriverError::NoClientSslFlagFromServer) => (
            "MYSQL_URL requires TLS, but the server does not offer it".to_owned(),
            Some("enable TLS on the server, or remove require_ssl from MYSQL_URL"),
        ),
        error => client_reason(error),
    };
    TableError::Mysql { attempted, reason, remedy }
}

/// The remedy for an error code of the server.
fn remedy_for(code: u16) -> Option<&'static str> {
    match code {
        1040 | 1203 | 1226 => Some("use fewer connections, or raise max_connections on the server"),
        1044 | 1142 | 1143 | 1227 => Some("grant the permissions listed in docs/tables.md"),
        1045 | 1698 => Some("check the user and the password in MYSQL_URL"),
        1049 => Some("use an existing database in MYSQL_URL"),
        1129 => Some("unblock this host on the server with FLUSH HOSTS"),
        1130 => Some("allow the user to connect from this host on the server"),
        1153 => Some("send smaller messages, or raise max_allowed_packet on the server"),
        1021 | 1114 | 3675 => Some("free up disk space on the server"),
        1251 | 2059 => Some("use another authentication plugin for the user on the server"),
        1290 | 1836 => Some("use a writable server"),
        3159 => Some("add ?require_ssl=true to MYSQL_URL"),
        _ => None,
    }
}

/// The reason and remedy for an error of the client, in plain words.
fn client_reason(error: &Error) -> (String, Option<&'static str>) {
    const REACH: &str = "check the host and the port in MYSQL_URL";
    if let Some(problem) = NetworkProblem::of(error) {
        let remedy = match problem {
            NetworkProblem::UnknownIssuer | NetworkProblem::Certificate => {
                "use a server whose certificate is trusted here, or remove require_ssl from MYSQL_URL"
            }
            NetworkProblem::OtherName => "in MYSQL_URL, use the host name given in its certificate",
            NetworkProblem::Timeout => {
                "check the host and the port in MYSQL_URL, or raise --timeout"
            }
            NetworkProblem::Expired | NetworkProblem::TooManyFiles => problem.remedy(),
            _ => REACH,
        };
        return (problem.reason().to_owned(), Some(remedy));
    }
    match error {
        // The peer is not MySQL, or the connection broke.
        Error::Driver(
            DriverError::PacketOutOfOrder
            | DriverError::UnexpectedPacket { .. }
            | DriverError::CantParseServerVersion { .. },
        )
        | Error::Io(_) => ("the peer does not speak MySQL".to_owned(), Some(REACH)),
        Error::Driver(DriverError::ConnectionClosed) => {
            (NetworkProblem::Closed.reason().to_owned(), Some(REACH))
        }
        Error::Driver(DriverError::UnknownAuthPlugin { name }) => (
            format!("the server requires the unknown authentication plugin '{name}'"),
            Some("use another authentication plugin for the user on the server"),
        ),
        error => (one_line(&error.to_string()).trim_end_matches('.').to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_names_need_no_escaping() {
        assert_eq!(TableName::new("a-b_$1").expect("good").quoted(), "`a-b_$1`");
        for wrong in ["", "a`b", "a.b", "a b", "ä", &"x".repeat(55)] {
            assert!(TableName::new(wrong).expect_err(wrong).is_usage(), "{wrong}");
        }
    }

    #[test]
    fn client_errors_are_explained() {
        let io = |kind| Error::Io(mysql_async::IoError::Io(std::io::Error::from(kind)));
        for (error, said) in [
            (
                io(std::io::ErrorKind::ConnectionRefused),
                "failed to x: connection refused; check the host and the port in MYSQL_URL",
            ),
            (
                io(std::io::ErrorKind::TimedOut),
                "failed to x: no answer in time; check the host and the port in MYSQL_URL, or raise \
                 --timeout",
            ),
            (
                Error::Driver(DriverError::NoClientSslFlagFromServer),
                "failed to x: MYSQL_URL requires TLS, but the server does not offer it; enable TLS \
                 on the server, or remove require_ssl from MYSQL_URL",
            ),
            (
                Error::Driver(DriverError::PacketOutOfOrder),
                "failed to x: the peer does not speak MySQL; check the host and the port in \
                 MYSQL_URL",
            ),
        ] {
            assert_eq!(server_error("x".to_owned(), &error).to_string(), said);
        }
    }

    #[test]
    fn only_transient_errors_are_retried() {
        let server = |code| {
            let (message, state) = (String::new(), String::new());
            Error::Server(ServerError { code, message, state })
        };
        assert!(is_transient(&server(1213)) && is_transient(&server(1927)));
        assert!(!is_transient(&server(1146)) && !is_transient(&server(1045)));
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert!(is_transient(&Error::Io(mysql_async::IoError::Io(reset))));
    }
}
