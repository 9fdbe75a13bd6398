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

/// What is read, and until when.
#[derive(Args)]
#[command(next_help_heading = "Rows")]
pub(crate) struct ReadArgs {
    /// Table to read
    #[arg(long, value_name = "NAME", default_value = KINESIS_TABLE)]
    pub(crate) table: String,

    /// Run whose rows to read; by default the only one in the table
    #[arg(long = "run", value_name = "ID", value_parser = parse_run, conflicts_with = "all_runs")]
    pub(crate) run_id: Option<RunId>,

    /// Result folder of the run that sent the messages: tells the run, and what must be there
    #[arg(long, value_name = "DIR", conflicts_with_all = ["run_id", "all_runs", "expected"])]
    pub(crate) from_run: Option<PathBuf>,

    /// Read the rows of all runs that are there, once
    #[arg(long, conflicts_with_all = ["expected", "follow"])]
    pub(crate) all_runs: bool,

    /// The rows hold messages that others sent, without a header: count and time them alone
    #[arg(long, requires = "all_runs")]
    pub(crate) raw: bool,

    /// Messages of the run that must be there; missing ones make it INVALID
    #[arg(
        short = 'n',
        long,
        value_name = "COUNT",
        aliases = ["num_records", "messages"],
        value_parser = quantity::parse_count
    )]
    pub(crate) expected: Option<u64>,

    /// Producers that shared the expected messages out evenly
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        requires = "expected",
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    pub(crate) producers: u16,

    /// Go on until all that must be there is there, or an interrupt, however long nothing comes
    #[arg(long)]
    pub(crate) follow: bool,

    /// Time without a row after which missing ones count as lost
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = quantity::parse_duration)]
    pub(crate) drain_timeout: Duration,

    /// Size that each message must have; others are counted
    #[arg(
        short = 'r',
        long,
        value_name = "SIZE",
        alias = "record_size",
        value_parser = quantity::parse_size_bytes
    )]
    pub(crate) record_size: Option<u64>,

    // The original took it and did nothing with it.
    #[arg(short = 'a', long, alias = "agg_size", value_name = "SIZE", hide = true)]
    aggregate: Option<String>,
}

impl ReadArgs {
    /// Refuses what cannot be.
    pub(crate) fn check(&self) -> Result<(), UsageError> {
        if self.aggregate.is_some() {
            let problem = "rows do not show how their messages were aggregated on the way";
            return Err(UsageError::new("--aggregate", problem, "give it to kin-producer"));
        }
        if self.expected == Some(0) {
            let problem = "0 messages measure nothing";
            return Err(UsageError::new("--expected", problem, "name at least 1"));
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
            "{}\n\nReports how long messages took until they were written (landing latency), how \
             much of that is the way to the stream (arrival), to the function or consumer \
             (end-to-end) and the table, and an audit of every message. With --query it computes \
             statistics over a field of JSON records instead.",
            tool.about
        ))
        .after_help(format!("Examples:\n{}\n\n{EXIT_CODES}", C::EXAMPLES))
}

/// Ten hexadecimal digits.
fn parse_run(text: &str) -> Result<RunId, String> {
    let digits = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let run = digits.then(|| text.parse().ok()).flatten();
    run.ok_or_else(|| "a run's id has ten hexadecimal digits, as in 00c0ffee42".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches as _;

    use super::*;
    use crate::{DynamodbConnection, MysqlConnection};

    const TOOL: Tool = Tool { name: "test", version: "0", about: "Test", services: &[] };

    fn parse(line: &[&str]) -> Result<ReadArgs, String> {
        let matches = command::<DynamodbConnection>(TOOL).try_get_matches_from(line);
        let matches = matches.map_err(|error| error.to_string())?;
        let options = Options::<DynamodbConnection>::from_arg_matches(&matches);
        Ok(options.map_err(|error| error.to_string())?.read)
    }

    #[test]
    fn the_command_lines_are_consistent() {
        command::<DynamodbConnection>(TOOL).debug_assert();
        command::<MysqlConnection>(TOOL).debug_assert();
    }

    #[test]
    fn old_command_lines_are_understood_or_refused_with_a_reason() {
        let read = parse(&["test", "--num_records", "2500", "--record_size", "800"]).expect("old");
        assert_eq!((read.expected, read.record_size), (Some(2500), Some(800)));
        read.check().expect("good");
        let read = parse(&["test", "-n", "5", "-a", "1000"]).expect("parsed");
        let refused = read.check().expect_err("refused").to_string();
        assert!(refused.contains("--aggregate") && refused.contains("kin-producer"), "{refused}");
        assert!(parse(&["test", "-n", "0"]).expect("parsed").check().is_err());
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
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
