//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use bench_aws::AwsArgs;
use bench_cli::{GenerateArgs, LogArgs, OutputFormat, RunArgs, WorkloadArgs, quantity};
use clap::{Args, Parser, Subcommand, ValueEnum};

const EXAMPLES: &str = "\
Examples:
  kin-producer -n 10000 -r 100                             embedded Kinesis, nothing to install
  kin-producer -n 1250 -r 1600 -a 1043582                  like the script that this tool replaces
  kin-producer --rate 2k/s --duration 30s --stream s --create --shards 2 --region eu-west-1
  kin-producer --input books.csv --partition-key-field Title --put record --in-flight 1
  kin-producer books generate -n 212 --seed 1 books.csv

A stream in AWS costs money until it is deleted: see docs/aws.md.

Exit codes: 0 good; 1 failed; 2 bad usage; 3 the run is INVALID; 130 interrupted.";

/// Measure publishing to an Amazon Kinesis stream
///
/// Reports throughput, publish latency (acknowledged minus intended instant), throttling and
/// retries, and records the acknowledged messages for kin-consumer, kin-db-consumer and
/// kin-sql-consumer to check. If no service is given, starts an embedded one for the run: its
/// figures are the client's limit on loopback, not Kinesis's performance.
#[derive(Parser)]
#[command(
    name = "kin-producer",
    version,
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) stream: StreamArgs,

    #[command(flatten)]
    pub(crate) workload: WorkloadArgs,

    #[command(flatten)]
    pub(crate) producer: ProducerArgs,

    #[command(flatten)]
    pub(crate) run: RunArgs,

    #[command(flatten)]
    pub(crate) aws: AwsArgs,

    // Not the shared option, which would also apply to the subcommands.
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

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Create files of books as input for runs
    Books(BooksArgs),
}

/// Options for the stream.
#[derive(Args)]
#[command(next_help_heading = "Stream")]
pub(crate) struct StreamArgs {
    /// Stream to use
    #[arg(long, value_name = "NAME", default_value = "benchmark", value_parser = parse_stream)]
    pub(crate) stream: String,

    /// Create the stream if it is missing; reshard it if it has another number than --shards
    #[arg(long)]
    pub(crate) create: bool,

    /// Shards of a created stream or of the embedded Kinesis [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) shards: Option<u32>,

    /// Create the stream in on-demand mode
    #[arg(long, conflicts_with = "shards")]
    pub(crate) on_demand: bool,

    /// Timeout for the stream to become active
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = quantity::parse_duration)]
    pub(crate) ready_timeout: Duration,

    /// Disable the embedded Kinesis's per-shard limits
    #[arg(long)]
    pub(crate) no_limits: bool,
}

/// Options for producers.
#[derive(Args)]
#[command(next_help_heading = "Producers")]
pub(crate) struct ProducerArgs {
    /// Number of producers, each with its own connections and thread
    #[arg(
        short = 'p',
        long,
        value_name = "N",
        default_value_t = 1,
        alias = "num_producers",
        value_parser = clap::value_parser!(u32).range(1..=1000)
    )]
    pub(crate) producers: u32,

    /// API operation: one record or many records per request
    #[arg(long, value_enum, value_name = "HOW", default_value_t)]
    pub(crate) put: PutArg,

    /// Maximum records per request
    #[arg(
        long,
        value_name = "N",
        default_value_t = 500,
        value_parser = clap::value_parser!(u16).range(1..=500)
    )]
    pub(crate) batch_records: u16,

    /// Maximum bytes per request, including partition keys
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "5MiB",
        value_parser = quantity::parse_size_bytes
    )]
    pub(crate) batch_size: u64,

    /// Maximum unacknowledged requests per producer
    #[arg(
        long,
        value_name = "N",
        default_value_t = 8,
        value_parser = clap::value_parser!(u32).range(1..=1000)
    )]
    pub(crate) in_flight: u32,

    /// Maximum time that a message waits for others [default: 5ms, or 100ms with --aggregate]
    #[arg(long, value_name = "TIME", value_parser = quantity::parse_duration)]
    pub(crate) linger: Option<Duration>,

    /// Pack messages into records of up to this size, in the Kinesis Producer Library's format
    ///
    /// The size includes the partition key. 0 disables packing, which is the default.
    #[arg(
        short = 'a',
        long,
        value_name = "SIZE",
        aliases = ["agg_size", "agg-size"],
        value_parser = quantity::parse_size_bytes
    )]
    pub(crate) aggregate: Option<u64>,

    /// Field of each JSON record to use as its partition key; `default_partition_key` if missing
    #[arg(long, value_name = "NAME", requires = "input", conflicts_with = "key")]
    pub(crate) partition_key_field: Option<String>,

    /// Distribute records evenly over the shards, whatever their partition keys
    #[arg(long)]
    pub(crate) explicit_hash_keys: bool,

    /// Time to wait for acknowledgements after the last message (and for retries and overdue
    /// messages)
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = quantity::parse_duration)]
    pub(crate) grace: Duration,

    /// Write the timing of every single message to timings.csv in the result folder
    #[arg(long)]
    pub(crate) timings: bool,
}

/// API operations for `--put`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum PutArg {
    /// `PutRecords`
    #[default]
    Records,
    /// `PutRecord`
    Record,
}

#[derive(Args)]
pub(crate) struct BooksArgs {
    #[command(subcommand)]
    pub(crate) command: BooksCommand,
}

#[derive(Clone, Subcommand)]
pub(crate) enum BooksCommand {
    /// Merge CSV files with different headings into one file of JSON objects
    Merge(MergeArgs),
    /// Generate a CSV file of books; the same seed gives the same file
    Generate(MakeArgs),
}

#[derive(Clone, Args)]
pub(crate) struct MergeArgs {
    /// File to write: .json for one array, .jsonl or .ndjson for one object per line
    #[arg(long, value_name = "FILE")]
    pub(crate) output: PathBuf,

    /// Name of a field and its headings in the files; may be repeated
    ///
    /// By default `Title=Title,title`, `Author=Author(s),Author,author`, `Price=Price,price` and
    /// `Description=Description,description`.
    #[arg(long, value_name = "NAME=HEADING,...")]
    pub(crate) column: Vec<String>,

    /// Field whose values become numbers where possible; may be repeated [default: Price]
    #[arg(long, value_name = "NAME")]
    pub(crate) number: Vec<String>,

    /// CSV files to merge, in this order
    #[arg(value_name = "CSV", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Clone, Args)]
pub(crate) struct MakeArgs {
    /// Number of books
    #[arg(short = 'n', long, value_name = "COUNT", default_value = "212", value_parser = quantity::parse_count)]
    pub(crate) messages: u64,

    /// Seed of the titles, authors, prices and descriptions
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) seed: u64,

    /// Headings of the columns
    #[arg(long, value_enum, value_name = "STYLE", default_value_t)]
    pub(crate) style: Style,

    /// CSV file to write
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// Headings of a CSV file of books.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Style {
    /// Title, Author(s), Price, Description
    #[default]
    A,
    /// title, author, price, description
    B,
}

/// Parses the name of a stream.
fn parse_stream(text: &str) -> Result<String, String> {
    let is_taken = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if (1..=128).contains(&text.len()) && text.chars().all(is_taken) {
        return Ok(text.to_owned());
    }
    Err("must be 1 to 128 letters, digits, _, . or -".to_owned())
}
