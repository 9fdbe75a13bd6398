//! The command line.

use std::sync::Arc;

use anyhow::Result;
use bench_cli::{OutputArgs, Shutdown};
use bench_kafka::admin::Admin;
use bench_kafka::options::ConnectionArgs;
use clap::{Args, Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  topic-clean --bootstrap-servers localhost:9092 roundtrip_benchmark
  topic-clean --dry-run 'bench-*'
  topic-clean --yes --recreate bench-1 bench-2      in a script; offsets start from 0 again
  topic-clean list
  topic-clean create bench-1 --partitions 4 --topic-config retention.ms=600000

Exit codes: 0 emptied; 1 failed; 2 refused or bad usage, nothing was changed; 130 interrupted.";

/// Empty Kafka topics, so that old messages do not spoil a measurement
///
/// Deletes the records of each topic up to its high watermarks; if the broker refuses, deletes the
/// topic and creates it again with the same partitions and configuration. Then checks that it is
/// empty. Topics with messages that this benchmark did not write are left alone unless --force is
/// given, and Kafka's own (`__*`) always.
#[derive(Parser)]
#[command(
    name = "topic-clean",
    version,
    after_help = EXAMPLES,
    override_usage = "topic-clean [OPTIONS] <TOPIC>...\n       \
                      topic-clean [OPTIONS] list|describe|create ...",
    subcommand_negates_reqs = true,
    disable_help_subcommand = true
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate option")]
pub(crate) struct Options {
    /// Topics to empty: names, or patterns such as 'bench-*'
    #[arg(required = true, value_name = "TOPIC")]
    pub(crate) topics: Vec<String>,

    /// Show what would be done, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Do not ask; required without a terminal
    #[arg(long)]
    pub(crate) yes: bool,

    /// Also empty topics with messages that this benchmark did not write
    #[arg(long)]
    pub(crate) force: bool,

    /// Delete and recreate topics at once, rather than delete their records
    #[arg(long)]
    pub(crate) recreate: bool,

    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

impl Options {
    /// Connects, unless an interrupt arrives before a broker has responded.
    pub(crate) fn connect(&self, shutdown: &Shutdown) -> Result<Arc<Admin>> {
        let (config, timeout) = (self.connection.config("topic-clean")?, self.connection.timeout);
        let admin = shutdown
            .interruptible("connecting to Kafka", move || Admin::connect(&config, timeout))??;
        Ok(Arc::new(admin))
    }
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List all topics
    List,
    /// Show a topic's partitions, watermarks and settings
    Describe {
        /// Name of the topic
        topic: String,
    },
    /// Create a topic
    Create(CreateArgs),
}

#[derive(Args)]
pub(crate) struct CreateArgs {
    /// Name of the topic
    pub(crate) topic: String,

    /// Number of partitions
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) partitions: u32,

    /// Replicas per partition [default: the brokers' setting]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) replication_factor: Option<u32>,

    /// Setting of the topic, such as retention.ms=600000; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) topic_config: Vec<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn connection_options_are_accepted_anywhere() {
        let before = ["topic-clean", "--bootstrap-servers", "a:1", "list"];
        let after = ["topic-clean", "list", "--bootstrap-servers", "a:1"];
        for line in [before, after] {
            let options = Options::try_parse_from(line).expect("parses");
            assert!(matches!(options.command, Some(Command::List)), "{line:?}");
            let config = options.connection.config("test").expect("no properties file");
            assert_eq!(config.bootstrap_servers(), Some("a:1"));
        }
    }

    #[test]
    fn topics_may_have_a_subcommands_name() {
        let options = Options::try_parse_from(["topic-clean", "--", "list"]).expect("parses");
        assert_eq!(options.topics, ["list"]);
        assert!(options.command.is_none());
    }

    #[test]
    fn a_topic_is_required() {
        assert!(Options::try_parse_from(["topic-clean", "--yes"]).is_err());
    }
}
