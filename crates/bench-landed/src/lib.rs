//! The code of `kin-db-consumer` and `kin-sql-consumer`: both read a landing table and measure how
//! its rows got there. They differ only in their [`Connection`] to the table.

mod connection;
mod measure;
mod options;
mod query;
mod subject;

pub use connection::{Connection, DynamodbConnection, MysqlConnection};

use anyhow::Result;
use bench_cli::{Exit, UsageError, arguments, generate};
use bench_tables::TableError;
use clap::FromArgMatches as _;

use options::Options;

/// One of the two tools.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The first line of `--help`.
    pub about: &'static str,
}

/// Runs the tool.
pub fn run<C: Connection>(tool: Tool) -> Result<Exit> {
    let command = options::command::<C>(tool);
    if generate::handle(command.clone())? {
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
