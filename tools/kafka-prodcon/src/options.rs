//! The command line.

use std::num::NonZeroU32;
use std::time::Duration;

use bench_cli::{
    DrainArgs, GenerateArgs, LogArgs, OutputArgs, ReaderArgs, RunArgs, WorkloadArgs, quantity,
};
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
  kafka-prodcon -n 40000 -r 50 -b 1048576 -p 2 -c 2    as the script that this replaces
  kafka-prodcon -n 10000 -r 100 --land dynamodb        the same, and its database
  kafka-prodcon fill -n 1M -r 1KiB --topic t           then, here or on another host:
  kafka-prodcon drain --topic t --from-run results/kafka-prodcon-...
  kafka-prodcon drain --topic books --query price --group-by author
  echo hello | kafka-prodcon send --topic t
  kafka-prodcon print --topic t

Exit codes: 0 good; 1 failed; 2 bad usage; 3 the run is INVALID (loss, corruption); 130 interrupted.";

/// Measure Apache Kafka: produce and consume messages on one topic
///
/// Reports throughput, publish latency (confirmed less intended instant), end-to-end latency
/// (received less intended instant) and an audit of every message. Without a server to use, an
/// embedded broker is started for the run: its figures are the client's ceiling on loopback, not
/// Kafka's performance.
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

    /// A run in which a message arrives twice, or one of an aborted transaction, is INVALID
    #[arg(help_heading = "Consumers", long)]
    pub(crate) exactly_once: bool,

    /// Group of the consumers; its offsets are set to the end of the topic. By default the group.id
    /// of --properties, else a new one
    #[arg(help_heading = "Consumers", long, value_name = "NAME", conflicts_with = "no_group")]
    pub(crate) group: Option<String>,

    /// Share the partitions out without a consumer group
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

    #[command(flatten)]
    pub(crate) log: LogArgs,

    #[command(flatten)]
    pub(crate) generate: GenerateArgs,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Produce only
    Fill(FillArgs),
    /// Consume only: what is in the topic, or what comes
    Drain(DrainModeArgs),
    /// Send the lines of standard input, each as one message, as they are
    Send(SendArgs),
    /// Print messages on standard output, each as one line, as they are
    Print(PrintArgs),
}

/// The topic, and what it is to be like.
#[derive(Args, Clone)]
#[command(next_help_heading = "Topic")]
pub(crate) struct TopicArgs {
    /// Topic to use
    #[arg(long, value_name = "NAME", default_value = "roundtrip_benchmark")]
    pub(crate) topic: String,

    /// Partitions; by default as many as there are producers or consumers, whichever are more
    ///
    /// A missing topic is created. One with too few partitions is extended, unless
    /// --keep-partitions is given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) partitions: Option<u32>,

    /// Leave a topic with too few partitions as it is, with a warning
    #[arg(long)]
    pub(crate) keep_partitions: bool,

    /// Replicas of each partition of a new topic; by default the brokers' own
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) replication_factor: Option<u32>,
}

/// How messages are produced.
#[derive(Args, Clone)]
#[command(next_help_heading = "Producers")]
pub(crate) struct ProducerArgs {
    /// Producers, each with a connection of its own
    #[arg(
        short = 'p',
        long,
        value_name = "N",
        default_value_t = 1,
        alias = "num_producers",
        value_parser = clap::value_parser!(u32).range(1..=1000)
    )]
    pub(crate) producers: u32,

    // The defaults of the next five are left to the adapter and the client library, so that a
    // properties file may set them.
    /// Largest batch of messages that a producer sends to a partition at once [default: 1000000]
    #[arg(
        short = 'b',
        long,
        value_name = "SIZE",
        alias = "batch_size",
        value_parser = quantity::parse_size_bytes
    )]
    pub(crate) batch_size: Option<u64>,

    /// Confirmations that a message needs [default: all]
    #[arg(long, value_enum, value_name = "ACKS")]
    pub(crate) acks: Option<Acks>,

    /// Compression of batches [default: none]
    #[arg(long, value_enum, value_name = "CODEC")]
    pub(crate) compression: Option<Compression>,

    /// Time that a message may wait for others of its batch [default: 5ms]
    #[arg(long, value_name = "TIME", value_parser = quantity::parse_duration)]
    pub(crate) linger: Option<Duration>,

    /// Requests that may be unanswered on each connection [default: 5]
    ///
    /// A producer that may send many more than the broker answers measures the queue between them.
    /// Idempotent and transactional producers take 5 at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) requests_in_flight: Option<u32>,

    /// Let the broker drop repeats that retries cause
    #[arg(long)]
    pub(crate) idempotent: bool,

    /// Send in transactions, which consumers see when they are committed
    #[arg(long)]
    pub(crate) transactional: bool,

    /// Messages a transaction; one with fewer ends after 100 ms
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1000,
        requires = "transactional",
        value_parser = clap::value_parser!(u32).range(1..=50_000)
    )]
    pub(crate) transaction_size: u32,

    /// Abort each producer's every Nth transaction, to show that nobody sees its messages
    #[arg(
        long,
        value_name = "N",
        requires = "transactional",
        value_parser = parse_abort_every
    )]
    pub(crate) abort_every: Option<NonZeroU32>,

    /// Messages without an answer at which a producer waits; by default 100000, fewer large ones
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=5_000_000))]
    pub(crate) in_flight: Option<u32>,

    /// Time for answers after the last message, and for sending what is overdue
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = quantity::parse_duration)]
    pub(crate) grace: Duration,
}

/// How messages are consumed.
#[derive(Args, Clone)]
#[command(next_help_heading = "Consumers")]
pub(crate) struct ConsumerArgs {
    /// Consumers, each with a connection of its own
    #[arg(
        short = 'c',
        long,
        value_name = "N",
        default_value_t = 1,
        alias = "num_consumers",
        value_parser = clap::value_parser!(u32).range(1..=1000)
    )]
    pub(crate) consumers: u32,

    /// Kill consumer N (from 1) AT a time after the start, as a crash would; may be repeated
    ///
    /// It neither commits nor leaves its group. With +AFTER it joins again that much later.
    #[arg(long, value_name = "N@AT[+AFTER]")]
    pub(crate) kill_consumer: Vec<ConsumerKill>,

    #[command(flatten)]
    pub(crate) land: LandArgs,
}

/// Where consumed messages land.
#[derive(Args, Clone)]
#[command(next_help_heading = "Landing")]
pub(crate) struct LandArgs {
    /// Write every consumed message to a table, and count it as received when it is there
    #[arg(long, value_enum, value_name = "WHERE", alias = "dbtype")]
    pub(crate) land: Option<Land>,

    /// Table to write to; a missing one is created
    #[arg(long, value_name = "NAME", default_value = KAFKA_TABLE, requires = "land")]
    pub(crate) table: String,

    #[arg(
        long,
        value_name = "N",
        help = "Rows a request, for MySQL a transaction [default: 25 for DynamoDB, 100 for MySQL]",
        requires = "land",
        value_parser = clap::value_parser!(u32).range(1..=INSERT_ROWS_MAX as i64)
    )]
    pub(crate) land_rows: Option<u32>,

    /// Requests without an answer, for each consumer
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
    /// The long names of all options that mean nothing when no message lands.
    pub(crate) const NAMES: [&str; 7] =
        ["table", "land-rows", "land-in-flight", "endpoint-url", "region", "profile", "mysql-url"];
}

/// Where consumed messages land.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Land {
    #[value(help = "A table of DynamoDB, by default of an embedded one")]
    Dynamodb,
    #[value(help = "A table of MySQL")]
    Mysql,
}

/// How to reach the table. Never shown whole: an address may hold a password.
#[derive(Args, Clone)]
#[command(next_help_heading = "Landing")]
pub(crate) struct TableConnectionArgs {
    // The environment is read by the SDK's own chain, hence no `env` here.
    #[arg(
        long,
        value_name = "URL",
        global = true,
        help = "Where DynamoDB is, if not in AWS [env: AWS_ENDPOINT_URL_DYNAMODB, AWS_ENDPOINT_URL]"
    )]
    pub(crate) endpoint_url: Option<String>,

    #[arg(long, value_name = "NAME", global = true, help = "Region of AWS [env: AWS_REGION]")]
    pub(crate) region: Option<String>,

    #[arg(
        long,
        value_name = "NAME",
        global = true,
        help = "Profile of the AWS configuration files [env: AWS_PROFILE]"
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

    /// Read as this group, from where it left off; by default the group.id of --properties, else as
    /// none, with the partitions shared out directly
    #[arg(help_heading = "Consumers", long, value_name = "NAME")]
    pub(crate) group: Option<String>,

    /// Where to begin, unless the group has been there; by default as auto.offset.reset of
    /// --properties says, else at the beginning
    #[arg(help_heading = "Consumers", long, value_enum, value_name = "WHERE")]
    pub(crate) from: Option<From>,

    /// Which messages of transactions to read [default: committed]
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

    /// Take what stands before this text in a line as the key; \t, \n, \0, \x1f and the like are escapes
    #[arg(long, value_name = "TEXT")]
    pub(crate) key_separator: Option<Separator>,

    /// Send a value, or a key, that is exactly this text as null; a null value is a tombstone
    #[arg(long, value_name = "TEXT")]
    pub(crate) null_marker: Option<String>,
}

#[derive(Args)]
pub(crate) struct PrintArgs {
    /// Topic to read
    #[arg(long, value_name = "NAME", default_value = "roundtrip_benchmark")]
    pub(crate) topic: String,

    /// Where to begin; by default as auto.offset.reset of --properties says, else at the beginning
    #[arg(long, value_enum, value_name = "WHERE")]
    pub(crate) from: Option<From>,

    /// Go on when the end is reached
    #[arg(long)]
    pub(crate) follow: bool,

    /// Stop after so many messages
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = quantity::parse_count)]
    pub(crate) messages: Option<u64>,

    /// Print the key and this text before each message that has a key; \t, \n, \0, \x1f and the like
    /// are escapes
    #[arg(long, value_name = "TEXT")]
    pub(crate) key_separator: Option<Separator>,

    /// Print this text for a null value; when it is given, for a null key, too [default: null]
    #[arg(long, value_name = "TEXT")]
    pub(crate) null: Option<String>,

    /// Print these before each message, separated by tabs
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    pub(crate) show: Vec<Show>,

    /// Write messages to a terminal as they are, control characters and all
    ///
    /// Otherwise a terminal gets those as escapes such as \x1b. Pipes and files get messages as they
    /// are in any case.
    #[arg(long)]
    pub(crate) raw_output: bool,
}

/// What is printed of a message besides key and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Show {
    #[value(help = "NAME:VALUE,NAME:VALUE, or NO_HEADERS")]
    Headers,
    #[value(help = "CreateTime: or LogAppendTime: and milliseconds since 1970")]
    Timestamp,
    #[value(help = "Partition: and its number")]
    Partition,
    #[value(help = "Offset: and its number")]
    Offset,
}

/// Confirmations that a message needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Acks {
    /// None: a message counts as confirmed when it has left
    #[value(name = "0")]
    None,
    /// The partition's leader
    #[value(name = "1")]
    Leader,
    /// All replicas in sync
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

/// Compression of batches.
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

/// Which messages of transactions a consumer sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Isolation {
    /// Those of committed ones, up to the first that is still open
    Committed,
    /// All, also those of aborted ones
    Uncommitted,
}

impl Isolation {
    /// What consumers with these settings see; librdkafka's default is what is committed.
    pub(crate) fn of(config: &KafkaConfig) -> Self {
        let level = config.get("isolation.level");
        let is_uncommitted =
            level.is_some_and(|level| level.eq_ignore_ascii_case(Self::Uncommitted.property()));
        if is_uncommitted { Self::Uncommitted } else { Self::Committed }
    }

    /// As the option has it.
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

/// Aborting every transaction would leave nothing to be received.
fn parse_abort_every(text: &str) -> Result<NonZeroU32, String> {
    let number: Option<NonZeroU32> = text.parse().ok();
    number.filter(|number| number.get() >= 2).ok_or_else(|| "name a number from 2 up".to_owned())
}

/// Where a reader begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum From {
    /// At the oldest message
    #[default]
    Beginning,
    /// After the newest message
    Latest,
}

impl From {
    /// As the option has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Beginning => "beginning",
            Self::Latest => "latest",
        }
    }

    /// Where a group begins that has not been in the topic.
    pub(crate) fn property(self) -> &'static str {
        match self {
            Self::Beginning => "earliest",
            Self::Latest => "latest",
        }
    }
}
