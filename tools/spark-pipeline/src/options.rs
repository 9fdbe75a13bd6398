//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use bench_cli::{
    DrainArgs, OutputArgs, RunArgs, UsageError, Workload, WorkloadArgs, place_of_folder, quantity,
};
use bench_core::message::{MessageFormat, SizeDistribution};
use bench_kafka::options::ConnectionArgs;
use bench_record::ServiceOrigin;
use bench_service_spark as spark;
use clap::{Args, Command, CommandFactory, Parser, ValueEnum};

use crate::kills::DriverKill;

const EXAMPLES: &str = "\
Examples:
  spark-pipeline --rate 2k/s --duration 60s --warm-up 30s --bootstrap-servers localhost:9092
                                          Spark in this machine's memory, with all cores
  spark-pipeline --trigger '1 second' --master spark://host:7077 --rate 5k/s --duration 60s
  spark-pipeline --trigger real-time --work map --rate 1k/s --duration 60s
  spark-pipeline --brokers localhost:9092 --rate 5000 --minutes 4 --warm-up 120s --sink none
                                          like the study that this tool replaces
  spark-pipeline --rate 2k/s --duration 60s --kill-driver 20s --checkpoint /tmp/checkpoint

Exit codes: 0 good; 1 failed; 2 bad usage; 3 the run is INVALID (loss, corruption); 130 interrupted.";

/// The format of the workload, and the smallest size of its messages.
const FORMAT: &str = "event";

/// Measure a pipeline from Kafka through Spark Structured Streaming to Kafka
///
/// Submits a streaming job that reads events from one topic and writes them to another, sends events,
/// and reads the results. Reports end-to-end latency (from the instant at which an event was due until
/// its result is read), an audit of every event, and the durations of Spark's batches. With --sink
/// none, the job writes nothing, and only Spark's own figures per batch are reported.
#[derive(Parser)]
#[command(name = "spark-pipeline", version, after_help = EXAMPLES)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,

    #[command(flatten)]
    pub(crate) spark: SparkArgs,

    #[command(flatten)]
    pub(crate) workload: WorkloadArgs,

    /// How long to send, in minutes, as in the study
    #[arg(
        help_heading = "Workload",
        long,
        value_name = "N",
        conflicts_with_all = ["duration", "messages"],
        value_parser = clap::value_parser!(u32).range(1..=10_000)
    )]
    pub(crate) minutes: Option<u32>,

    /// Bytes of payload in each event, as in the study, instead of --record-size
    #[arg(
        help_heading = "Workload",
        long,
        value_name = "N",
        conflicts_with = "record_size",
        value_parser = clap::value_parser!(u32).range(0..=1_000_000)
    )]
    pub(crate) size: Option<u32>,

    #[command(flatten)]
    pub(crate) run: RunArgs,

    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Options for the topics and what happens between them.
#[derive(Args)]
#[command(next_help_heading = "Pipeline")]
pub(crate) struct PipelineArgs {
    /// Topic that the job reads; created if missing
    #[arg(long, value_name = "NAME", default_value = "events")]
    pub(crate) topic: String,

    /// Topic that the job writes; created if missing [default: the name of --topic and `-processed`]
    #[arg(long, value_name = "NAME")]
    pub(crate) output_topic: Option<String>,

    /// Partitions of both topics
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) partitions: u32,

    /// Replication factor of new topics [default: the brokers' setting]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) replication_factor: Option<u32>,

    /// What the job does with each event
    #[arg(long, value_enum, value_name = "WORK", default_value_t)]
    pub(crate) work: Work,

    /// Malformed events sent beside the others, as a share of these: 1%, 0.01
    ///
    /// They are counted, and not part of the audit.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = quantity::parse_share)]
    pub(crate) malformed: f64,

    /// When a batch starts: `5 seconds`, 0 (as soon as the last one has ended), `real-time`
    ///
    /// Real-time mode needs Spark 4.1 or later; `real-time=30 seconds` sets the time between its
    /// checkpoints.
    #[arg(long, value_name = "WHEN", default_value = "5 seconds", value_parser = parse_trigger)]
    pub(crate) trigger: String,

    /// Where the job writes
    #[arg(long, value_enum, value_name = "WHERE", default_value_t)]
    pub(crate) sink: Sink,

    #[command(flatten, next_help_heading = "Pipeline")]
    pub(crate) drain: DrainArgs,
}

/// Options for Spark and the job.
#[derive(Args)]
#[command(next_help_heading = "Spark")]
pub(crate) struct SparkArgs {
    /// Master: spark://HOST:PORT, local[N], yarn, k8s://... [default: local[*]]
    #[arg(long, value_name = "URL", env = spark::MASTER_VARIABLE)]
    pub(crate) master: Option<String>,

    /// Folder of an installed Spark [default: Spark 4.2, downloaded once]
    #[arg(long, value_name = "DIR", env = spark::HOME_VARIABLE)]
    pub(crate) spark_home: Option<PathBuf>,

    /// Option for spark-submit, such as --submit-option=--executor-memory=2g; may be repeated
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    pub(crate) submit_option: Vec<String>,

    /// Another job, with the options of experiments/kafka-spark/stream.py
    #[arg(long, value_name = "FILE")]
    pub(crate) job: Option<PathBuf>,

    /// Folder of the query's state, which a cluster must reach [default: in the result folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) checkpoint: Option<String>,

    /// Folder for batches.csv, one line per batch [default: the result folder]
    #[arg(long, value_name = "DIR", value_parser = place_of_folder())]
    pub(crate) outdir: Option<PathBuf>,

    /// Time that the job may take until the first event has passed
    #[arg(long, value_name = "TIME", default_value = "3m", value_parser = quantity::parse_duration)]
    pub(crate) ready_timeout: Duration,

    /// Kill the driver at time AT after the start, and start it again; may be repeated
    ///
    /// With +AFTER it is started again that much later. It continues from its checkpoint.
    #[arg(long, value_name = "AT[+AFTER]")]
    pub(crate) kill_driver: Vec<DriverKill>,
}

/// What the job does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Work {
    /// Pass events on unread
    None,
    /// Parse each event and write it again; drop those that are no event
    #[default]
    Map,
    /// Count the events of each type in windows of 10 seconds
    Aggregate,
    /// Join each event with a static table of 10,000 rows
    Join,
}

impl Work {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Map => "map",
            Self::Aggregate => "aggregate",
            Self::Join => "join",
        }
    }
}

/// Where the job writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sink {
    /// To a topic, from which results are measured and audited
    #[default]
    Kafka,
    /// Nowhere, as in the study: figures of batches only
    None,
}

/// The command line, with the names of the study and the defaults for events.
pub(crate) fn command() -> Command {
    Options::command()
        .mut_arg("format", |format| format.default_value(FORMAT))
        .mut_arg("record_size", |size| size.default_value("500"))
        .mut_arg("bootstrap_servers", |servers| servers.visible_alias("brokers"))
}

impl Options {
    /// The workload, which must consist of events.
    pub(crate) fn workload(&self) -> Result<Workload> {
        let mut args = self.workload.clone();
        if let Some(minutes) = self.minutes {
            args.duration = Some(Duration::from_mins(minutes.into()));
        }
        if let Some(payload_bytes) = self.size {
            let size_bytes = MessageFormat::Event.smallest_bytes() + payload_bytes as usize;
            args.record_size = SizeDistribution::Fixed { size_bytes };
        }
        let workload = args.workload()?;
        if workload.messages.format != MessageFormat::Event {
            let problem = "the job parses events";
            return Err(UsageError::new("--format", problem, "remove it").into());
        }
        Ok(workload)
    }

    /// Refuses options that do not fit together.
    pub(crate) fn check(&self) -> Result<(), UsageError> {
        if ServiceOrigin::requested() == Some(ServiceOrigin::Embedded) {
            let problem = "there is no embedded Spark, nor a broker for one";
            let remedy = "use services = \"local\" or \"external\"";
            return Err(UsageError::new("--master", problem, remedy));
        }
        let PipelineArgs { topic, output_topic, sink, .. } = &self.pipeline;
        if *sink == Sink::None && output_topic.is_some() {
            let problem = "is not written with --sink none";
            return Err(UsageError::new("--output-topic", problem, "remove one of them"));
        }
        if output_topic.as_ref() == Some(topic) {
            let problem = "is also --topic, so that the job would read what it writes";
            return Err(UsageError::new("--output-topic", problem, "use another topic"));
        }
        if self.is_real_time() && *sink == Sink::None {
            let problem = "real-time mode writes to Kafka only";
            return Err(UsageError::new("--trigger", problem, "remove --sink none"));
        }
        if self.is_real_time() && self.pipeline.work == Work::Aggregate {
            let problem = "real-time mode does not allow --work aggregate, which keeps state";
            return Err(UsageError::new("--trigger", problem, "use an interval"));
        }
        if self.pipeline.malformed > 0.0 && self.pipeline.work == Work::None {
            let problem = "--work none would pass malformed events on";
            return Err(UsageError::new("--malformed", problem, "use --work map"));
        }
        if self.spark.ready_timeout.is_zero() {
            let problem = "must be above 0";
            return Err(UsageError::new("--ready-timeout", problem, "use a time such as 3m"));
        }
        Ok(())
    }

    pub(crate) fn is_real_time(&self) -> bool {
        self.pipeline.trigger.starts_with("real-time")
    }

    /// The topic that the job writes to, if it writes.
    pub(crate) fn output_topic(&self) -> Option<String> {
        let PipelineArgs { topic, output_topic, sink, .. } = &self.pipeline;
        let name = || output_topic.clone().unwrap_or_else(|| format!("{topic}-processed"));
        (*sink == Sink::Kafka).then(name)
    }
}

/// A trigger that the job understands. Spark itself checks the interval.
fn parse_trigger(text: &str) -> Result<String, String> {
    let trimmed = text.trim();
    let interval = trimmed.strip_prefix("real-time=").unwrap_or(trimmed);
    let is_interval = match interval.split_whitespace().collect::<Vec<_>>()[..] {
        [number, unit] => {
            const UNITS: [&str; 4] = ["millisecond", "second", "minute", "hour"];
            number.parse::<u32>().is_ok() && UNITS.contains(&unit.trim_end_matches('s'))
        }
        _ => false,
    };
    if is_interval || ["0", "real-time"].contains(&trimmed) {
        return Ok(trimmed.to_owned());
    }
    Err("use an interval such as '5 seconds' or '100 milliseconds', 0, or real-time".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches as _;

    use super::*;

    fn options(args: &str) -> Options {
        let args = format!("spark-pipeline {args}");
        let matches = command().try_get_matches_from(args.split('|').flat_map(|part| {
            // A part that begins with a quotation mark is one argument.
            match part.strip_prefix('"') {
                Some(one) => vec![one],
                None => part.split_whitespace().collect(),
            }
        }));
        Options::from_arg_matches(&matches.expect("parses")).expect("options")
    }

    #[test]
    fn the_options_of_the_study_keep_their_meaning() {
        let study = options("--brokers a:1 --topic t --rate 5000 --minutes 3 --size 200");
        let workload = study.workload().expect("a workload");
        assert_eq!(study.pipeline.topic, "t");
        let smallest = MessageFormat::Event.smallest_bytes();
        assert_eq!(workload.messages.largest_bytes(), smallest + 200);
        assert_eq!(workload.amount, Some(bench_cli::Amount::Duration(Duration::from_mins(3))));
    }

    #[test]
    fn triggers_have_sparks_form() {
        for good in
            ["5 seconds", "1 second", "100 milliseconds", "0", "real-time", "real-time=1 minute"]
        {
            assert_eq!(parse_trigger(good).as_deref(), Ok(good));
        }
        for bad in ["", "5", "5s", "soon", "-1 seconds", "real-time=", "5 weeks", "1 second ago"] {
            assert!(parse_trigger(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn options_that_do_not_fit_are_refused() {
        for (args, expected) in [
            ("--sink none --output-topic o", "--output-topic"),
            ("--topic t --output-topic t", "--output-topic"),
            ("--trigger real-time --sink none", "--trigger"),
            ("--trigger real-time --work aggregate", "--trigger"),
            ("--malformed 1% --work none", "--malformed"),
            ("--ready-timeout 0s", "--ready-timeout"),
        ] {
            let error = options(args).check().expect_err(args).to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        assert_eq!(options("--topic t").output_topic().as_deref(), Some("t-processed"));
        assert_eq!(options("--sink none").output_topic(), None);
        assert!(options("--format json").workload().is_err());
    }
}
