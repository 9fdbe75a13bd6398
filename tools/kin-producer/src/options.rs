//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use bench_aws::AwsArgs;
use bench_cli::{GenerateArgs, LogArgs, OutputFormat, RunArgs, WorkloadArgs, quantity};
use clap::{Args, Parser, Subcommand, ValueEnum};

const EXAMPLES: &str = "\
Examples:
  kin-producer -n 10000 -r 100                             embedded Kinesis, nothing to install
  kin-producer -n 1250 -r 1600 -a 1043582                  as the script that this replaces
  kin-producer --rate 2k/s --duration 30s --stream s --create --shards 2 --region eu-west-1
  kin-producer --input books.csv --partition-key-field Title --put record --in-flight 1
  kin-producer books generate -n 212 --seed 1 books.csv

A stream in AWS costs money until it is deleted: see docs/aws.md.

Exit codes: 0 good; 1 failed; 2 bad usage; 3 the run is INVALID; 130 interrupted.";

/// Measure publishing to an Amazon Kinesis stream
///
/// Reports throughput, publish latency (confirmed less intended instant), throttling and repeats,
/// and keeps what was confirmed for kin-consumer, kin-db-consumer and kin-sql-consumer to check.
/// Without a service to use, an embedded one is started for the run: its figures are the client's
/// ceiling on loopback, not Kinesis's performance.
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

    // Not the one that other tools share, which would be one of the subcommands' too.
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

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make files of books for a run to send
    Books(BooksArgs),
}

/// The stream, and what it is to be like.
#[derive(Args)]
#[command(next_help_heading = "Stream")]
pub(crate) struct StreamArgs {
    /// Stream to use
    #[arg(long, value_name = "NAME", default_value = "benchmark", value_parser = parse_stream)]
    pub(crate) stream: String,

    /// Create the stream if it is missing; give it the number of --shards if it has another
    #[arg(long)]
    pub(crate) create: bool,

    /// Shards of a stream that is created; of the embedded Kinesis, too [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) shards: Option<u32>,

    /// Leave the shards of a stream that is created to Kinesis
    #[arg(long, conflicts_with = "shards")]
    pub(crate) on_demand: bool,

    /// How long a stream may take to be ready
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = quantity::parse_duration)]
    pub(crate) ready_timeout: Duration,

    /// Let the embedded Kinesis take whatever comes: it limits shards as Kinesis does otherwise
    #[arg(long)]
    pub(crate) no_limits: bool,
}

/// How messages are put.
#[derive(Args)]
#[command(next_help_heading = "Producers")]
pub(crate) struct ProducerArgs {
    /// Producers, each with connections and a thread of its own
    #[arg(
        short = 'p',
        long,
        value_name = "N",
        default_value_t = 1,
        alias = "num_producers",
        value_parser = clap::value_parser!(u32).range(1..=1000)
    )]
    pub(crate) producers: u32,

    /// Operation that puts records: one at a time, or many in a request
    #[arg(long, value_enum, value_name = "HOW", default_value_t)]
    pub(crate) put: PutArg,

    /// Most records in a request
    #[arg(
        long,
        value_name = "N",
        default_value_t = 500,
        value_parser = clap::value_parser!(u16).range(1..=500)
    )]
    pub(crate) batch_records: u16,

    /// Most bytes in a request, partition keys included
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "5MiB",
        value_parser = quantity::parse_size_bytes
    )]
    pub(crate) batch_size: u64,

    /// Requests of a producer that may be without an answer
    #[arg(
        long,
        value_name = "N",
        default_value_t = 8,
        value_parser = clap::value_parser!(u32).range(1..=1000)
    )]
    pub(crate) in_flight: u32,

    /// Time that a message may wait for others [default: 5ms; with --aggregate 100ms]
    #[arg(long, value_name = "TIME", value_parser = quantity::parse_duration)]
    pub(crate) linger: Option<Duration>,

    /// Pack messages into records of up to this size, in the Kinesis Producer Library's format
    ///
    /// The size counts the partition key, too. 0 packs nothing, as does leaving the option out.
    #[arg(
        short = 'a',
        long,
        value_name = "SIZE",
        aliases = ["agg_size", "agg-size"],
        value_parser = quantity::parse_size_bytes
    )]
    pub(crate) aggregate: Option<u64>,

    /// Field of each JSON record that is its partition key; `default_partition_key` where missing
    #[arg(long, value_name = "NAME", requires = "input", conflicts_with = "key")]
    pub(crate) partition_key_field: Option<String>,

    /// Spread records evenly over the shards, whatever their partition keys
    #[arg(long)]
    pub(crate) explicit_hash_keys: bool,

    /// Time for answers after the last message, for repeats, and for sending what is overdue
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = quantity::parse_duration)]
    pub(crate) grace: Duration,

    /// Write the timing of every single message to timings.csv in the result folder
    #[arg(long)]
    pub(crate) timings: bool,
}

/// Operations that put records, as `--put` names them.
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
    /// Make up a CSV file of books: the same seed makes the same file
    Generate(MakeArgs),
}

#[derive(Clone, Args)]
pub(crate) struct MergeArgs {
    /// File to write: .json for one array, .jsonl or .ndjson for a line each
    #[arg(long, value_name = "FILE")]
    pub(crate) output: PathBuf,

    /// Name of a field, and the headings that it has in the files; may be repeated
    ///
    /// By default `Title=Title,title`, `Author=Author(s),Author,author`, `Price=Price,price` and
    /// `Description=Description,description`.
    #[arg(long, value_name = "NAME=HEADING,...")]
    pub(crate) column: Vec<String>,

    /// Field whose texts become numbers where they are some; may be repeated [default: Price]
    #[arg(long, value_name = "NAME")]
    pub(crate) number: Vec<String>,

    /// CSV files to merge, in this order
    #[arg(value_name = "CSV", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Clone, Args)]
pub(crate) struct MakeArgs {
    /// How many books
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

/// Headings of a file of books.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Style {
    /// Title, Author(s), Price, Description
    #[default]
    A,
    /// title, author, price, description
    B,
}

/// A name as Kinesis takes it.
fn parse_stream(text: &str) -> Result<String, String> {
    let is_taken = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if (1..=128).contains(&text.len()) && text.chars().all(is_taken) {
        return Ok(text.to_owned());
    }
    Err("a stream's name has 1 to 128 letters, digits, and any of _ . -".to_owned())
}
