//! The command line.

use bench_cli::{ExpectArgs, OutputArgs, RunArgs, UsageError, quantity};
use bench_core::message::RunId;
use bench_query::QueryArgs;
use bench_tables::KINESIS_TABLE;
use clap::{Args, Command, CommandFactory, Parser};

use crate::Connection;

const EXIT_CODES: &str = "Exit codes: 0 good; 1 failed; 2 bad usage; 3 the run is INVALID (loss, \
                          corruption); 130 interrupted.";

#[derive(Parser)]
#[command(mut_arg("query", |query| query.requires("all_runs").conflicts_with("record_size")))]
#[command(mut_arg("from_run", |from| from.conflicts_with_all(["run_id", "all_runs"])))]
// The scripts that these tools replace take the number of rows that must be there as -n.
#[command(mut_arg("expected", |expected| {
    expected.short('n').aliases(["num_records", "messages"]).conflicts_with("all_runs")
}))]
#[command(mut_arg("follow", |follow| follow.conflicts_with("all_runs")))]
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
}

/// Which rows are read, and until when.
#[derive(Args)]
#[command(next_help_heading = "Rows")]
pub(crate) struct ReadArgs {
    /// Table to read
    #[arg(long, value_name = "NAME", default_value = KINESIS_TABLE)]
    pub(crate) table: String,

    /// Run whose rows to read [default: the only run in the table]
    #[arg(long = "run", value_name = "ID", value_parser = parse_run, conflicts_with = "all_runs")]
    pub(crate) run_id: Option<RunId>,

    /// Read all existing rows of all runs, once
    #[arg(long)]
    pub(crate) all_runs: bool,

    /// Rows hold messages of other senders, without a header: only count and time them
    #[arg(long, requires = "all_runs")]
    pub(crate) raw: bool,

    #[command(flatten)]
    pub(crate) expect: ExpectArgs,

    /// Number of producers that evenly shared the expected messages
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        requires = "expected",
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    pub(crate) producers: u16,

    /// Expected size of each message; counts those of another size
    #[arg(
        short = 'r',
        long,
        value_name = "SIZE",
        alias = "record_size",
        value_parser = quantity::parse_size_bytes
    )]
    pub(crate) record_size: Option<u64>,

    // The original accepted it and ignored it.
    #[arg(short = 'a', long, alias = "agg_size", value_name = "SIZE", hide = true)]
    aggregate: Option<String>,
}

impl ReadArgs {
    /// Rejects options that cannot be used.
    pub(crate) fn check(&self) -> Result<(), UsageError> {
        if self.aggregate.is_some() {
            let problem = "rows do not show how their messages were aggregated on the way";
            return Err(UsageError::new("--aggregate", problem, "use it with kin-producer"));
        }
        self.expect.check()
    }
}

/// The command line of a tool.
pub(crate) fn command<C: Connection>() -> Command {
    Options::<C>::command()
        .name(C::TOOL.name)
        .version(C::TOOL.version)
        .about(C::ABOUT)
        .long_about(format!(
            "{}\n\nReports how long messages took to be written (landing latency), split into the \
             way to the stream (arrival), to the function or consumer (end-to-end) and into the \
             table, and an audit of every message. With --query, computes statistics over a field \
             of JSON records instead.",
            C::ABOUT
        ))
        .after_help(format!("Examples:\n{}\n\n{EXIT_CODES}", C::EXAMPLES))
}

/// Parses a run id, ten hexadecimal digits.
fn parse_run(text: &str) -> Result<RunId, String> {
    let digits = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let run = digits.then(|| text.parse().ok()).flatten();
    run.ok_or_else(|| "invalid run id: expected 10 hex digits, as in 00c0ffee42".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches as _;

    use super::*;
    use crate::{DynamodbConnection, MysqlConnection};

    fn parse(line: &[&str]) -> Result<ReadArgs, String> {
        let matches = command::<DynamodbConnection>().try_get_matches_from(line);
        let matches = matches.map_err(|error| error.to_string())?;
        let options = Options::<DynamodbConnection>::from_arg_matches(&matches);
        Ok(options.map_err(|error| error.to_string())?.read)
    }

    #[test]
    fn command_lines_are_consistent() {
        command::<DynamodbConnection>().debug_assert();
        command::<MysqlConnection>().debug_assert();
    }

    #[test]
    fn old_command_lines_work_or_give_a_reason() {
        let read = parse(&["test", "--num_records", "2500", "--record_size", "800"]).expect("old");
        assert_eq!((read.expect.expected, read.record_size), (Some(2500), Some(800)));
        read.check().expect("good");
        let read = parse(&["test", "-n", "5", "-a", "1000"]).expect("parsed");
        let refused = read.check().expect_err("refused").to_string();
        assert!(refused.contains("--aggregate") && refused.contains("kin-producer"), "{refused}");
        assert!(parse(&["test", "-n", "0"]).expect("parsed").check().is_err());
    }

    #[test]
    fn contradictory_options_are_rejected() {
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
