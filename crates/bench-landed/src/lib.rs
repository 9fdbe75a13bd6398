//! The tools `kin-db-consumer` and `kin-sql-consumer`: they read a landing table and measure how its
//! rows came there. The two differ in their [`Connection`] to the table.

mod connection;
mod measure;
mod options;
mod query;
mod subject;

pub use connection::{Connection, DynamodbConnection, MysqlConnection};

use std::process::ExitCode;

use anyhow::Result;
use bench_cli::{
    Exit, Invocation, LogArgs, Tool, ToolId, UsageError, UsedService, run_tool, usage_error,
};
use bench_tables::TableError;
use clap::Command;

use options::Options;

/// The whole of a tool's `main`.
#[must_use]
pub fn main<C: Connection>() -> ExitCode {
    run_tool::<Options<C>>()
}

impl<C: Connection> Tool for Options<C> {
    const ID: ToolId = C::TOOL;
    const SERVICES: &'static [UsedService] = C::SERVICES;

    fn command_line() -> Command {
        options::command::<C>()
    }

    fn log(&self) -> LogArgs {
        self.output.log
    }

    fn run(&self, invocation: &Invocation) -> Result<Exit> {
        self.read.check()?;
        match &self.query.query {
            Some(field) => query::query(self, field, invocation),
            None => measure::measure(self, invocation),
        }
    }

    fn usage_error(error: &anyhow::Error) -> Option<UsageError> {
        usage_error(error, TableError::is_usage)
    }
}
