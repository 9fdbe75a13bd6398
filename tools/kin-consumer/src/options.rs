//! The command line.

use std::time::Duration;

use bench_aws::AwsArgs;
use bench_cli::{OutputArgs, ReaderArgs, RunArgs, quantity};
use bench_kinesis::receive::{RECORDS_MAX, StreamStart};
use bench_query::QueryArgs;
use clap::{Args, Parser};

use crate::start::parse_start;

const EXAMPLES: &str = "\
Examples:
  kin-consumer --region eu-west-1 --from-run results/kin-producer-...    audit a producing run
  kin-consumer --stream s --from latest --follow --duration 60s          latency of new records
  kin-consumer --stream s --fan-out -c 4                                 by enhanced fan-out
  kin-consumer --stream books --query price                              mean, percentiles, ...
  kin-consumer --stream books --query price --group-by author --stats count,mean,p99

Exit codes: 0 good; 1 failed; 2 bad usage; 3 the run is INVALID (loss, corruption); 130 interrupted.";

/// Measure reading an Amazon Kinesis stream: latency, throughput and an audit of every message
///
/// Reads all shards, follows splits and merges, and unpacks aggregated records. With --query,
/// computes statistics over a field of JSON records instead.
#[derive(Parser)]
#[command(name = "kin-consumer", version, after_help = EXAMPLES)]
#[command(mut_arg("query", |query| query.conflicts_with("exactly_once")))]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,

    #[command(flatten)]
    pub(crate) reader: ReaderArgs,

    #[command(flatten)]
    pub(crate) query: QueryArgs,

    #[command(flatten)]
    pub(crate) run: RunArgs,

    #[command(flatten)]
    pub(crate) connection: AwsArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Options for reading.
#[derive(Args)]
#[command(next_help_heading = "Reading")]
pub(crate) struct ReadingArgs {
    /// Stream to read
    #[arg(long, value_name = "NAME", default_value = "benchmark")]
    pub(crate) stream: String,

    /// Where to start: trim-horizon, latest, timestamp:TIME, sequence:SHARD/NUMBER,
    /// after-sequence:SHARD/NUMBER
    ///
    /// TIME is a form such as 2026-11-21T14:00:00Z, or seconds since 1970. SHARD is a shard's id or
    /// number; other shards are skipped, unless they descend from it.
    #[arg(long, value_name = "WHERE", default_value = "trim-horizon", value_parser = parse_start)]
    pub(crate) from: StreamStart,

    /// Number of consumers that share the shards, each with its own connection
    #[arg(
        short = 'c',
        long,
        value_name = "N",
        default_value_t = 1,
        alias = "num_consumers",
        value_parser = clap::value_parser!(u32).range(1..=1000)
    )]
    pub(crate) consumers: u32,

    /// Read by enhanced fan-out, as this consumer [default: a new one, deregistered at the end]
    ///
    /// An existing consumer stays registered.
    #[arg(
        long,
        value_name = "NAME",
        num_args = 0..=1,
        default_missing_value = "",
        conflicts_with_all = ["poll_interval", "poll_records", "unlimited_reads"]
    )]
    pub(crate) fan_out: Option<String>,

    /// Interval between calls to a shard without new records [default: 200ms, or 5ms with an
    /// embedded service]
    #[arg(long, value_name = "TIME", value_parser = quantity::parse_duration)]
    pub(crate) poll_interval: Option<Duration>,

    /// Maximum records per call
    #[arg(
        long,
        value_name = "N",
        default_value_t = RECORDS_MAX,
        value_parser = clap::value_parser!(i32).range(1..=i64::from(RECORDS_MAX))
    )]
    pub(crate) poll_records: i32,

    /// Ignore the limits of AWS shards, 5 calls and 2 MiB per second [default with an embedded
    /// service]
    #[arg(long)]
    pub(crate) unlimited_reads: bool,
}
