//! The command line.

use std::time::Duration;

use bench_cli::{DrainArgs, GenerateArgs, LogArgs, OutputFormat, RunArgs, WorkloadArgs, quantity};
use bench_delta::LakeArgs;
use bench_delta::publish::{CommitPath, Compression};
use bench_delta::schema::PartitionColumn;
use clap::{ArgGroup, Args, CommandFactory, Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  delta-producer --rate 10k/s                              embedded S3, nothing to install
  delta-producer --rate 60k/s --commit-interval 100ms --duration 60s --warm-up 10s
  delta-producer --lake-path s3://bucket/table --rate 10k/s --follow --region eu-west-1
  delta-producer --lake-path /tmp/table --rate 100k/s -p 4 --partition-by producer,date
  delta-producer --lake-path t --rate 10000 --seconds-to-stream 60 --s3-backend minio \\
                 --autocommit-duration-ms 1000             as in the earlier script
  delta-producer maintain --lake-path /tmp/table --vacuum --dry-run

Requests to S3 and what is stored there cost money: see docs/delta-producer.md.

Exit codes: 0 good; 1 failed; 2 bad usage; 3 the run is INVALID (loss, corruption); 130 interrupted.";

/// Measure publishing to a Delta Lake table, on S3 or in a folder
///
/// The messages of each commit interval become one Parquet file and one entry in the table's log.
/// Reports throughput, publish latency (commit time minus intended time), how long commits take,
/// and the requests they cost. With --follow, the same process also reads the table, for end-to-end
/// latency and an audit of every message. If neither a table nor a service is set, an embedded S3
/// is started for the run: its figures are the client's ceiling on loopback, not S3's performance.
#[derive(Parser)]
#[command(
    name = "delta-producer",
    version,
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) lake: LakeArgs,

    /// Create the bucket if it does not exist
    #[arg(help_heading = "Table", long)]
    pub(crate) create_bucket: bool,

    #[command(flatten)]
    pub(crate) table: TableArgs,

    #[command(flatten)]
    pub(crate) workload: WorkloadArgs,

    #[command(flatten)]
    pub(crate) producer: ProducerArgs,

    #[command(flatten)]
    pub(crate) follower: FollowerArgs,

    #[command(flatten)]
    pub(crate) run: RunArgs,

    // Not the one that other tools share, which would also apply to the subcommand.
    /// Format of the result on standard output
    #[arg(help_heading = "Output", long, value_enum, value_name = "FORM", default_value_t)]
    pub(crate) output: OutputFormat,

    #[command(flatten)]
    pub(crate) log: LogArgs,

    #[command(flatten)]
    pub(crate) generate: GenerateArgs,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// The command line, including the option names of the earlier script.
pub(crate) fn command() -> clap::Command {
    Options::command().mut_arg("duration", |duration| {
        duration.visible_alias("seconds-to-stream").alias("seconds_to_stream")
    })
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Compact a table's small files, and remove unneeded files
    Maintain(MaintainArgs),
}

/// The layout of the table.
#[derive(Args)]
#[command(next_help_heading = "Table")]
pub(crate) struct TableArgs {
    /// Partition columns of a new table: any of producer, date, hour
    ///
    /// Date and hour are those of the commit, in UTC. An existing table keeps its own partitions.
    #[arg(long, value_name = "COLUMNS", value_enum, value_delimiter = ',')]
    pub(crate) partition_by: Vec<PartitionColumn>,

    /// Compression of the data files
    #[arg(long, value_enum, value_name = "CODEC", default_value = "none")]
    pub(crate) compression: Compression,

    /// Maximum size of a data file before compression; larger batches are split
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "128MiB",
        value_parser = quantity::parse_size_bytes
    )]
    pub(crate) target_file_size: u64,

    /// Maximum rows per row group in a data file
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100_000,
        value_parser = clap::value_parser!(u32).range(1_000..=10_000_000)
    )]
    pub(crate) rows_per_group: u32,

    /// Versions between checkpoints of the log, which are written in the background; 0: none
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100,
        value_parser = clap::value_parser!(u64).range(..=1_000_000)
    )]
    pub(crate) checkpoint_every: u64,

    /// Retention of log entries that a checkpoint has made superfluous
    #[arg(long, value_name = "TIME", default_value = "30days", value_parser = quantity::parse_duration)]
    pub(crate) log_retention: Duration,
}

/// How messages are committed.
#[derive(Args)]
#[command(next_help_heading = "Producers")]
pub(crate) struct ProducerArgs {
    /// Producers, each with its own connections and thread, all committing to the one table
    #[arg(
        short = 'p',
        long,
        value_name = "N",
        default_value_t = 1,
        alias = "num_producers",
        value_parser = clap::value_parser!(u16).range(1..=1000)
    )]
    pub(crate) producers: u16,

    /// Time between a producer's commits [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = quantity::parse_duration)]
    pub(crate) commit_interval: Option<Duration>,

    /// The same in milliseconds
    #[arg(
        long,
        value_name = "MS",
        alias = "autocommit_duration_ms",
        conflicts_with = "commit_interval",
        value_parser = clap::value_parser!(u64).range(1..=3_600_000)
    )]
    pub(crate) autocommit_duration_ms: Option<u64>,

    /// How commits are written
    #[arg(long, value_enum, value_name = "HOW", default_value = "direct")]
    pub(crate) commit: CommitPath,

    /// Data files per producer that may be uploading at once
    #[arg(
        long,
        value_name = "N",
        default_value_t = 4,
        value_parser = clap::value_parser!(u16).range(1..=64)
    )]
    pub(crate) uploads: u16,

    /// Maximum unacknowledged messages per producer [default: several seconds' worth]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=IN_FLIGHT_MAX))]
    pub(crate) in_flight: Option<u32>,

    /// Time to wait for commits after the last message, including retries and overdue messages
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = quantity::parse_duration)]
    pub(crate) grace: Duration,
}

/// Limit on unacknowledged messages per producer: the table of them takes 32 bytes each.
pub(crate) const IN_FLIGHT_MAX: i64 = 16_000_000;

/// Following the table in the process that writes it.
#[derive(Args)]
#[command(next_help_heading = "Following")]
pub(crate) struct FollowerArgs {
    /// Also follow the table [default on the embedded S3]
    #[arg(long, overrides_with = "no_follow")]
    pub(crate) follow: bool,

    /// Do not follow the table
    #[arg(long)]
    pub(crate) no_follow: bool,

    /// Time between polls for the next version [default: a twentieth of the commit interval]
    #[arg(long, value_name = "TIME", value_parser = quantity::parse_duration)]
    pub(crate) poll_interval: Option<Duration>,

    /// Read-ahead limit, bytes
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "64MiB",
        value_parser = quantity::parse_size_bytes
    )]
    pub(crate) read_ahead: u64,

    #[command(flatten)]
    pub(crate) drain: DrainArgs,

    /// Report the run as INVALID if a message arrives twice
    #[arg(long)]
    pub(crate) exactly_once: bool,
}

/// The options of `maintain`.
#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate option")]
#[command(group(ArgGroup::new("operation").required(true).multiple(true)))]
pub(crate) struct MaintainArgs {
    #[command(flatten)]
    pub(crate) lake: LakeArgs,

    /// Compact small files into larger ones; rows keep their order
    #[arg(long, group = "operation")]
    pub(crate) optimize: bool,

    /// Target size of the compacted files
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "128MiB",
        value_parser = quantity::parse_size_bytes
    )]
    pub(crate) target_file_size: u64,

    /// Remove files that no version within --retention needs
    #[arg(long, group = "operation")]
    pub(crate) vacuum: bool,

    /// How long unneeded files are kept for slow readers
    #[arg(long, value_name = "TIME", default_value = "7days", value_parser = quantity::parse_duration)]
    pub(crate) retention: Duration,

    /// Show what would be removed, and change nothing
    #[arg(long, requires = "vacuum", conflicts_with = "optimize")]
    pub(crate) dry_run: bool,

    /// Do not ask before removing files
    #[arg(long)]
    pub(crate) yes: bool,

    /// Include tables that delta-producer did not create
    #[arg(long)]
    pub(crate) force: bool,

    /// Format of the result on standard output
    #[arg(long, value_enum, value_name = "FORM", default_value_t)]
    pub(crate) output: OutputFormat,
}
