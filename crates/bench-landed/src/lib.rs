//! What `kin-db-consumer` and `kin-sql-consumer` do: they read a landing table and measure how its
//! rows came there. The two differ in how they reach the table, which is a [`Connection`].

mod connection;
mod measure;
mod options;
mod query;
mod subject;

pub use connection::{Connection, DynamodbConnection, MysqlConnection};

use anyhow::Result;
use bench_cli::generate::UsedService;
use bench_cli::{Exit, UsageError, arguments, generate};
use bench_tables::TableError;
use clap::FromArgMatches as _;

use options::Options;

/// Which of the tools this is.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What `--help` begins with.
    pub about: &'static str,
    /// What run-suite starts for it.
    pub services: &'static [UsedService],
}

/// The whole tool.
pub fn run<C: Connection>(tool: Tool) -> Result<Exit> {
    let command = options::command::<C>(tool);
    if generate::handle(command.clone(), tool.services)? {
        return Ok(Exit::Good);
    }
    let matches = arguments::matches(command.clone())?;
    let options = Options::<C>::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    options.log.init();
    let result = match &options.query.query {
        Some(field) => query::query(tool, &options, field),
        None => measure::measure(tool, &options, &command, &matches),
    };
    result.map_err(|error| match error.downcast::<TableError>() {
        Ok(error) if error.is_usage() => UsageError::from_library(error).into(),
        Ok(error) => error.into(),
        Err(other) => other,
    })
}
