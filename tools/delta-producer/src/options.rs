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
                 --autocommit-duration-ms 1000             as the script that this replaces
  delta-producer maintain --lake-path /tmp/table --vacuum --dry-run

Requests to S3 and what is stored there cost money: see docs/delta-producer.md.

Exit codes: 0 good; 1 failed; 2 bad usage; 3 the run is INVALID (loss, corruption); 130 interrupted.";

/// Measure publishing to a Delta Lake table, on S3 or in a folder
///
/// Each commit interval's messages become one Parquet file and one entry of the table's log.
/// Reports throughput, publish latency (committed less intended instant), how long commits take,
/// and the requests that they cost. With --follow the table is also followed in the same process,
/// for end-to-end latency and an audit of every message. With no table and no service named, an
/// embedded S3 is started for the run: its figures are the client's ceiling on loopback, not S3's
/// performance.
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

    /// Create the bucket if it is missing
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

    // Not the one that other tools share, which would be one of the subcommand's too.
    /// Form of the result on standard output
    #[arg(help_heading = "Output", long, value_enum, value_name = "FORM", default_value_t)]
    pub(crate) output: OutputFormat,

    #[command(flatten)]
    pub(crate) log: LogArgs,

    #[command(flatten)]
    pub(crate) generate: GenerateArgs,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// The command line, with the names that options had in the script that came before.
pub(crate) fn command() -> clap::Command {
    Options::command().mut_arg("duration", |duration| {
        duration.visible_alias("seconds-to-stream").alias("seconds_to_stream")
    })
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Compact a table's small files, and remove the files that it needs no more
    Maintain(MaintainArgs),
}

/// How the table is laid out.
#[derive(Args)]
#[command(next_help_heading = "Table")]
pub(crate) struct TableArgs {
    /// Partition columns of a table that is created: any of producer, date, hour
    ///
    /// Date and hour are those of the commit, UTC. A table that is there keeps its own.
    #[arg(long, value_name = "COLUMNS", value_enum, value_delimiter = ',')]
    pub(crate) partition_by: Vec<PartitionColumn>,

    /// Codec of the data files
    #[arg(long, value_enum, value_name = "CODEC", default_value = "none")]
    pub(crate) compression: Compression,

    /// Largest data file, before compression: more in a commit interval is split
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "128MiB",
        value_parser = quantity::parse_size_bytes
    )]
    pub(crate) target_file_size: u64,

    /// Most rows in a row group of a data file
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100_000,
        value_parser = clap::value_parser!(u32).range(1_000..=10_000_000)
    )]
    pub(crate) rows_per_group: u32,

    /// Versions between two checkpoints of the log, which are made in the background; 0: none
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100,
        value_parser = clap::value_parser!(u64).range(..=1_000_000)
    )]
    pub(crate) checkpoint_every: u64,

    /// How long entries of the log are kept that a checkpoint has made superfluous
    #[arg(long, value_name = "TIME", default_value = "30days", value_parser = quantity::parse_duration)]
    pub(crate) log_retention: Duration,
}

/// How messages are committed.
#[derive(Args)]
#[command(next_help_heading = "Producers")]
pub(crate) struct ProducerArgs {
    /// Producers, each with connections and a thread of its own, that commit to the one table
    #[arg(
        short = 'p',
        long,
        value_name = "N",
        default_value_t = 1,
        alias = "num_producers",
        value_parser = clap::value_parser!(u16).range(1..=1000)
    )]
    pub(crate) producers: u16,

    /// Time between two commits of a producer [default: 1s]
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

    /// How the log gets its entries
    #[arg(long, value_enum, value_name = "HOW", default_value = "direct")]
    pub(crate) commit: CommitPath,

    /// Data files of a producer that may be on their way at once
    #[arg(
        long,
        value_name = "N",
        default_value_t = 4,
        value_parser = clap::value_parser!(u16).range(1..=64)
    )]
    pub(crate) uploads: u16,

    /// Messages of a producer that may be unconfirmed [default: what some seconds bring]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=IN_FLIGHT_MAX))]
    pub(crate) in_flight: Option<u32>,

    /// Time for commits after the last message, for repeats, and for sending what is overdue
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = quantity::parse_duration)]
    pub(crate) grace: Duration,
}

/// Most messages of a producer that may be unconfirmed: the table of them takes 32 bytes each.
pub(crate) const IN_FLIGHT_MAX: i64 = 16_000_000;

/// Following the table in the process that writes it.
#[derive(Args)]
#[command(next_help_heading = "Following")]
pub(crate) struct FollowerArgs {
    /// Follow the table as well; the default on the embedded S3
    #[arg(long, overrides_with = "no_follow")]
    pub(crate) follow: bool,

    /// Do not follow the table
    #[arg(long)]
    pub(crate) no_follow: bool,

    /// Time between two looks for the next version [default: a twentieth of the commit interval]
    #[arg(long, value_name = "TIME", value_parser = quantity::parse_duration)]
    pub(crate) poll_interval: Option<Duration>,

    /// Most bytes of data files that are fetched before they are taken in
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "64MiB",
        value_parser = quantity::parse_size_bytes
    )]
    pub(crate) read_ahead: u64,

    #[command(flatten)]
    pub(crate) drain: DrainArgs,

    /// A run in which a message arrives twice is INVALID
    #[arg(long)]
    pub(crate) exactly_once: bool,
}

/// What `maintain` does.
#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[command(group(ArgGroup::new("operation").required(true).multiple(true)))]
pub(crate) struct MaintainArgs {
    #[command(flatten)]
    pub(crate) lake: LakeArgs,

    /// Compact small files into larger ones; rows keep their order
    #[arg(long, group = "operation")]
    pub(crate) optimize: bool,

    /// Size of the larger files
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

    /// How long a file that the table needs no more is kept for readers that are behind
    #[arg(long, value_name = "TIME", default_value = "7days", value_parser = quantity::parse_duration)]
    pub(crate) retention: Duration,

    /// Show what would be removed, and do nothing
    #[arg(long, requires = "vacuum", conflicts_with = "optimize")]
    pub(crate) dry_run: bool,

    /// Do not ask before files are removed
    #[arg(long)]
    pub(crate) yes: bool,

    /// Also a table that delta-producer did not create
    #[arg(long)]
    pub(crate) force: bool,

    /// Form of the result on standard output
    #[arg(long, value_enum, value_name = "FORM", default_value_t)]
    pub(crate) output: OutputFormat,
}
