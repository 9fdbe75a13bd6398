//! `run-suite services`: servers on this machine, started and stopped by hand.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bench_cli::{
    Align, Exit, Interrupted, LogArgs, OutputFormat, Progress, Shutdown, UsageError, output, table,
};
use bench_record::files::tail;
use bench_services::SERVICES;
use bench_stack::{
    Cache, NodeStatus, ProcessState, Stack, StackError, StackOptions, interruptible,
};
use clap::{Args, Subcommand};
use serde_json::json;

use super::service_flags::{self, ServiceFlags};
use super::stack::as_interrupted;

/// The folder of a stack by default.
const DIR_DEFAULT: &str = "services";

/// The end of a log that `logs` reads.
const LOG_BYTES: u64 = 64 << 20;

/// The columns of the list.
const HEADER: [&str; 5] = ["service", "state", "address", "process", "version"];

#[derive(Debug, Subcommand)]
pub(crate) enum ServicesAction {
    /// Start services, fetching what is missing, and wait until they are healthy
    Up(UpArgs),
    /// List the services of a stack; exit with 1 if one of them does not run
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
        /// The name of the service in the output of `status`, such as kafka-1
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
    #[arg(
        value_delimiter = ',',
        value_name = "SERVICE",
        value_parser = service_flags::service,
        help = service_flags::services_help()
    )]
    services: Vec<&'static str>,
    /// A setting of a service, such as `kafka.brokers=3`; may be repeated
    #[arg(long = "set", value_name = "SERVICE.KEY=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    #[command(flatten)]
    flags: ServiceFlags,
    #[command(flatten)]
    stack: StackArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StackArgs {
    /// Folder of the stack; each folder can have one
    #[arg(long, value_name = "DIR", default_value = DIR_DEFAULT)]
    dir: PathBuf,
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("expected SERVICE.KEY=VALUE".to_owned()),
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
            // A script must notice that a service is missing.
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
                stop(Stack::open(SERVICES, &dir)?, &shutdown, &mut progress)?;
            }
            Ok(Exit::Good)
        }
        ServicesAction::Down { stack, .. } => {
            stop(open(stack)?, &shutdown()?, &mut progress)?;
            Ok(Exit::Good)
        }
    }
}

/// Starts those of the services that this machine can run. Returns whether these are all.
fn start(up: &UpArgs, progress: &mut Progress) -> Result<(Stack, bool)> {
    let named = if up.services.is_empty() { SERVICES.defaults() } else { up.services.clone() };
    let options = options(up, &named).map_err(as_usage)?;
    let cache = Cache::from_environment()?;
    let is_new = Stack::open(SERVICES, &up.stack.dir).is_err();
    let shutdown = shutdown()?;
    let result = interruptible(&shutdown.flag(), || {
        obtainable(&cache, &options, &named, progress).and_then(|left| {
            let options = SERVICES.part(&options, left.iter().copied())?;
            let up = Stack::up(SERVICES, &up.stack.dir, &cache, &options, &mut |line| {
                progress.update(line);
            });
            Ok((up?, named.iter().all(|name| left.contains(name))))
        })
    });
    progress.clear();
    let (stack, is_whole) = result.map_err(as_usage)?;
    if shutdown.is_requested() && is_new {
        stop(stack, &shutdown, progress)?;
        return Err(Interrupted("the services started, which are stopped again").into());
    }
    for node in stack.nodes() {
        if let Some(note) = node.note {
            tracing::warn!("{}: {note}", node.name);
        }
    }
    Ok((stack, is_whole))
}

/// The options of a stack of these services and of those that they need.
fn options(up: &UpArgs, services: &[&str]) -> Result<StackOptions, StackError> {
    let mut settings = up.flags.settings();
    for (key, value) in &up.settings {
        let (service, key) = SERVICES.setting_of(key).map_err(StackError::Options)?;
        settings.push((service.name(), key, value));
    }
    SERVICES.options(services.iter().copied(), &settings)
}

/// The services that this machine has or can fetch. Warns about the others; an error if none is left.
fn obtainable(
    cache: &Cache,
    options: &StackOptions,
    services: &[&'static str],
    progress: &mut Progress,
) -> Result<BTreeSet<&'static str>, StackError> {
    let mut left = BTreeSet::new();
    let mut first_lack = None;
    for &service in services {
        let alone = SERVICES.part(options, [service])?;
        match Stack::fetch(SERVICES, cache, &alone, &mut |line| progress.update(line)) {
            Ok(()) => {
                left.insert(service);
            }
            Err(lack) if lack.is_missing() && services.len() > 1 => {
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

/// Stops a stack, at once after a further interrupt.
fn stop(mut stack: Stack, shutdown: &Shutdown, progress: &mut Progress) -> Result<()> {
    let result = interruptible(&shutdown.flag(), || stack.down(&mut |line| progress.update(line)));
    progress.clear();
    result.map_err(as_usage)
}

fn shutdown() -> Result<Shutdown> {
    Shutdown::install().context("failed to listen for signals")
}

fn open(stack: &StackArgs) -> Result<Stack> {
    Stack::open(SERVICES, &stack.dir).map_err(as_usage)
}

/// Makes usage errors of a folder without a stack, and of an unknown service.
fn as_usage(error: StackError) -> anyhow::Error {
    if matches!(error, StackError::Interrupted) {
        as_interrupted(error, "the services started or stopped")
    } else if error.is_usage() || matches!(error, StackError::NoStack { .. }) {
        UsageError::from_library(error).into()
    } else {
        error.into()
    }
}

/// The end of a service's log.
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
        OutputFormat::Csv => output::csv_table(HEADER, nodes.iter().map(|node| cells(node).into())),
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

fn cells(node: &NodeStatus) -> [String; 5] {
    [
        node.name.clone(),
        node.state.to_string(),
        node.address.clone(),
        node.pid.map(|pid| pid.to_string()).unwrap_or_default(),
        node.version.clone(),
    ]
}

/// The next commands, for the folder that the stack was started from.
fn hint(dir: &Path) -> String {
    let dir = dir.display().to_string();
    let dir = if dir == DIR_DEFAULT { String::new() } else { format!(" --dir {}", quoted(&dir)) };
    format!(
        "\nto use them with tools:  eval \"$(run-suite services env{dir})\"\n\
         to stop them:            run-suite services down{dir}\n"
    )
}

/// A value, quoted for a shell.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_for_shells() {
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    #[test]
    fn settings_have_keys() {
        assert_eq!(setting("a = b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(setting("a").is_err() && setting("=b").is_err());
    }
}
