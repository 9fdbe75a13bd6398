//! The command line.

use std::num::NonZeroU32;
use std::time::Duration;

use bench_cli::{DrainArgs, OutputArgs, ReaderArgs, RunArgs, WorkloadArgs, quantity};
use bench_kafka::config::KafkaConfig;
use bench_kafka::options::ConnectionArgs;
use bench_query::QueryArgs;
use bench_tables::KAFKA_TABLE;
use bench_tables::mysql::{INSERT_ROWS_MAX, MysqlArgs};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::escapes::Separator;
use crate::kills::ConsumerKill;

const EXAMPLES: &str = "\
Examples:
  kafka-prodcon -n 100000 -r 100                       embedded broker, nothing to install
  kafka-prodcon --rate 10k/s --duration 30s --warm-up 5s --bootstrap-servers localhost:9092
  kafka-prodcon -n 40000 -r 50 -b 1048576 -p 2 -c 2    like the script that this tool replaces
  kafka-prodcon -n 10000 -r 100 --land dynamodb        like its DynamoDB mode
  kafka-prodcon fill -n 1M -r 1KiB --topic t           then, here or on another host:
  kafka-prodcon drain --topic t --from-run results/kafka-prodcon-...
  kafka-prodcon drain --topic books --query price --group-by author
  echo hello | kafka-prodcon send --topic t
  kafka-prodcon print --topic t

Exit codes: 0 good; 1 failed; 2 bad usage; 3 the run is INVALID (loss, corruption); 130 interrupted.";

/// Measure Apache Kafka: produce and consume messages on one topic
///
/// Reports throughput, publish latency (acknowledged minus intended instant), end-to-end latency
/// (received minus intended instant) and an audit of every message. If no server is given, starts
/// an embedded broker for the run: its figures are the client's limit on loopback, not Kafka's
/// performance.
#[derive(Parser)]
#[command(
    name = "kafka-prodcon",
    version,
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) topic: TopicArgs,

    #[command(flatten)]
    pub(crate) workload: WorkloadArgs,

    #[command(flatten)]
    pub(crate) producer: ProducerArgs,

    #[command(flatten)]
    pub(crate) consumer: ConsumerArgs,

    #[command(flatten, next_help_heading = "Consumers")]
    pub(crate) drain: DrainArgs,

    /// Treat the run as INVALID if a message arrives twice, or one of an aborted transaction
    /// arrives
    #[arg(help_heading = "Consumers", long)]
    pub(crate) exactly_once: bool,

    /// Consumer group; its offsets are set to the end of the topic [default: group.id of
    /// --properties, else a new group]
    #[arg(help_heading = "Consumers", long, value_name = "NAME", conflicts_with = "no_group")]
    pub(crate) group: Option<String>,

    /// Assign the partitions without a consumer group
    #[arg(help_heading = "Consumers", long)]
    pub(crate) no_group: bool,

    #[command(flatten)]
    pub(crate) run: RunArgs,

    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,

    #[command(flatten)]
    pub(crate) table_connection: TableConnectionArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Produce only
    Fill(FillArgs),
    /// Consume only: the messages in the topic, or new ones
    Drain(DrainModeArgs),
    /// Send each line of standard input as one message, unchanged
    Send(SendArgs),
    /// Print each message on standard output as one line, unchanged
    Print(PrintArgs),
}

/// Options for the topic.
#[derive(Args, Clone)]
#[command(next_help_heading = "Topic")]
pub(crate) struct TopicArgs {
    /// Topic to use
    #[arg(long, value_name = "NAME", default_value = "roundtrip_benchmark")]
    pub(crate) topic: String,

    /// Partitions [default: the number of producers or of consumers, whichever is larger]
    ///
    /// A missing topic is created. A topic with too few partitions is extended, unless
    /// --keep-partitions is set.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) partitions: Option<u32>,

    /// Only warn if the topic has too few partitions, instead of adding some
    #[arg(long)]
    pub(crate) keep_partitions: bool,

    /// Replication factor of a new topic [default: the brokers' setting]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) replication_factor: Option<u32>,
}

/// Options for producers.
#[derive(Args, Clone)]
#[command(next_help_heading = "Producers")]
pub(crate) struct ProducerArgs {
    /// Number of producers, each with its own connection
    #[arg(
        short = 'p',
        long,
        value_name = "N",
        default_value_t = 1,
        alias = "num_producers",
        value_parser = clap::value_parser!(u32).range(1..=1000)
    )]
    pub(crate) producers: u32,

    // The next five have their defaults in the adapter and the client library, so that a properties
    // file may set them.
    /// Maximum size of a producer's batch for a partition [default: 1000000]
    #[arg(
        short = 'b',
        long,
        value_name = "SIZE",
        alias = "batch_size",
        value_parser = quantity::parse_size_bytes
    )]
    pub(crate) batch_size: Option<u64>,

    /// Acknowledgements that a message requires [default: all]
    #[arg(long, value_enum, value_name = "ACKS")]
    pub(crate) acks: Option<Acks>,

    /// Compression codec of batches [default: none]
    #[arg(long, value_enum, value_name = "CODEC")]
    pub(crate) compression: Option<Compression>,

    /// Maximum time that a message waits for others to fill its batch [default: 5ms]
    #[arg(long, value_name = "TIME", value_parser = quantity::parse_duration)]
    pub(crate) linger: Option<Duration>,

    /// Maximum unacknowledged requests per connection [default: 5]
    ///
    /// A producer with a much higher limit measures the queue between itself and the broker.
    /// Idempotent and transactional producers allow at most 5.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) requests_in_flight: Option<u32>,

    /// Let the broker drop duplicates caused by retries
    #[arg(long)]
    pub(crate) idempotent: bool,

    /// Send in transactions; consumers see messages once they are committed
    #[arg(long)]
    pub(crate) transactional: bool,

    /// Messages per transaction; smaller transactions end after 100 ms
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1000,
        requires = "transactional",
        value_parser = clap::value_parser!(u32).range(1..=50_000)
    )]
    pub(crate) transaction_size: u32,

    /// Abort every Nth transaction of each producer, to show that consumers do not see its messages
    #[arg(
        long,
        value_name = "N",
        requires = "transactional",
        value_parser = parse_abort_every
    )]
    pub(crate) abort_every: Option<NonZeroU32>,

    /// Maximum unacknowledged messages per producer [default: 100000, less for large messages]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=5_000_000))]
    pub(crate) in_flight: Option<u32>,

    /// Time to wait for acknowledgements after the last message (and to send overdue ones)
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = quantity::parse_duration)]
    pub(crate) grace: Duration,
}

/// Options for consumers.
#[derive(Args, Clone)]
#[command(next_help_heading = "Consumers")]
pub(crate) struct ConsumerArgs {
    /// Number of consumers, each with its own connection
    #[arg(
        short = 'c',
        long,
        value_name = "N",
        default_value_t = 1,
        alias = "num_consumers",
        value_parser = clap::value_parser!(u32).range(1..=1000)
    )]
    pub(crate) consumers: u32,

    /// Kill consumer N (from 1) at time AT after the start, as if it crashed; may be repeated
    ///
    /// It neither commits nor leaves its group. With +AFTER it rejoins that much later.
    #[arg(long, value_name = "N@AT[+AFTER]")]
    pub(crate) kill_consumer: Vec<ConsumerKill>,

    #[command(flatten)]
    pub(crate) land: LandArgs,
}

/// Options for landing.
#[derive(Args, Clone)]
#[command(next_help_heading = "Landing")]
pub(crate) struct LandArgs {
    /// Write every consumed message to a table; it counts as received once it is stored
    #[arg(long, value_enum, value_name = "WHERE", alias = "dbtype")]
    pub(crate) land: Option<Land>,

    /// Table to write to; created if missing
    #[arg(long, value_name = "NAME", default_value = KAFKA_TABLE, requires = "land")]
    pub(crate) table: String,

    #[arg(
        long,
        value_name = "N",
        help = "Rows per request, or per transaction for MySQL [default: 25 for DynamoDB, 100 for MySQL]",
        requires = "land",
        value_parser = clap::value_parser!(u32).range(1..=INSERT_ROWS_MAX as i64)
    )]
    pub(crate) land_rows: Option<u32>,

    /// Maximum unacknowledged requests per consumer
    #[arg(
        long,
        value_name = "N",
        default_value_t = 4,
        requires = "land",
        value_parser = clap::value_parser!(u32).range(1..=100)
    )]
    pub(crate) land_in_flight: u32,
}

impl LandArgs {
    /// The long names of all options that apply only when messages land in a table.
    pub(crate) const NAMES: [&str; 7] =
        ["table", "land-rows", "land-in-flight", "endpoint-url", "region", "profile", "mysql-url"];
}

/// Where consumed messages land.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Land {
    #[value(help = "A DynamoDB table, by default in an embedded DynamoDB")]
    Dynamodb,
    #[value(help = "A MySQL table")]
    Mysql,
}

/// Options for the connection to the table. No `Debug`: an address may contain a password.
#[derive(Args, Clone)]
#[command(next_help_heading = "Landing")]
pub(crate) struct TableConnectionArgs {
    // No `env` here: the AWS SDK reads the environment itself.
    #[arg(
        long,
        value_name = "URL",
        global = true,
        help = "Endpoint of a DynamoDB outside AWS [env: AWS_ENDPOINT_URL_DYNAMODB, \
                AWS_ENDPOINT_URL]"
    )]
    pub(crate) endpoint_url: Option<String>,

    #[arg(long, value_name = "NAME", global = true, help = "AWS region [env: AWS_REGION]")]
    pub(crate) region: Option<String>,

    #[arg(
        long,
        value_name = "NAME",
        global = true,
        help = "Profile in the AWS configuration files [env: AWS_PROFILE]"
    )]
    pub(crate) profile: Option<String>,

    #[command(flatten)]
    pub(crate) mysql: MysqlArgs,
}

#[derive(Args)]
pub(crate) struct FillArgs {
    #[command(flatten)]
    pub(crate) topic: TopicArgs,

    #[command(flatten)]
    pub(crate) workload: WorkloadArgs,

    #[command(flatten)]
    pub(crate) producer: ProducerArgs,

    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Args)]
#[command(mut_arg("query", |query| {
    query.conflicts_with_all(["exactly_once", "kill_consumer", "land"])
}))]
pub(crate) struct DrainModeArgs {
    /// Topic to read
    #[arg(long, value_name = "NAME", default_value = "roundtrip_benchmark")]
    pub(crate) topic: String,

    #[command(flatten)]
    pub(crate) consumer: ConsumerArgs,

    /// Read as this consumer group, from its committed offsets [default: group.id of --properties,
    /// else no group, with the partitions assigned directly]
    #[arg(help_heading = "Consumers", long, value_name = "NAME")]
    pub(crate) group: Option<String>,

    /// Where to start if the group has no committed offsets [default: auto.offset.reset of
    /// --properties, else beginning]
    #[arg(help_heading = "Consumers", long, value_enum, value_name = "WHERE")]
    pub(crate) from: Option<From>,

    /// Which transactional messages to read [default: committed]
    #[arg(help_heading = "Consumers", long, value_enum, value_name = "WHICH")]
    pub(crate) isolation: Option<Isolation>,

    #[command(flatten)]
    pub(crate) reader: ReaderArgs,

    #[command(flatten)]
    pub(crate) query: QueryArgs,

    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Args)]
pub(crate) struct SendArgs {
    #[command(flatten)]
    pub(crate) topic: TopicArgs,

    /// Use the part of a line before this text as the key; may contain escapes such as \t, \n, \0
    /// or \x1f
    #[arg(long, value_name = "TEXT")]
    pub(crate) key_separator: Option<Separator>,

    /// Send keys and values equal to this text as null; a null value is a tombstone
    #[arg(long, value_name = "TEXT")]
    pub(crate) null_marker: Option<String>,
}

#[derive(Args)]
pub(crate) struct PrintArgs {
    /// Topic to read
    #[arg(long, value_name = "NAME", default_value = "roundtrip_benchmark")]
    pub(crate) topic: String,

    /// Where to start [default: auto.offset.reset of --properties, else beginning]
    #[arg(long, value_enum, value_name = "WHERE")]
    pub(crate) from: Option<From>,

    /// Keep reading at the end
    #[arg(long)]
    pub(crate) follow: bool,

    /// Stop after this many messages
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = quantity::parse_count)]
    pub(crate) messages: Option<u64>,

    /// Print the key and this text before each message that has a key; may contain escapes such as
    /// \t, \n, \0 or \x1f
    #[arg(long, value_name = "TEXT")]
    pub(crate) key_separator: Option<Separator>,

    /// Text to print for null values [default: null]; if set, also printed for null keys
    #[arg(long, value_name = "TEXT")]
    pub(crate) null: Option<String>,

    /// Fields to print before each message, separated by tabs
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    pub(crate) show: Vec<Show>,

    /// Write control characters to a terminal unescaped
    ///
    /// By default, they are printed on terminals as escapes such as \x1b. Pipes and files always
    /// get messages unchanged.
    #[arg(long)]
    pub(crate) raw_output: bool,
}

/// Fields printed in addition to key and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Show {
    #[value(help = "NAME:VALUE,NAME:VALUE, or NO_HEADERS")]
    Headers,
    #[value(help = "CreateTime: or LogAppendTime:, with milliseconds since 1970")]
    Timestamp,
    #[value(help = "Partition:, with its number")]
    Partition,
    #[value(help = "Offset:, with its number")]
    Offset,
}

/// Acknowledgements that a message requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Acks {
    /// None: a message counts as acknowledged once it is sent
    #[value(name = "0")]
    None,
    /// The partition's leader
    #[value(name = "1")]
    Leader,
    /// All in-sync replicas
    #[value(name = "all", alias = "-1")]
    All,
}

impl Acks {
    pub(crate) fn property(self) -> &'static str {
        match self {
            Self::None => "0",
            Self::Leader => "1",
            Self::All => "all",
        }
    }
}

/// Compression codec of batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compression {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Compression {
    pub(crate) fn property(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// Which transactional messages a consumer sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Isolation {
    /// Those of committed transactions, up to the first open one
    Committed,
    /// All, including those of aborted transactions
    Uncommitted,
}

impl Isolation {
    /// The isolation of consumers with these settings; librdkafka's default is committed.
    pub(crate) fn of(config: &KafkaConfig) -> Self {
        let level = config.get("isolation.level");
        let is_uncommitted =
            level.is_some_and(|level| level.eq_ignore_ascii_case(Self::Uncommitted.property()));
        if is_uncommitted { Self::Uncommitted } else { Self::Committed }
    }

    /// The option's value.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Uncommitted => "uncommitted",
        }
    }

    pub(crate) fn property(self) -> &'static str {
        match self {
            Self::Committed => "read_committed",
            Self::Uncommitted => "read_uncommitted",
        }
    }
}

/// Parses a number of at least 2: if every transaction were aborted, nothing could be received.
fn parse_abort_every(text: &str) -> Result<NonZeroU32, String> {
    let number: Option<NonZeroU32> = text.parse().ok();
    number.filter(|number| number.get() >= 2).ok_or_else(|| "must be at least 2".to_owned())
}

/// Where a reader starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum From {
    /// At the oldest message
    #[default]
    Beginning,
    /// After the newest message
    Latest,
}

impl From {
    /// The option's value.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Beginning => "beginning",
            Self::Latest => "latest",
        }
    }

    /// The `auto.offset.reset` of groups without committed offsets.
    pub(crate) fn property(self) -> &'static str {
        match self {
            Self::Beginning => "earliest",
            Self::Latest => "latest",
        }
    }
}
