//! Access to `MySQL`.

use std::fmt::{self, Debug, Formatter};
use std::time::Duration;

use bench_record::{ServiceInfo, ServiceOrigin};
use clap::Args;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error, IoError, Opts, OptsBuilder, Pool, PoolConstraints, PoolOpts};

use super::{server_error, url};
use crate::error::TableError;

/// Options for access to `MySQL`; flatten them into a tool's options. Never printed whole, since
/// the address contains a password.
#[derive(Clone, Args)]
#[command(next_help_heading = "Connection")]
pub struct MysqlArgs {
    /// Address of the database: <mysql://USER:PASSWORD@HOST:PORT/DATABASE>
    ///
    /// Better set in the environment, since every user of the machine can read command lines. With
    /// `?require_ssl=true` the connection is encrypted and the server's certificate verified.
    #[arg(long, value_name = "URL", env = "MYSQL_URL", hide_env_values = true, global = true)]
    mysql_url: Option<String>,
}

impl MysqlArgs {
    /// Name of the option, as listed in results. Its value must be replaced by
    /// [`MysqlUrl::address`].
    pub const OPTION: &'static str = "mysql-url";

    /// The address, if set.
    pub fn url(&self) -> Result<Option<MysqlUrl>, TableError> {
        let text = self.mysql_url.as_deref().filter(|text| !text.is_empty());
        text.map(MysqlUrl::parse).transpose()
    }
}

/// The address of a server, with user, password and database.
#[derive(Clone)]
pub struct MysqlUrl(Opts);

impl Debug for MysqlUrl {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MysqlUrl").field(&self.address()).finish()
    }
}

impl MysqlUrl {
    /// Parses `mysql://USER:PASSWORD@HOST:PORT/DATABASE`, optionally with parameters of
    /// `mysql_async` after a `?`.
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

    /// Connections to the server, at most `connections_max`; opened on demand.
    pub(crate) fn pool(&self, connections_max: usize) -> Pool {
        // The pool keeps as many idle connections as its minimum and opens none in advance.
        let connections = connections_max.max(1);
        let constraints = PoolConstraints::new(connections, connections).unwrap_or_default();
        // Nothing here changes a connection, so it need not be reset.
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
            // Every statement is a transaction, whatever the server's default.
            .setup(vec!["SET autocommit = 1"])
            .prefer_socket(false)
            .into()
    }

    /// Queries the server's properties.
    pub async fn server(&self, timeout: Duration) -> Result<MysqlServer, TableError> {
        let mut connection = self.connect(timeout).await?;
        let asked = "SELECT VERSION(), CAST(@@max_allowed_packet AS UNSIGNED), \
                     CAST(@@innodb_flush_log_at_trx_commit AS CHAR)";
        let answer: Option<(String, u64, String)> = connection
            .query_first(asked)
            .await
            .map_err(|error| server_error(format!("query MySQL at {}", self.address()), &error))?;
        let (version, packet_max_bytes, flush_log_at_commit) = answer.unwrap_or_default();
        // The result is complete; a failed disconnect does not matter.
        let _ = connection.disconnect().await;
        let packet_max_bytes = usize::try_from(packet_max_bytes).unwrap_or(usize::MAX);
        Ok(MysqlServer { version, packet_max_bytes, flush_log_at_commit })
    }

    /// The server, as recorded in results; its version says when a transaction is on disk.
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

/// The error of a server that does not respond in time.
pub(super) fn no_answer() -> Error {
    let reason = "no answer in time";
    Error::Io(IoError::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, reason)))
}

/// The properties of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MysqlServer {
    /// Its version.
    pub version: String,
    /// Largest statement accepted, bytes.
    pub packet_max_bytes: usize,
    /// `innodb_flush_log_at_trx_commit`: with 1, a confirmed transaction is on disk; with 0 and 2,
    /// a crash may lose the last second.
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
    fn addresses_hide_user_and_password() {
        let url = MysqlUrl::parse("mysql://alice:hush@db.example:3307/bench").expect("an address");
        assert_eq!(url.address(), "db.example:3307/bench");
        assert_eq!(format!("{url:?}"), "MysqlUrl(\"db.example:3307/bench\")");
        let url = MysqlUrl::parse("mysql://u:x@[::1]:3306/bench").expect("an address");
        assert_eq!(url.address(), "[::1]:3306/bench");
    }

    #[test]
    fn invalid_addresses_hide_the_password() {
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
