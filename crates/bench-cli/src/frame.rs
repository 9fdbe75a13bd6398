//! The frame of every tool: from its command line to its exit code.
//!
//! A tool implements [`Tool`] for its options, and its `main` is [`run_tool`]. A tool that measures
//! ends in [`Invocation::measure`], which keeps the result folder, runs, reports and exits.

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use bench_core::clock::SystemClock;
use bench_core::message::RunId;
use bench_core::transport::{Publish, Receive};
use bench_record::ServiceInfo;
use clap::{ArgMatches, Args, Command, CommandFactory, FromArgMatches};
use serde_json::Value;

use crate::generate::UsedService;
use crate::options_in_force::options_in_force;
use crate::{
    Exit, GenerateArgs, LogArgs, Measurement, OutputFormat, RunArgs, RunContext, Shutdown,
    StartedRun, UsageError, arguments, generate, main_with,
};

/// The name and version of a tool.
#[derive(Debug, Clone, Copy)]
pub struct ToolId {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

/// The [`ToolId`] of the package that this is written in.
#[macro_export]
macro_rules! tool_id {
    () => {
        $crate::ToolId { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") }
    };
}

/// A tool: its options, and what it does with them.
pub trait Tool: CommandFactory + FromArgMatches {
    /// The tool's name and version.
    const ID: ToolId;

    /// What run-suite starts for the tool.
    const SERVICES: &'static [UsedService] = &[];

    /// The command line; by default that of the options alone.
    #[must_use]
    fn command_line() -> Command {
        Self::command()
    }

    /// The arguments of this process, the name of the program first.
    #[must_use]
    fn arguments() -> Vec<OsString> {
        std::env::args_os().collect()
    }

    /// The options for the log on standard error.
    fn log(&self) -> LogArgs;

    /// Does the work. By now logs go to standard error, and signals request an early end.
    fn run(&self, invocation: &Invocation) -> Result<Exit>;

    /// Turns a library's error that is the command line's fault into a [`UsageError`]; see
    /// [`usage_error`].
    #[must_use]
    fn usage_error(error: &anyhow::Error) -> Option<UsageError> {
        let _ = error;
        None
    }
}

/// The options for what a tool prints; flatten them into its own.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct OutputArgs {
    /// Format of the result on standard output
    #[arg(
        help_heading = "Output",
        id = "output",
        long,
        value_enum,
        value_name = "FORMAT",
        default_value_t,
        global = true
    )]
    pub format: OutputFormat,

    /// The log on standard error.
    #[command(flatten)]
    pub log: LogArgs,

    #[command(flatten)]
    generate: GenerateArgs,
}

/// The whole of a tool's `main`.
pub fn run_tool<T: Tool>() -> ExitCode {
    main_with(run::<T>)
}

fn run<T: Tool>() -> Result<Exit> {
    if generate::handle(T::command_line(), T::SERVICES)? {
        return Ok(Exit::Good);
    }
    let matches = arguments::matches_from(T::command_line(), T::arguments())?;
    let options = T::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let log = options.log();
    log.init();
    let shutdown = Shutdown::install().context("failed to listen for signals")?;
    let invocation = Invocation { tool: T::ID, command: T::command_line(), matches, shutdown, log };
    options.run(&invocation).map_err(|error| match T::usage_error(&error) {
        Some(usage) => usage.into(),
        None => error,
    })
}

/// The usage error for an error of type `E`, if `is_usage` says that it is the command line's fault.
pub fn usage_error<E: Error + Send + Sync + 'static>(
    error: &anyhow::Error,
    is_usage: fn(&E) -> bool,
) -> Option<UsageError> {
    error.downcast_ref::<E>().filter(|error| is_usage(error)).map(UsageError::from_library)
}

/// A tool that has been started with valid options.
pub struct Invocation {
    /// The tool.
    pub tool: ToolId,
    /// The arguments, for options whose source or raw text matters.
    pub matches: ArgMatches,
    /// Whether an early end has been requested.
    pub shutdown: Shutdown,
    command: Command,
    log: LogArgs,
}

impl Invocation {
    /// The beginning of a run's record, with every option in force. Replace the options that may
    /// hold a secret, and those whose value the tool has chosen.
    #[must_use]
    pub fn started(&self, run: RunId, services: Vec<ServiceInfo>) -> StartedRun {
        let ToolId { name, version } = self.tool;
        let options = self.options_in_force();
        StartedRun { tool: name, version, run, options, services, versions: BTreeMap::new() }
    }

    /// The options in force, of the subcommand where there is one: those of the tool itself do not
    /// count beside its own.
    fn options_in_force(&self) -> BTreeMap<String, Value> {
        match self.matches.subcommand() {
            None => options_in_force(&self.command, &self.matches),
            Some((name, matches)) => {
                let subcommand = self.command.find_subcommand(name);
                subcommand.map(|own| options_in_force(own, matches)).unwrap_or_default()
            }
        }
    }

    /// Makes the result folder, connects, measures and reports. `connect` gets the path of the
    /// folder; its error is kept there. The instants of the measurement's plan are those of `clock`.
    pub fn measure<P: Publish + Send, R: Receive + Send>(
        &self,
        args: &RunArgs,
        output: OutputFormat,
        started: StartedRun,
        clock: SystemClock,
        connect: impl FnOnce(&Path) -> Result<Measurement<P, R>>,
    ) -> Result<Exit> {
        let mut record = args.start(started)?;
        let folder = record.folder_mut().path().to_owned();
        match connect(&folder) {
            Ok(measurement) => measurement.run(record, self.context(clock, output)),
            Err(error) => {
                record.fail(&error);
                Err(error)
            }
        }
    }

    fn context(&self, clock: SystemClock, output: OutputFormat) -> RunContext {
        RunContext { clock, shutdown: self.shutdown.clone(), progress: self.log.progress(), output }
    }
}
