//! `run-suite`: runs experiments made of the other tools, and summarises them.

mod file;
mod host;
mod plan;
mod run;
mod show;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use bench_cli::{Exit, OutputArgs, OutputFormat, Shutdown, arguments, generate, main_with, output};
use bench_record::ServiceOrigin;
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::file::form;
use crate::host::services::{self, ServicesAction};
use crate::plan::delta_sweep::DeltaSweepArgs;
use crate::plan::dry_run::dry_run;
use crate::plan::experiment_plan::Plan;
use crate::plan::sweep::{SweepArgs, services_origin};
use crate::plan::{planning, quick};
use crate::run::folder::{ExperimentFolder, State, create_unique, experiments_in, timestamp};
use crate::run::{child, suite, verdict};
use crate::show::summary::SuiteSummary;
use crate::show::{list, text};

/// Runs whole experiments: every run is a process of its own, every result a folder
#[derive(Debug, Parser)]
#[command(version, after_long_help = include_str!("help/examples.txt"), arg_required_else_help = true)]
struct Options {
    #[command(subcommand)]
    command: Action,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Run small Kafka, Kinesis and Delta tests, as far as their tools are built
    Quick {
        /// Services to use: embedded (default), local (real servers on this machine), external (yours)
        #[arg(long, value_name = "WHICH", value_parser = services_origin)]
        services: Option<ServiceOrigin>,
        /// Folder for the results
        #[arg(long, value_name = "DIR", default_value = "results")]
        results_dir: PathBuf,
    },
    /// Run an experiment file
    #[command(after_help = include_str!("help/experiment-file.txt"))]
    Run {
        /// The experiment file
        file: PathBuf,
        /// Services to use instead of the file's: embedded, local, external
        #[arg(long, value_name = "WHICH", value_parser = services_origin)]
        services: Option<ServiceOrigin>,
        /// Folder for the results
        #[arg(long, value_name = "DIR", default_value = "results")]
        results_dir: PathBuf,
        /// List the runs with their command lines and the time they take, and run nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Sweep one option of a tool over a range
    #[command(after_help = include_str!("help/sweep.txt"))]
    Sweep(SweepArgs),
    /// Sweep the rate of a Delta Lake table that is used as a queue
    #[command(after_help = include_str!("help/delta-sweep.txt"))]
    DeltaSweep(DeltaSweepArgs),
    /// Run the rest of an interrupted experiment; finished runs are kept
    Resume {
        /// The experiment's folder
        dir: PathBuf,
    },
    /// Print the summary of an experiment from its folder
    Report {
        /// The experiment's folder
        dir: PathBuf,
    },
    /// List experiment files with their questions
    List {
        /// Their folder
        #[arg(default_value = "experiments")]
        dir: PathBuf,
    },
    /// Start, list and stop real servers on this machine
    #[command(subcommand)]
    Services(ServicesAction),
    /// Print the JSON Schema of an experiment file
    #[command(hide = true)]
    Schema,
}

fn main() -> ExitCode {
    main_with(run_suite)
}

fn run_suite() -> Result<Exit> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == child::EXEC) {
        return Err(child::exec(arguments));
    }
    if generate::handle(Options::command(), &[])? {
        return Ok(Exit::Good);
    }
    let options: Options = arguments::parse()?;
    options.output.log.init();
    match &options.command {
        Action::Quick { results_dir, services } => {
            let quick = quick::plan(*services)?;
            let parent = create_unique(results_dir, &format!("quick-{}", timestamp()))?;
            let folders = quick.plans.into_iter().map(|(name, text, plan)| {
                ExperimentFolder::create_at(parent.join(name), &text, plan)
            });
            let mut folders = folders.collect::<Result<Vec<_>>>()?;
            let exit = execute(&parent, &mut folders, &shutdown()?, &options);
            for left_out in quick.left_out {
                tracing::warn!("{left_out}");
            }
            exit
        }
        Action::Run { file, services, results_dir, dry_run } => {
            run_or_show(planning::read_plan(file, *services)?, results_dir, *dry_run, &options)
        }
        Action::Sweep(args) => run_or_show(args.plan()?, &args.results_dir, args.dry_run, &options),
        Action::DeltaSweep(args) => {
            run_or_show(args.plan()?, &args.results_dir, args.dry_run, &options)
        }
        Action::Resume { dir } => {
            let folders = experiments_in(dir)?;
            for folder in &folders {
                let checked = planning::check(&State::load(folder)?.plan);
                checked.with_context(|| format!("failed to resume {}", folder.display()))?;
            }
            let shutdown = shutdown()?;
            let mut folders = folders
                .iter()
                .map(|path| ExperimentFolder::open(path, &shutdown))
                .collect::<Result<Vec<_>>>()?;
            execute(dir, &mut folders, &shutdown, &options)
        }
        Action::Report { dir } => {
            let summary = report(dir, options.output.format)?;
            Ok(verdict::exit_of(summary.statuses()))
        }
        Action::List { dir } => {
            output::print_text(&list::human(dir)?)?;
            Ok(Exit::Good)
        }
        Action::Services(action) => {
            services::run(action, options.output.log, options.output.format)
        }
        Action::Schema => {
            output::print(&(serde_json::to_string_pretty(&form::schema())? + "\n"))?;
            Ok(Exit::Good)
        }
    }
}

fn shutdown() -> Result<Shutdown> {
    Shutdown::install().context("failed to listen for signals")
}

/// Runs a planned experiment in a new folder, or only shows its plan.
fn run_or_show(
    (text, plan): (String, Plan),
    results_dir: &Path,
    is_dry: bool,
    options: &Options,
) -> Result<Exit> {
    if is_dry {
        output::print_text(&dry_run(&plan))?;
        return Ok(Exit::Good);
    }
    let folder = ExperimentFolder::create(results_dir, &text, plan)?;
    let dir = folder.path().to_path_buf();
    execute(&dir, &mut [folder], &shutdown()?, options)
}

/// Runs all pending runs in the experiments of `dir`, and reports on all of them.
fn execute(
    dir: &Path,
    folders: &mut [ExperimentFolder],
    shutdown: &Shutdown,
    options: &Options,
) -> Result<Exit> {
    let mut progress = options.output.log.progress();
    tracing::info!("results in {}", dir.display());
    let is_reported = options.output.format == OutputFormat::Human;
    let result = suite::run_pending(dir, folders, shutdown, &mut progress, is_reported);
    progress.clear();
    result
        .with_context(|| format!("stopped; `run-suite resume {}` runs the rest", dir.display()))?;
    let summary = report(dir, options.output.format)?;
    let exit = verdict::exit_of(summary.statuses());
    if exit == Exit::Interrupted {
        tracing::warn!("interrupted: `run-suite resume {}` runs the rest", dir.display());
    }
    Ok(exit)
}

fn report(dir: &Path, format: OutputFormat) -> Result<SuiteSummary> {
    let summary = SuiteSummary::read(&experiments_in(dir)?)?;
    for experiment in &summary.unreadable {
        tracing::warn!("{}", experiment.problem);
    }
    let text = match format {
        OutputFormat::Human => text::human(&summary),
        OutputFormat::Json => summary.json()?,
        OutputFormat::Csv => summary.csv(),
    };
    output::print_result(format, &text)?;
    Ok(summary)
}
