//! How to reach `MySQL`.

use std::fmt::{self, Debug, Formatter};
use std::time::Duration;

use bench_core::results::{ServiceInfo, ServiceOrigin};
use clap::Args;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error, IoError, Opts, OptsBuilder, Pool, PoolConstraints, PoolOpts};

use super::{server_error, url};
use crate::error::TableError;

/// How to reach `MySQL`; flatten it into a tool's options. Never shown whole: the address holds a
/// password.
#[derive(Clone, Args)]
#[command(next_help_heading = "Connection")]
pub struct MysqlArgs {
    /// Address of the database: <mysql://USER:PASSWORD@HOST:PORT/DATABASE>
    ///
    /// Better kept in the environment, since every user of the machine can read command lines. With
    /// `?require_ssl=true` the connection is encrypted, and the server's certificate verified.
    #[arg(long, value_name = "URL", env = "MYSQL_URL", hide_env_values = true, global = true)]
    mysql_url: Option<String>,
}

impl MysqlArgs {
    /// Name of the option, as results list it. Its value is to be replaced by
    /// [`MysqlUrl::address`].
    pub const OPTION: &'static str = "mysql-url";

    /// The address, if one was named.
    pub fn url(&self) -> Result<Option<MysqlUrl>, TableError> {
        let text = self.mysql_url.as_deref().filter(|text| !text.is_empty());
        text.map(MysqlUrl::parse).transpose()
    }
}

/// Where a server is, with user, password and database.
#[derive(Clone)]
pub struct MysqlUrl(Opts);

impl Debug for MysqlUrl {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MysqlUrl").field(&self.address()).finish()
    }
}

impl MysqlUrl {
    /// Reads `mysql://USER:PASSWORD@HOST:PORT/DATABASE`, with the parameters of `mysql_async` after
    /// a `?`.
    pub fn parse(text: &str) -> Result<Self, TableError> {
        url::parse(text).map(Self).map_err(|reason| TableError::MysqlUrl { reason })
    }

    /// Host, port and database.
    #[must_use]
    pub fn address(&self) -> String {
        let Self(opts) = self;
        let (host, port) = (opts.ip_or_hostname(), opts.tcp_port());
        let database = opts.db_name().unwrap_or_default();
        if host.contains(':') {
            return format!("[{host}]:{port}/{database}");
        }
        format!("{host}:{port}/{database}")
    }

    /// Connections to the server, at most so many at a time; the first is made when it is needed.
    pub(crate) fn pool(&self, connections_max: usize) -> Pool {
        // The pool keeps as many idle ones as its minimum says, and opens none before it is needed.
        let connections = connections_max.max(1);
        let constraints = PoolConstraints::new(connections, connections).unwrap_or_default();
        // A connection is given back as it was taken: nothing here changes it.
        let pool = PoolOpts::new().with_constraints(constraints).with_reset_connection(false);
        Pool::new(OptsBuilder::from_opts(self.options()).pool_opts(pool))
    }

    /// One connection.
    pub(crate) async fn connect(&self, timeout: Duration) -> Result<Conn, TableError> {
        let connected = self.try_connect(timeout).await;
        connected.map_err(|error| {
            server_error(format!("connect to MySQL at {}", self.address()), &error)
        })
    }

    /// The same with the client's own error.
    pub(super) async fn try_connect(&self, timeout: Duration) -> Result<Conn, Error> {
        let connected = tokio::time::timeout(timeout, Conn::new(self.options())).await;
        connected.unwrap_or_else(|_| Err(no_answer()))
    }

    fn options(&self) -> Opts {
        OptsBuilder::from_opts(self.0.clone())
            // A statement is a transaction, whatever the server's default is.
            .setup(vec!["SET autocommit = 1"])
            .prefer_socket(false)
            .into()
    }

    /// What is known of the server.
    pub async fn server(&self, timeout: Duration) -> Result<MysqlServer, TableError> {
        let mut connection = self.connect(timeout).await?;
        let asked = "SELECT VERSION(), CAST(@@max_allowed_packet AS UNSIGNED), \
                     CAST(@@innodb_flush_log_at_trx_commit AS CHAR)";
        let answer: Option<(String, u64, String)> = connection
            .query_first(asked)
            .await
            .map_err(|error| server_error(format!("ask MySQL at {}", self.address()), &error))?;
        let (version, packet_max_bytes, flush_log_at_commit) = answer.unwrap_or_default();
        // The answer is there; how the server takes the farewell makes no difference.
        let _ = connection.disconnect().await;
        let packet_max_bytes = usize::try_from(packet_max_bytes).unwrap_or(usize::MAX);
        Ok(MysqlServer { version, packet_max_bytes, flush_log_at_commit })
    }

    /// A server that was named, as results show it: the version says when a transaction is on disk.
    #[must_use]
    pub fn service_info(&self, server: &MysqlServer) -> ServiceInfo {
        ServiceInfo {
            name: "mysql".to_owned(),
            origin: ServiceOrigin::External,
            address: self.address(),
            version: server.to_string(),
        }
    }
}

/// What a server that does not answer in time comes to.
pub(super) fn no_answer() -> Error {
    let reason = "no answer in time";
    Error::Io(IoError::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, reason)))
}

/// What is known of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MysqlServer {
    /// Its version, as it says.
    pub version: String,
    /// Largest statement that it takes, bytes.
    pub packet_max_bytes: usize,
    /// `innodb_flush_log_at_trx_commit`: with 1 a confirmed transaction is on disk, with 0 and 2 a
    /// crash may lose the last second.
    pub flush_log_at_commit: String,
}

impl fmt::Display for MysqlServer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { version, flush_log_at_commit, .. } = self;
        write!(f, "{version}, innodb_flush_log_at_trx_commit={flush_log_at_commit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_shows_neither_user_nor_password() {
        let url = MysqlUrl::parse("mysql://alice:hush@db.example:3307/bench").expect("an address");
        assert_eq!(url.address(), "db.example:3307/bench");
        assert_eq!(format!("{url:?}"), "MysqlUrl(\"db.example:3307/bench\")");
        let url = MysqlUrl::parse("mysql://u:x@[::1]:3306/bench").expect("an address");
        assert_eq!(url.address(), "[::1]:3306/bench");
    }

    #[test]
    fn what_is_no_address_is_told_without_the_password() {
        for wrong in [
            "postgres://alice:hush@db/bench",
            "mysql://alice:hush@db:x/bench",
            "mysql://alice:hush@db",
            "mysql://alice:hush@db/bench?require_ssl=hush",
            "alice:hush",
            "mysql://alice:hush@db/bench?pool_min=hush",
        ] {
            let error = MysqlUrl::parse(wrong).expect_err(wrong);
            assert!(error.is_usage(), "{wrong}");
            let text = error.to_string();
            assert!(text.contains("--mysql-url") && text.contains("MYSQL_URL"), "{text}");
            assert!(!text.contains("alice") && !text.contains("@db"), "{text}");
        }
    }
}
