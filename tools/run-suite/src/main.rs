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
    Exit, GenerateArgs, LogArgs, OutputArgs, OutputFormat, Shutdown, arguments, generate,
    main_with, output,
};
use bench_core::results::ServiceOrigin;
use bench_services::embedded;
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

const EXAMPLES: &str = "\
Examples:
  run-suite quick                                   a first look in 90 s, nothing to install
  run-suite quick --services local                  the same on a real broker on this machine
  run-suite list                                    the experiments in ./experiments
  run-suite run experiments/kafka-record-size.toml --dry-run
  run-suite run experiments/kafka-record-size.toml
  run-suite resume results/kafka-record-size-20261121-083000
  run-suite report results/kafka-record-size-20261121-083000 --output csv
  run-suite sweep kafka-prodcon --option rate --from 10k --to 50k --step 10k -- --duration 10s
  run-suite services up kafka,mysql                 real servers, until `run-suite services down`

Exit codes, also of `report`: 0 all runs are valid; 1 a run failed or cannot be read; 2 usage; 3 a run
is INVALID or PARTIAL, and none failed; 130 interrupted, or not all runs are made";

const SWEEP_EXAMPLES: &str = "\
Examples:
  run-suite sweep kafka-prodcon --option rate --from 10k --to 50k --step 10k -- --duration 10s
  run-suite sweep kafka-prodcon --option acks --values 0,1,all --repeats 3 --services local
  run-suite sweep kin-producer --option rate --from 500 --to 2000 --step 500 --then kin-db-consumer \\
                  -- --create --duration 10s --lambda.batch-size=100";

const DELTA_SWEEP_EXAMPLES: &str = "\
Examples:
  run-suite delta-sweep --range-start 10000 --range-end 50000 --range-step 10000   embedded S3
  run-suite delta-sweep --range-start 70k --range-end 250k --range-step 90k --services local \\
                        --autocommit-duration-ms 100 -- --warm-up 30s --record-size 100
  run-suite delta-sweep --range-start 10000 --range-end 30000 --range-step 10000 \\
                        --lake-path s3://bucket/sweep --s3-backend minio -- --endpoint-url URL

Each rate has a result folder, and delta-RATE.csv with its latencies per second: time_from_start in
seconds, p50, p75, p85, p95, p99 in milliseconds.";

const FILE_FORM: &str = "\
An experiment file:
  name = \"acks\"                          # names the folder of the results
  question = \"What do acks cost?\"        # one sentence
  tool = \"kafka-prodcon\"
  subcommand = \"fill\"                    # optional
  services = \"embedded\"                  # embedded | local | external
  repeats = 3                            # runs of each cell, default 1
  order = \"interleaved\"                  # interleaved (default) | grouped
  time_limit = \"60s\"                     # of a run, default 10m
  [options]                              # options of the tool in every cell; true for a flag,
  duration = \"10s\"                       # an array for an option that is given several times
  [matrix]                               # swept options: every combination is a cell
  acks = [0, 1, \"all\"]
  [[case]]                               # cells one by one; with [matrix], each at every point
  name = \"small\"                         # optional
  record-size = 100
  [then]                                 # a second tool, which reads what the first has sent
  tool = \"kin-db-consumer\"              # it gets --from-run
  [then.options]                         # swept as \"then.NAME\"
  drain-timeout = \"10s\"
  [[prepare]]                            # makes files once; options name their folder as {files}
  tool = \"kin-producer\"
  arguments = [\"books\", \"generate\", \"books.csv\"]
  [local]                                # the services that run-suite starts, all optional
  start = [\"kafka\"]                      # default: those that the tools use
  [local.kafka]                          # settings of a service, swept as \"local.kafka.NAME\"
  brokers = 3
  \"min.insync.replicas\" = 2
  [[fault]]                              # what breaks in every run, see docs/faults.md
  at = \"20s\"                             # after the start of its schedule
  kill = \"kafka-2\"                       # or stop, restart, network
  restart_after = \"5s\"

docs/experiment.schema.json has all keys, for editors. [lambda] stands for the settings of the function
that is started, kin-lambda or sql-lambda.

In the value of an option, {run} stands for a name that no other run has, of letters, digits and
underscores: topic = \"try-{run}\" gives each run a topic of its own.

Pass secrets to a tool by its environment or its properties file. Keep them out of the experiment file,
which is copied into the results.";

/// Runs whole experiments: every run is a process of its own, every result a folder
#[derive(Debug, Parser)]
#[command(version, after_long_help = EXAMPLES, arg_required_else_help = true)]
struct Options {
    #[command(subcommand)]
    command: Action,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    generate: GenerateArgs,
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
    #[command(after_help = FILE_FORM)]
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
    #[command(after_help = SWEEP_EXAMPLES)]
    Sweep(SweepArgs),
    /// Sweep the rate of a Delta Lake table that is used as a queue
    #[command(after_help = DELTA_SWEEP_EXAMPLES)]
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
    // A stack starts this program again as its embedded services.
    if let Some(code) = embedded::run_if_requested() {
        return code;
    }
    main_with(run_suite)
}

fn run_suite() -> Result<Exit> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == child::EXEC) {
        return Err(child::exec(arguments));
    }
    if generate::handle(Options::command())? {
        return Ok(Exit::Good);
    }
    let options: Options = arguments::parse()?;
    options.log.init();
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
            let summary = report(dir, options.output.output)?;
            Ok(verdict::exit_of(summary.statuses()))
        }
        Action::List { dir } => {
            output::print_text(&list::human(dir)?)?;
            Ok(Exit::Good)
        }
        Action::Services(action) => services::run(action, options.log, options.output.output),
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
    let mut progress = options.log.progress();
    tracing::info!("results in {}", dir.display());
    let is_reported = options.output.output == OutputFormat::Human;
    let result = suite::run_pending(dir, folders, shutdown, &mut progress, is_reported);
    progress.clear();
    result
        .with_context(|| format!("stopped; `run-suite resume {}` runs the rest", dir.display()))?;
    let summary = report(dir, options.output.output)?;
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
        OutputFormat::Csv => summary.csv()?,
    };
    output::print_result(format, &text)?;
    Ok(summary)
}
