//! `run-suite`: runs experiments made of the other tools, and summarises them.

mod file;
mod host;
mod plan;
mod run;
mod show;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use bench_cli::{
    Exit, Keys, MetricsArgs, OutputArgs, OutputFormat, Shutdown, arguments, generate, main_with,
    output, place_of_file, place_of_folder,
};
use bench_core::results::current_host;
use bench_record::ServiceOrigin;
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::file::form;
use crate::host::services::{self, ServicesAction};
use crate::plan::delta_sweep::DeltaSweepArgs;
use crate::plan::dry_run::dry_run;
use crate::plan::experiment_plan::Plan;
use crate::plan::noise_plan::noise_plan;
use crate::plan::sweep::{SweepArgs, services_origin};
use crate::plan::{planning, quick};
use crate::run::folder::{ExperimentFolder, State, create_unique, experiments_in, timestamp};
use crate::run::metrics::SuiteMetrics;
use crate::run::noise::{Noise, noise_name};
use crate::run::suite::{self, Watched};
use crate::run::{child, latencies};
use crate::show::compare::CompareArgs;
use crate::show::gates::GateArgs;
use crate::show::history::HistoryArgs;
use crate::show::list;
use crate::show::noise::foretold;
use crate::show::report::{JUNIT, PageArgs, ReportArgs, Telling, tell};

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
        #[arg(long, value_name = "DIR", default_value = "results", value_parser = place_of_folder())]
        results_dir: PathBuf,
        #[command(flatten)]
        metrics: MetricsArgs,
        #[command(flatten)]
        page: PageArgs,
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
        #[arg(long, value_name = "DIR", default_value = "results", value_parser = place_of_folder())]
        results_dir: PathBuf,
        /// List the runs with their command lines and the time they take, and run nothing
        #[arg(long)]
        dry_run: bool,
        /// Let the file set variables and paths of tools, which can make them do anything
        #[arg(long)]
        trust: bool,
        #[command(flatten)]
        gates: GateArgs,
        #[arg(long, value_name = "FILE", help = JUNIT, value_parser = place_of_file())]
        junit: Option<PathBuf>,
        #[command(flatten)]
        metrics: MetricsArgs,
        #[command(flatten)]
        page: PageArgs,
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
        #[command(flatten)]
        metrics: MetricsArgs,
        /// Let the experiment set variables and paths of tools, which can make them do anything
        #[arg(long)]
        trust: bool,
    },
    /// Tell what experiments showed, from their folders: a summary, and a page with charts
    #[command(after_help = include_str!("help/report.txt"))]
    Report(ReportArgs),
    /// Say which of two sides is better, by how much, and how sure that is
    #[command(after_help = include_str!("help/compare.txt"))]
    Compare(CompareArgs),
    /// Follow the same cells over many experiments, and say where they changed
    History(HistoryArgs),
    /// Run one cell of an experiment twice over, to see which changes this machine can show
    Noise {
        /// The experiment file
        file: PathBuf,
        /// Services to use instead of the file's: embedded, local, external
        #[arg(long, value_name = "WHICH", value_parser = services_origin)]
        services: Option<ServiceOrigin>,
        /// The cell, by its number in `run --dry-run`
        #[arg(long, value_name = "N", default_value_t = 1)]
        cell: usize,
        /// Let the file set variables and paths of tools, which can make them do anything
        #[arg(long)]
        trust: bool,
        /// Runs of each of the two equal sides
        #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..))]
        repeats: u32,
        /// Folder for the results
        #[arg(long, value_name = "DIR", default_value = "results", value_parser = place_of_folder())]
        results_dir: PathBuf,
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
        Action::Quick { results_dir, services, metrics, page } => {
            let metrics = metrics.bind()?.map(SuiteMetrics::serve);
            let quick = quick::plan(*services)?;
            let parent = create_unique(results_dir, &format!("quick-{}", timestamp()))?;
            let folders = quick.plans.into_iter().map(|(name, text, plan)| {
                ExperimentFolder::create_at(parent.join(name), &text, plan)
            });
            let mut folders = folders.collect::<Result<Vec<_>>>()?;
            let telling = Telling { junit: None, page: page.clone(), metrics };
            let exit = execute(&parent, &mut folders, &shutdown()?, &telling, &options);
            for left_out in quick.left_out {
                tracing::warn!("{left_out}");
            }
            exit
        }
        Action::Run {
            file,
            services,
            results_dir,
            dry_run,
            trust,
            gates,
            junit,
            metrics,
            page,
        } => {
            let (text, mut plan) = planning::read_plan(file, *services, *trust)?;
            gates.add_to(&mut plan.gates)?;
            let metrics = metrics.bind()?.map(SuiteMetrics::serve);
            let telling = Telling { junit: junit.as_deref(), page: page.clone(), metrics };
            run_or_show((text, plan), results_dir, *dry_run, &telling, &options)
        }
        Action::Sweep(args) => {
            let (plan, metrics) = (args.plan()?, args.metrics.bind()?.map(SuiteMetrics::serve));
            let telling = Telling { metrics, ..Telling::default() };
            run_or_show(plan, &args.results_dir, args.dry_run, &telling, &options)
        }
        Action::DeltaSweep(args) => {
            let (plan, metrics) = (args.plan()?, args.metrics.bind()?.map(SuiteMetrics::serve));
            let telling = Telling { metrics, ..Telling::default() };
            run_or_show(plan, &args.results_dir, args.dry_run, &telling, &options)
        }
        Action::Resume { dir, metrics, trust } => {
            let folders = experiments_in(dir)?;
            for folder in &folders {
                let checked = planning::check(&State::load(folder)?.plan, *trust);
                checked.with_context(|| format!("failed to resume {}", folder.display()))?;
            }
            let metrics = metrics.bind()?.map(SuiteMetrics::serve);
            let shutdown = shutdown()?;
            let mut folders = folders
                .iter()
                .map(|path| ExperimentFolder::open(path, &shutdown))
                .collect::<Result<Vec<_>>>()?;
            let telling = Telling { metrics, ..Telling::default() };
            execute(dir, &mut folders, &shutdown, &telling, &options)
        }
        Action::Report(args) => Ok(args.report(options.output.format)?.exit()),
        Action::Compare(args) => {
            let format = options.output.format;
            output::print_result(format, &args.text(format)?)?;
            Ok(Exit::Good)
        }
        Action::History(args) => {
            let format = options.output.format;
            output::print_result(format, &args.text(format)?)?;
            Ok(Exit::Good)
        }
        Action::Noise { file, services, cell, repeats, trust, results_dir } => {
            let (text, plan) = planning::read_plan(file, *services, *trust)?;
            let name = noise_name(&plan.name);
            let plan = noise_plan(plan, name, *cell, *repeats)?;
            measure_noise(&text, plan, results_dir, &options)
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

/// Runs two equal cells, and keeps what that shows of the machine.
fn measure_noise(text: &str, plan: Plan, results_dir: &Path, options: &Options) -> Result<Exit> {
    let folder = ExperimentFolder::create(results_dir, text, plan)?;
    let dir = folder.path().to_path_buf();
    let exit = execute(&dir, &mut [folder], &shutdown()?, &Telling::default(), options)?;
    if exit != Exit::Good {
        return Ok(exit);
    }
    let noise = Noise::of(&dir, &State::load(&dir)?)?;
    let kept = noise.keep(results_dir)?;
    if options.output.format == OutputFormat::Human {
        output::print_text(&format!("\n{}", show::noise::human(&noise)))?;
    }
    tracing::info!("kept in {} for `run --dry-run`", kept.display());
    Ok(exit)
}

fn shutdown() -> Result<Shutdown> {
    Shutdown::install().context("failed to listen for signals")
}

/// Runs a planned experiment in a new folder, or only shows its plan.
fn run_or_show(
    (text, plan): (String, Plan),
    results_dir: &Path,
    is_dry: bool,
    telling: &Telling<'_>,
    options: &Options,
) -> Result<Exit> {
    if is_dry {
        let host = current_host().name;
        let noise = Noise::kept(results_dir, &plan.name, &host);
        let foretold = noise.map(|noise| foretold(&noise, plan.repeats())).unwrap_or_default();
        output::print_text(&(dry_run(&plan) + &foretold))?;
        return Ok(Exit::Good);
    }
    let folder = ExperimentFolder::create(results_dir, &text, plan)?;
    let dir = folder.path().to_path_buf();
    execute(&dir, &mut [folder], &shutdown()?, telling, options)
}

/// Runs all pending runs in the experiments of `dir`, and reports on all of them.
fn execute(
    dir: &Path,
    folders: &mut [ExperimentFolder],
    shutdown: &Shutdown,
    telling: &Telling<'_>,
    options: &Options,
) -> Result<Exit> {
    let mut progress = options.output.log.progress();
    tracing::info!("results in {}", dir.display());
    let is_reported = options.output.format == OutputFormat::Human;
    let watched = Watched { is_reported, metrics: telling.metrics.as_ref() };
    let keys = if progress.is_visible() { Keys::listen(shutdown) } else { None };
    let result = suite::run_pending(dir, folders, shutdown, &mut progress, watched);
    progress.clear();
    drop(keys);
    result
        .with_context(|| format!("stopped; `run-suite resume {}` runs the rest", dir.display()))?;
    let exported =
        folders.iter().try_for_each(|folder| latencies::export(folder.path(), folder.state()));
    let exit = tell(dir, telling, options.output.format)?.exit();
    if exit == Exit::Interrupted {
        tracing::warn!("interrupted: `run-suite resume {}` runs the rest", dir.display());
    }
    exported.map(|()| exit)
}
