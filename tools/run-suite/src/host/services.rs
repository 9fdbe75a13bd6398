//! `run-suite services`: servers on this machine, started and stopped by hand.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bench_cli::{
    Align, Exit, Interrupted, LogArgs, OutputFormat, Progress, Shutdown, UsageError, output, table,
};
use bench_core::system::tail;
use bench_services::embedded::KinesisLimits;
use bench_services::local::{
    BROKERS_MAX, Cache, LocalError, NodeStatus, ProcessState, S3Server, Service, Stack,
    StackOptions, interruptible,
};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::stack::as_interrupted;

/// The folder of a stack that is not named.
const DIR_DEFAULT: &str = "services";

/// The end of a log that `logs` reads.
const LOG_BYTES: u64 = 64 << 20;

/// The columns of the list.
const HEADER: [&str; 5] = ["service", "state", "address", "process", "version"];

#[derive(Debug, Subcommand)]
pub(crate) enum ServicesAction {
    /// Start services, fetching what is missing, and wait until they are healthy
    Up(UpArgs),
    /// List the services of a stack; exits with 1 when one of them does not run
    Status {
        #[command(flatten)]
        stack: StackArgs,
    },
    /// Print the environment that makes tools use the stack, for `eval "$(...)"`
    Env {
        #[command(flatten)]
        stack: StackArgs,
    },
    /// Print the end of a service's log
    Logs {
        /// The service as `status` names it: kafka-1, mysql, kinesis, ...
        node: String,
        /// Lines to print
        #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 50)]
        lines: usize,
        #[command(flatten)]
        stack: StackArgs,
    },
    /// Stop all services of a stack and remove their data; logs are kept
    Down {
        #[command(flatten)]
        stack: StackArgs,
        /// Stop every stack of this user, wherever it is
        #[arg(long, conflicts_with = "dir")]
        all: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// What to start: kafka, connect (with kafka), mysql, s3, which are the default; kinesis and
    /// dynamodb, embedded and in memory; kin-lambda (with these), sql-lambda (with kinesis, mysql)
    #[arg(value_delimiter = ',', value_name = "SERVICE")]
    services: Vec<Service>,
    /// Kafka brokers; several form a replicated cluster
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(BROKERS_MAX))
    )]
    brokers: u32,
    /// A setting of the Kafka brokers, or with `kin-lambda.` or `sql-lambda.` in front one of that
    /// function; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    /// The S3 server: versitygw, minio or embedded; by default the one that is installed, else
    /// versitygw, or the embedded one where Go is missing to build that
    #[arg(long, value_name = "SERVER")]
    s3_server: Option<S3Server>,
    /// Which limits of its shards the embedded Kinesis enforces
    #[arg(long, value_name = "WHICH", default_value_t = Limits::Writes)]
    kinesis_limits: Limits,
    // The environment is read where the embedded one is chosen otherwise, hence no `env` here.
    #[arg(
        long,
        value_name = "DIR",
        help = "Folder of an installed DynamoDB Local, to be used instead of the embedded one \
                [env: DYNAMODB_LOCAL_HOME]"
    )]
    dynamodb_local: Option<PathBuf>,
    #[command(flatten)]
    stack: StackArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StackArgs {
    /// Folder of the stack; stacks in different folders stand side by side
    #[arg(long, value_name = "DIR", default_value = DIR_DEFAULT)]
    dir: PathBuf,
}

/// Limits of a Kinesis shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Limits {
    /// Those of writing: 1,000 records and 1 MiB a second
    Writes,
    /// Those of reading, too: 5 calls and 2 MiB a second, 10 MiB a call
    All,
    /// None
    None,
}

impl Display for Limits {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.to_possible_value().map_or(Ok(()), |value| f.write_str(value.get_name()))
    }
}

impl Limits {
    fn of_kinesis(self) -> KinesisLimits {
        KinesisLimits {
            enforce_writes: self != Self::None,
            enforce_reads: self == Self::All,
            ..KinesisLimits::default()
        }
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("not of the form KEY=VALUE".to_owned()),
    }
}

/// Runs `run-suite services`.
pub(crate) fn run(action: &ServicesAction, log: LogArgs, format: OutputFormat) -> Result<Exit> {
    let mut progress = log.progress();
    match action {
        ServicesAction::Up(up) => {
            let (stack, is_whole) = start(up, &mut progress)?;
            list(&stack.nodes(), format)?;
            if format == OutputFormat::Human {
                output::print_text(&hint(&up.stack.dir))?;
            }
            // A script is to know when something is not there that it has asked for.
            Ok(if is_whole { Exit::Good } else { Exit::Failed })
        }
        ServicesAction::Status { stack } => {
            let nodes = open(stack)?.nodes();
            list(&nodes, format)?;
            let running = nodes.iter().all(|node| node.state == ProcessState::Running);
            Ok(if running { Exit::Good } else { Exit::Failed })
        }
        ServicesAction::Env { stack } => {
            let lines = open(stack)?.environment().into_iter();
            let lines = lines.map(|(name, value)| format!("export {name}={}\n", quoted(&value)));
            output::print(&lines.collect::<String>())?;
            Ok(Exit::Good)
        }
        ServicesAction::Logs { node, lines, stack } => {
            output::print_text(&last_lines(&open(stack)?, node, *lines)?)?;
            Ok(Exit::Good)
        }
        ServicesAction::Down { all: true, .. } => {
            let shutdown = shutdown()?;
            for dir in Cache::from_environment()?.stacks() {
                stop(Stack::open(&dir)?, &shutdown, &mut progress)?;
            }
            Ok(Exit::Good)
        }
        ServicesAction::Down { stack, .. } => {
            stop(open(stack)?, &shutdown()?, &mut progress)?;
            Ok(Exit::Good)
        }
    }
}

/// Starts what this machine can have of what was asked for, and says whether that is all of it.
fn start(up: &UpArgs, progress: &mut Progress) -> Result<(Stack, bool)> {
    let services = if up.services.is_empty() { &Service::REAL[..] } else { &up.services };
    let mut options = StackOptions {
        brokers: up.brokers,
        s3_server: up.s3_server,
        kinesis_limits: up.kinesis_limits.of_kinesis(),
        dynamodb_local: up.dynamodb_local.clone(),
        ..StackOptions::of(services.iter().copied())
    };
    for (key, value) in &up.settings {
        set(&mut options, key, value).map_err(as_usage)?;
    }
    let cache = Cache::from_environment()?;
    let is_new = Stack::open(&up.stack.dir).is_err();
    let shutdown = shutdown()?;
    let result = interruptible(&shutdown.flag(), || {
        obtainable(&cache, &options, progress).and_then(|services| {
            options.services = services;
            Stack::up(&up.stack.dir, &cache, &options, &mut |line| progress.update(line))
        })
    });
    progress.clear();
    let stack = result.map_err(as_usage)?;
    if shutdown.is_requested() && is_new {
        stop(stack, &shutdown, progress)?;
        return Err(Interrupted("the services started, which are stopped again").into());
    }
    if up.s3_server.is_none() && stack.has_embedded_s3() {
        tracing::warn!(
            "s3 is the embedded server, a stand-in: neither versitygw nor MinIO is installed, nor \
             Go to build one"
        );
    }
    let is_whole = services.iter().all(|service| options.services.contains(service));
    Ok((stack, is_whole))
}

/// A setting of a function where its name is in front, or else one of Kafka.
fn set(options: &mut StackOptions, key: &str, value: &str) -> Result<(), LocalError> {
    match key.split_once('.') {
        Some(("kin-lambda", name)) => options.kin_lambda.set(name, value),
        Some(("sql-lambda", name)) => options.sql_lambda.set(name, value),
        _ => {
            options.kafka_settings.push((key.to_owned(), value.to_owned()));
            Ok(())
        }
    }
}

/// The services that this machine has or can fetch. Of the others is said what they lack; an error
/// if nothing is left.
fn obtainable(
    cache: &Cache,
    options: &StackOptions,
    progress: &mut Progress,
) -> Result<BTreeSet<Service>, LocalError> {
    let mut left = BTreeSet::new();
    let mut first_lack = None;
    for &service in &options.services {
        let alone = StackOptions { services: [service].into(), ..options.clone() };
        match Stack::fetch(cache, &alone, &mut |line| progress.update(line)) {
            Ok(()) => {
                left.insert(service);
            }
            Err(lack) if lack.is_missing() && options.services.len() > 1 => {
                progress.clear();
                tracing::warn!("{service} is left out: {lack}");
                first_lack.get_or_insert(lack);
            }
            Err(error) => return Err(error),
        }
    }
    match first_lack {
        Some(lack) if left.is_empty() => Err(lack),
        _ => Ok(left),
    }
}

/// Stops a stack; at once when somebody has had enough of waiting for its end.
fn stop(mut stack: Stack, shutdown: &Shutdown, progress: &mut Progress) -> Result<()> {
    let result = interruptible(&shutdown.flag(), || stack.down(&mut |line| progress.update(line)));
    progress.clear();
    result.map_err(as_usage)
}

fn shutdown() -> Result<Shutdown> {
    Shutdown::install().context("failed to listen for signals")
}

fn open(stack: &StackArgs) -> Result<Stack> {
    Stack::open(&stack.dir).map_err(as_usage)
}

/// A folder without a stack, or a name without a service, is the command line's fault.
fn as_usage(error: LocalError) -> anyhow::Error {
    if matches!(error, LocalError::Interrupted) {
        as_interrupted(error, "the services started or stopped; what was half there is gone")
    } else if error.is_usage() || matches!(error, LocalError::NoStack { .. }) {
        UsageError::from_library(error).into()
    } else {
        error.into()
    }
}

/// The end of what a service has said.
fn last_lines(stack: &Stack, name: &str, count: usize) -> Result<String> {
    let nodes = stack.nodes();
    let Some(node) = nodes.iter().find(|node| node.name == name) else {
        let known: Vec<&str> = nodes.iter().map(|node| &*node.name).collect();
        let problem = format!("the stack has no '{name}'");
        return Err(UsageError::new("NODE", problem, format!("it has {}", known.join(", "))).into());
    };
    let log = tail(&node.log, LOG_BYTES);
    let log = log.with_context(|| format!("failed to read {}", node.log.display()))?;
    let lines: Vec<&str> = log.lines().collect();
    let last = &lines[lines.len().saturating_sub(count)..];
    Ok(last.join("\n") + "\n")
}

fn list(nodes: &[NodeStatus], format: OutputFormat) -> Result<()> {
    let text = match format {
        OutputFormat::Json => serde_json::to_string_pretty(&json(nodes))? + "\n",
        OutputFormat::Csv => csv(nodes)?,
        OutputFormat::Human => human(nodes),
    };
    output::print_result(format, &text).context("failed to print the services")
}

fn human(nodes: &[NodeStatus]) -> String {
    let rows = std::iter::once(HEADER.map(str::to_owned)).chain(nodes.iter().map(cells));
    table(&rows.map(Vec::from).collect::<Vec<_>>(), |_| Align::Left)
}

fn json(nodes: &[NodeStatus]) -> serde_json::Value {
    let nodes = nodes.iter().map(|node| {
        json!({
            "service": node.name,
            "state": node.state.to_string(),
            "address": node.address,
            "pid": node.pid,
            "version": node.version,
            "log": node.log,
        })
    });
    nodes.collect()
}

fn csv(nodes: &[NodeStatus]) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEADER)?;
    for node in nodes {
        writer.write_record(cells(node))?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

fn cells(node: &NodeStatus) -> [String; 5] {
    [
        node.name.clone(),
        node.state.to_string(),
        node.address.clone(),
        node.pid.map(|pid| pid.to_string()).unwrap_or_default(),
        node.version.clone(),
    ]
}

/// How to go on, from the folder that the stack was started from.
fn hint(dir: &Path) -> String {
    let dir = dir.display().to_string();
    let dir = if dir == DIR_DEFAULT { String::new() } else { format!(" --dir {}", quoted(&dir)) };
    format!(
        "\nfor tools to use them:  eval \"$(run-suite services env{dir})\"\n\
         to stop them:           run-suite services down{dir}\n"
    )
}

/// A value as a shell takes it.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_a_quoted_value_as_it_is() {
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    #[test]
    fn a_setting_has_a_key() {
        assert_eq!(setting("a = b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(setting("a").is_err() && setting("=b").is_err());
    }
}
