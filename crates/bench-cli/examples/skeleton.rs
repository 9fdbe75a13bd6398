//! The shape of every tool, without the work: it waits for as long as it would have sent.
//!
//! The tests of this crate run it as a user runs a tool.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bench_cli::{
    Amount, Exit, GenerateArgs, LogArgs, OutputArgs, OutputFormat, Shutdown, WorkloadArgs,
    arguments, generate, main_with, output, quantity,
};
use clap::{CommandFactory, Parser};

/// Waits for as long as another tool would send
#[derive(Parser)]
#[command(name = "skeleton", version)]
struct Options {
    /// Topic that nothing is sent to
    #[arg(long)]
    topic: String,

    /// Time that it takes to finish what is in flight
    #[arg(long, value_name = "TIME", value_parser = quantity::parse_duration, default_value = "0s")]
    grace: Duration,

    #[command(flatten)]
    workload: WorkloadArgs,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    log: LogArgs,

    #[command(flatten)]
    generate: GenerateArgs,
}

fn main() -> ExitCode {
    main_with(run)
}

fn run() -> Result<Exit> {
    if generate::handle(Options::command(), &[])? {
        return Ok(Exit::Good);
    }
    let options: Options = arguments::parse()?;
    options.log.init();
    let workload = options.workload.workload()?;
    let shutdown = Shutdown::install().context("failed to listen for signals")?;
    tracing::info!("waiting");
    let waited = match workload.amount {
        Some(Amount::Duration(duration)) => wait(duration, &shutdown, &options),
        _ => Duration::ZERO,
    };
    print(waited, &options)?;
    Ok(if shutdown.is_requested() { Exit::Interrupted } else { Exit::Good })
}

fn wait(duration: Duration, shutdown: &Shutdown, options: &Options) -> Duration {
    let mut progress = options.log.progress();
    let started = Instant::now();
    while started.elapsed() < duration && !shutdown.is_requested() {
        progress.update(&format!("waited {:.1} s", started.elapsed().as_secs_f64()));
        thread::sleep(Duration::from_millis(5));
    }
    thread::sleep(options.grace);
    started.elapsed()
}

fn print(waited: Duration, options: &Options) -> Result<()> {
    let waited_ns = u64::try_from(waited.as_nanos())?;
    let text = match options.output.output {
        OutputFormat::Human => format!("waited {}\n", quantity::duration_ns(waited_ns)),
        OutputFormat::Json => format!("{{\"waited_ns\":{waited_ns}}}\n"),
        OutputFormat::Csv => format!("topic,waited_ns\n{},{waited_ns}\n", options.topic),
    };
    output::print(&text).context("failed to print the result")
}
