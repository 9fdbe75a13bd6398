//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use bench_cli::{DrainArgs, OutputArgs, RunArgs, UsageError, Workload, WorkloadArgs, quantity};
use bench_core::message::{KeyDistribution, MessageFormat};
use bench_record::ServiceOrigin;
use clap::{Command, CommandFactory, Parser};

const EXAMPLES: &str = "\
Examples:
  connect-pipeline --connect-url http://127.0.0.1:8083 --rate 100/s --duration 30s
  connect-pipeline --rate 1k/s --duration 20s --source-batch 100     with CONNECT_URL set
  connect-pipeline --source in.txt --sink out.txt --rate 10/s --duration 10s
                                     a pipeline of your own that is already running

Exit codes: 0 good; 1 failed; 2 bad usage; 3 the run is INVALID (loss, corruption); 130 interrupted.";

/// Measure a pipeline from file to file, as built with Kafka Connect
///
/// Appends messages as lines to the source file and follows the sink file. Reports end-to-end
/// latency (from the instant at which a line was due until it appears in the sink) and an audit of
/// every line. With --connect-url, a file source and a file sink connector are created for the run
/// and deleted after it. The worker must see the same files as this tool.
#[derive(Parser)]
#[command(name = "connect-pipeline", version, after_help = EXAMPLES)]
pub(crate) struct Options {
    /// File to append lines to [default with --connect-url: a file in the result folder]
    #[arg(help_heading = "Pipeline", long, value_name = "FILE")]
    pub(crate) source: Option<PathBuf>,

    /// File in which they appear [default with --connect-url: a file in the result folder]
    #[arg(help_heading = "Pipeline", long, value_name = "FILE")]
    pub(crate) sink: Option<PathBuf>,

    #[command(flatten, next_help_heading = "Pipeline")]
    pub(crate) drain: DrainArgs,

    /// REST address of a Kafka Connect worker, such as <http://127.0.0.1:8083>
    #[arg(help_heading = "Kafka Connect", long, value_name = "URL", env = "CONNECT_URL")]
    pub(crate) connect_url: Option<String>,

    /// Topic between the connectors; created with one partition if missing
    #[arg(
        help_heading = "Kafka Connect",
        long,
        value_name = "NAME",
        default_value = "connect-test"
    )]
    pub(crate) topic: String,

    /// Maximum lines that the file source passes on at once [default: its own, 2000]
    #[arg(
        help_heading = "Kafka Connect",
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub(crate) source_batch: Option<u32>,

    /// Do not delete the connectors
    #[arg(help_heading = "Kafka Connect", long)]
    pub(crate) keep_connectors: bool,

    /// Time to wait for a response of the worker, and for the first line to arrive
    #[arg(
        help_heading = "Kafka Connect",
        long,
        value_name = "TIME",
        default_value = "30s",
        value_parser = quantity::parse_duration
    )]
    pub(crate) timeout: Duration,

    #[command(flatten)]
    pub(crate) workload: WorkloadArgs,

    #[command(flatten)]
    pub(crate) run: RunArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// The command line, with the defaults for lines.
pub(crate) fn command() -> Command {
    Options::command()
        .mut_arg("format", |format| format.default_value("json"))
        .mut_arg("record_size", |size| size.default_value("300"))
}

/// The pipeline under test.
pub(crate) enum Pipeline<'a> {
    /// Connectors of this run, on the worker with this address.
    Connect(&'a str),
    /// A pipeline that is already running.
    Running,
}

impl Options {
    /// The pipeline under test, after checking the options.
    pub(crate) fn pipeline(&self) -> Result<Pipeline<'_>, UsageError> {
        if self.source.is_some() && self.source == self.sink {
            let problem = "is also the source, so nothing would be passed on";
            return Err(UsageError::new("--sink", problem, "use the file at the other end"));
        }
        if let Some(url) = &self.connect_url {
            // If run-suite wants embedded services, the worker of the environment is not meant.
            if ServiceOrigin::requested() == Some(ServiceOrigin::Embedded) {
                let problem = "there is no embedded Kafka Connect";
                let remedy = "use services = \"local\" or \"external\"";
                return Err(UsageError::new("--connect-url", problem, remedy));
            }
            if self.timeout.is_zero() {
                let problem = "must be above 0";
                return Err(UsageError::new("--timeout", problem, "use a time such as 30s"));
            }
            return Ok(Pipeline::Connect(url));
        }
        if self.keep_connectors {
            let problem = "applies only to connectors created by this tool";
            return Err(UsageError::new("--keep-connectors", problem, "add --connect-url"));
        }
        if self.source.is_some() && self.sink.is_some() {
            return Ok(Pipeline::Running);
        }
        Err(UsageError::new(
            "--connect-url",
            "no pipeline is set",
            "set a Kafka Connect worker, here or in CONNECT_URL, or both ends of a running \
             pipeline with --source and --sink",
        ))
    }

    /// The workload, which must consist of lines.
    pub(crate) fn workload(&self) -> anyhow::Result<Workload> {
        let workload = self.workload.workload()?;
        if workload.messages.format != MessageFormat::Json {
            let problem = "only JSON messages fit into lines of a file";
            return Err(UsageError::new("--format", problem, "remove it").into());
        }
        if workload.messages.keys != KeyDistribution::None {
            let problem = "a line of a file has no key";
            return Err(UsageError::new("--key", problem, "remove it").into());
        }
        Ok(workload)
    }
}
