//! The shape of every tool, without the work: waits for as long as it would have sent.
//!
//! The tests of this crate run it as a user runs a tool.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bench_cli::{
    Amount, Exit, Invocation, LogArgs, OutputArgs, OutputFormat, Shutdown, Tool, ToolId,
    WorkloadArgs, output, quantity, run_tool,
};
use clap::Parser;

/// Waits for as long as another tool would send
#[derive(Parser)]
#[command(name = "skeleton", version)]
struct Options {
    /// Topic that nothing is sent to
    #[arg(long)]
    topic: String,

    /// Time to finish what is in flight
    #[arg(long, value_name = "TIME", value_parser = quantity::parse_duration, default_value = "0s")]
    grace: Duration,

    #[command(flatten)]
    workload: WorkloadArgs,

    #[command(flatten)]
    output: OutputArgs,
}

fn main() -> ExitCode {
    run_tool::<Options>()
}

impl Tool for Options {
    const ID: ToolId = ToolId { name: "skeleton", version: env!("CARGO_PKG_VERSION") };

    fn log(&self) -> LogArgs {
        self.output.log
    }

    fn run(&self, invocation: &Invocation) -> Result<Exit> {
        let workload = self.workload.workload()?;
        let shutdown = &invocation.shutdown;
        tracing::info!("waiting");
        let waited = match workload.amount {
            Some(Amount::Duration(duration)) => wait(duration, shutdown, self),
            _ => Duration::ZERO,
        };
        print(waited, self)?;
        Ok(if shutdown.is_requested() { Exit::Interrupted } else { Exit::Good })
    }
}

fn wait(duration: Duration, shutdown: &Shutdown, options: &Options) -> Duration {
    let mut progress = options.output.log.progress();
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
    let text = match options.output.format {
        OutputFormat::Human => format!("waited {}\n", quantity::duration_ns(waited_ns)),
        OutputFormat::Json => format!("{{\"waited_ns\":{waited_ns}}}\n"),
        OutputFormat::Csv => format!("topic,waited_ns\n{},{waited_ns}\n", options.topic),
    };
    output::print(&text).context("failed to print the result")
}
