//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use bench_cli::{OutputArgs, ReaderArgs, RunArgs, quantity};
use bench_delta::LakeArgs;
use bench_delta::receive::TableStart;
use bench_query::QueryArgs;
use bench_record::windows::WindowLength;
use clap::{Args, Parser};

use crate::start::parse_start;
use crate::windows::parse_window;

const EXAMPLES: &str = "\
Examples:
  delta-consumer --lake-path /tmp/table --from-run results/delta-producer-...   audit what a run sent
  delta-consumer --lake-path s3://bucket/table --from end --follow --duration 60s
  delta-consumer --lake-path s3://bucket/table --expected-messages 3M --poll-interval 10ms
  delta-consumer --lake-path s3://bucket/books --query price --group-by author
  delta-consumer --lake-path t --output-path 10000.csv --expected-messages 600000 \\
                 --log-frequency 10000 --s3-backend minio --autocommit-duration-ms 1000
                                                            as in the earlier script

Exit codes: 0 good; 1 failed; 2 bad usage; 3 the run is INVALID (loss, corruption); 130 interrupted.";

/// Measure following a Delta Lake table: latency, throughput and an audit of every message
///
/// Reads the table's log version by version, and the data files that each version adds, whoever
/// wrote them: the table only needs a column `value`. With --query, computes statistics over a
/// field of JSON records instead.
#[derive(Parser)]
#[command(name = "delta-consumer", version, after_help = EXAMPLES)]
#[command(mut_arg("query", |query| query.conflicts_with_all(["exactly_once", "output_path"])))]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) lake: LakeArgs,

    #[command(flatten)]
    pub(crate) reading: ReadingArgs,

    #[command(flatten)]
    pub(crate) reader: ReaderArgs,

    #[command(flatten)]
    pub(crate) query: QueryArgs,

    #[command(flatten)]
    pub(crate) windows: WindowArgs,

    #[command(flatten)]
    pub(crate) run: RunArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What to read, and how.
#[derive(Args)]
#[command(next_help_heading = "Reading")]
pub(crate) struct ReadingArgs {
    /// Where to begin: beginning, end, version:N, timestamp:TIME
    ///
    /// A version is read whole, and so are later ones. It must exist; with --follow or --expected
    /// it may be the next one, and `end` needs one of these options. TIME is that of the commit,
    /// such as 2026-11-21T14:00:00Z or seconds since 1970, and not in the future.
    #[arg(long, value_name = "WHERE", default_value = "beginning", value_parser = parse_start)]
    pub(crate) from: TableStart,

    /// Time between polls for the next version [default: 10ms]
    #[arg(long, value_name = "TIME", value_parser = quantity::parse_duration)]
    pub(crate) poll_interval: Option<Duration>,

    /// The producer's commit interval in milliseconds: the table is polled 20 times as often
    #[arg(
        long,
        value_name = "MS",
        alias = "autocommit_duration_ms",
        conflicts_with = "poll_interval",
        value_parser = clap::value_parser!(u64).range(1..=3_600_000)
    )]
    pub(crate) autocommit_duration_ms: Option<u64>,

    /// Read-ahead limit, bytes
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "64MiB",
        value_parser = quantity::parse_size_bytes
    )]
    pub(crate) read_ahead: u64,

    /// Time to wait for a table that does not exist yet [default: 0s; 30s with --expected or
    /// --follow]
    #[arg(long, value_name = "TIME", value_parser = quantity::parse_duration)]
    pub(crate) wait_for_table: Option<Duration>,
}

/// Latency per window, in a separate file.
#[derive(Args)]
#[command(next_help_heading = "Results")]
pub(crate) struct WindowArgs {
    /// CSV file of latency percentiles: one row per window, for that window alone
    #[arg(long, value_name = "FILE", alias = "output_path")]
    pub(crate) output_path: Option<PathBuf>,

    /// Length of a window: a time, or a number of messages [default: 1s]
    ///
    /// A time needs a unit (10s, 500ms); a plain number counts messages. Windows end with an
    /// interval of the result folder, which --interval sets.
    #[arg(long, value_name = "WINDOW", alias = "log_frequency", requires = "output_path", value_parser = parse_window)]
    pub(crate) log_frequency: Option<WindowLength>,
}
