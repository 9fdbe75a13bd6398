//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use bench_cli::{GenerateArgs, LogArgs, OutputArgs, RunArgs, UsageError, quantity};
use bench_core::message::RunId;
use bench_query::QueryArgs;
use bench_tables::KINESIS_TABLE;
use clap::{Args, Command, CommandFactory, Parser};

use crate::{Connection, Tool};

const EXIT_CODES: &str = "Exit codes: 0 good; 1 failed; 2 bad usage; 3 the run is INVALID (loss, \
                          corruption); 130 interrupted.";

#[derive(Parser)]
#[command(mut_arg("query", |query| query.requires("all_runs").conflicts_with("record_size")))]
pub(crate) struct Options<C: Args> {
    #[command(flatten)]
    pub(crate) read: ReadArgs,

    #[command(flatten)]
    pub(crate) query: QueryArgs,

    #[command(flatten)]
    pub(crate) connection: C,

    #[command(flatten)]
    pub(crate) run: RunArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    #[command(flatten)]
    pub(crate) log: LogArgs,

    #[command(flatten)]
    pub(crate) generate: GenerateArgs,
}

/// What to read, and until when.
#[derive(Args)]
#[command(next_help_heading = "Rows")]
pub(crate) struct ReadArgs {
    /// Table to read
    #[arg(long, value_name = "NAME", default_value = KINESIS_TABLE)]
    pub(crate) table: String,

    /// Run whose rows to read [default: the only run in the table]
    #[arg(long = "run", value_name = "ID", value_parser = parse_run, conflicts_with = "all_runs")]
    pub(crate) run_id: Option<RunId>,

    /// Result folder of the producing run, whose rows are read and checked against it
    #[arg(long, value_name = "DIR", conflicts_with_all = ["run_id", "all_runs", "expected"])]
    pub(crate) from_run: Option<PathBuf>,

    /// Read all existing rows of all runs, once
    #[arg(long, conflicts_with_all = ["expected", "follow"])]
    pub(crate) all_runs: bool,

    /// Rows hold messages of other senders, without a header: only count and time them
    #[arg(long, requires = "all_runs")]
    pub(crate) raw: bool,

    /// Number of messages that the run must have; missing ones make it INVALID
    #[arg(
        short = 'n',
        long,
        value_name = "COUNT",
        aliases = ["num_records", "messages"],
        value_parser = quantity::parse_count
    )]
    pub(crate) expected: Option<u64>,

    /// Number of producers that evenly shared the expected messages
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        requires = "expected",
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    pub(crate) producers: u16,

    /// Keep reading until every expected row has arrived, or an interrupt; never time out
    #[arg(long)]
    pub(crate) follow: bool,

    /// Time without rows after which missing ones count as lost
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = quantity::parse_duration)]
    pub(crate) drain_timeout: Duration,

    /// Expected size of each message; counts those of another size
    #[arg(
        short = 'r',
        long,
        value_name = "SIZE",
        alias = "record_size",
        value_parser = quantity::parse_size_bytes
    )]
    pub(crate) record_size: Option<u64>,

    // The original script accepted it without effect.
    #[arg(short = 'a', long, alias = "agg_size", value_name = "SIZE", hide = true)]
    aggregate: Option<String>,
}

impl ReadArgs {
    /// Refuses invalid options.
    pub(crate) fn check(&self) -> Result<(), UsageError> {
        if self.aggregate.is_some() {
            let problem = "rows do not show how their messages were aggregated";
            return Err(UsageError::new("--aggregate", problem, "use it with kin-producer"));
        }
        if self.expected == Some(0) {
            return Err(UsageError::new("--expected", "0 is too few", "use at least 1"));
        }
        Ok(())
    }
}

/// The command line of a tool.
pub(crate) fn command<C: Connection>(tool: Tool) -> Command {
    Options::<C>::command()
        .name(tool.name)
        .version(tool.version)
        .about(tool.about)
        .long_about(format!(
            "{}\n\nReports how long messages took to be written (landing latency), split into the \
             way to the stream (arrival), to the function or consumer (end-to-end) and into the \
             table, and an audit of every message. With --query, computes statistics over a field \
             of JSON records instead.",
            tool.about
        ))
        .after_help(format!("Examples:\n{}\n\n{EXIT_CODES}", C::EXAMPLES))
}

/// Parses a run id, ten hexadecimal digits.
fn parse_run(text: &str) -> Result<RunId, String> {
    let digits = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let run = digits.then(|| text.parse().ok()).flatten();
    run.ok_or_else(|| "expected 10 hex digits, as in 00c0ffee42".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches as _;

    use super::*;
    use crate::{DynamodbConnection, MysqlConnection};

    const TOOL: Tool = Tool { name: "test", version: "0", about: "Test" };

    fn parse(line: &[&str]) -> Result<ReadArgs, String> {
        let matches = command::<DynamodbConnection>(TOOL).try_get_matches_from(line);
        let matches = matches.map_err(|error| error.to_string())?;
        let options = Options::<DynamodbConnection>::from_arg_matches(&matches);
        Ok(options.map_err(|error| error.to_string())?.read)
    }

    #[test]
    fn command_lines_are_consistent() {
        command::<DynamodbConnection>(TOOL).debug_assert();
        command::<MysqlConnection>(TOOL).debug_assert();
    }

    #[test]
    fn old_command_lines_work_or_are_explained() {
        let read = parse(&["test", "--num_records", "2500", "--record_size", "800"]).expect("old");
        assert_eq!((read.expected, read.record_size), (Some(2500), Some(800)));
        read.check().expect("good");
        let read = parse(&["test", "-n", "5", "-a", "1000"]).expect("parsed");
        let refused = read.check().expect_err("refused").to_string();
        assert!(refused.contains("--aggregate") && refused.contains("kin-producer"), "{refused}");
        assert!(parse(&["test", "-n", "0"]).expect("parsed").check().is_err());
    }

    #[test]
    fn contradictory_options_are_refused() {
        for line in [
            &["test", "--run", "00c0ffee42", "--all-runs"][..],
            &["test", "--run", "c0ffee"],
            &["test", "--from-run", "x", "-n", "5"],
            &["test", "--producers", "2"],
            &["test", "--all-runs", "--follow"],
            &["test", "--raw"],
            &["test", "--query", "price"],
            &["test", "--all-runs", "--query", "price", "--raw"],
            &["test", "--all-runs", "--query", "price", "--record-size", "8"],
            &["test", "--from-run", "x", "--query", "price"],
            &["test", "--all-runs", "--group-by", "author"],
        ] {
            assert!(parse(line).is_err(), "{line:?}");
        }
    }
}
