//! The landing table in `MySQL`, `MariaDB` and what else speaks their protocol.
//!
//! Rows are numbered in the order in which their inserts began, so that a reader can follow by
//! number. `docs/tables.md` has the columns.

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
            let message = one_line(&error.message);
            (format!("{message} ({})", error.code), remedy_for(error.code))
        }
        Error::Driver(DriverError::NoClientSslFlagFromServer) => (
            "MYSQL_URL requires TLS, and the server offers none".to_owned(),
            Some("switch TLS on in the server, or take require_ssl out of MYSQL_URL"),
        ),
        error => client_reason(error),
    };
    TableError::Mysql { attempted, reason, remedy }
}

/// What to do about what a server says by such a code.
fn remedy_for(code: u16) -> Option<&'static str> {
    match code {
        1040 | 1203 | 1226 => Some("use fewer connections, or raise max_connections in the server"),
        1044 | 1142 | 1143 | 1227 => Some("docs/tables.md has the rights that the tools need"),
        1045 | 1698 => Some("check the user and the password in MYSQL_URL"),
        1049 => Some("name a database that exists in MYSQL_URL"),
        1129 => Some("unblock this host in the server with FLUSH HOSTS"),
        1130 => Some("let the user connect from this host in the server"),
        1153 => Some("send smaller messages, or raise max_allowed_packet in the server"),
        1021 | 1114 | 3675 => Some("free some disk space of the server"),
        1251 | 2059 => Some("use another authentication plugin for the user in the server"),
        1290 | 1836 => Some("use a server that can be written to"),
        3159 => Some("add ?require_ssl=true to MYSQL_URL"),
        _ => None,
    }
}

/// What the client says that has no words for people.
fn client_reason(error: &Error) -> (String, Option<&'static str>) {
    const REACH: &str = "check the host and the port in MYSQL_URL";
    if let Some(problem) = NetworkProblem::of(error) {
        let remedy = match problem {
            NetworkProblem::UnknownIssuer | NetworkProblem::Certificate => {
                "use a server whose certificate is trusted here, or take require_ssl out of MYSQL_URL"
            }
            NetworkProblem::OtherName => "name the host in MYSQL_URL as its certificate does",
            NetworkProblem::Timeout => {
                "check the host and the port in MYSQL_URL, or raise --timeout"
            }
            NetworkProblem::Expired | NetworkProblem::TooManyFiles => problem.remedy(),
            _ => REACH,
        };
        return (problem.reason().to_owned(), Some(remedy));
    }
    match error {
        // What answers is something else than MySQL, or breaks off.
        Error::Driver(
            DriverError::PacketOutOfOrder
            | DriverError::UnexpectedPacket { .. }
            | DriverError::CantParseServerVersion { .. },
        )
        | Error::Io(_) => ("what answers there does not speak MySQL".to_owned(), Some(REACH)),
        Error::Driver(DriverError::ConnectionClosed) => {
            (NetworkProblem::Closed.reason().to_owned(), Some(REACH))
        }
        Error::Driver(DriverError::UnknownAuthPlugin { name }) => (
            format!("the server asks for the unknown authentication '{name}'"),
            Some("use another authentication plugin for the user in the server"),
        ),
        error => (one_line(&error.to_string()).trim_end_matches('.').to_owned(), None),
    }
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
    fn errors_of_the_client_are_in_words_for_people() {
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
                "failed to x: MYSQL_URL requires TLS, and the server offers none; switch TLS on in \
                 the server, or take require_ssl out of MYSQL_URL",
            ),
            (
                Error::Driver(DriverError::PacketOutOfOrder),
                "failed to x: what answers there does not speak MySQL; check the host and the port \
                 in MYSQL_URL",
            ),
        ] {
            assert_eq!(server_error("x".to_owned(), &error).to_string(), said);
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
