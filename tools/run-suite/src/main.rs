//! `run-suite`: runs experiments made of the other tools, and summarises them.

mod file;
mod host;
mod plan;
mod run;
mod show;

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use bench_cli::quantity::duration_ns;
use bench_cli::{
    Exit, GenerateArgs, LogArgs, OutputArgs, OutputFormat, Shutdown, UsageError, arguments,
    generate, main_with, output,
};
use bench_core::results::ServiceOrigin;
use bench_core::system::cause;
use bench_services::embedded;
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::file::experiment::{self, Experiment, OptionValue};
use crate::file::fault;
use crate::file::owner::Owner;
use crate::host::services::{self, ServicesAction};
use crate::host::stack::LocalPlan;
use crate::plan::experiment_plan::{Estimate, Plan};
use crate::plan::sweep::SweepArgs;
use crate::plan::tools::Tools;
use crate::plan::{quick, sweep, tool};
use crate::run::folder::{ExperimentFolder, State, experiments_in};
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
  run-suite delta-sweep --range-start 10000 --range-end 50000 --range-step 10000
  run-suite services up kafka,mysql                 real servers, until `run-suite services down`

Exit codes, of `report` too: 0 all runs valid; 1 a run failed or cannot be read; 2 usage; 3 a run
INVALID or PARTIAL, none failed; 130 interrupted, or not all runs made";

const SWEEP_EXAMPLES: &str = "\
Examples:
  run-suite delta-sweep --range-start 10000 --range-end 50000 --range-step 10000   embedded S3
  run-suite delta-sweep --range-start 70k --range-end 250k --range-step 90k --services local \\
                        --autocommit-duration-ms 100 -- --warm-up 30s --record-size 100
  run-suite delta-sweep --range-start 10000 --range-end 30000 --range-step 10000 \\
                        --lake-path s3://bucket/sweep --s3-backend minio -- --endpoint-url URL

Each rate leaves a result folder, and delta-RATE.csv with its latencies second by second:
time_from_start in seconds, p50, p75, p85, p95, p99 in milliseconds.";

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
  tool = \"kin-db-consumer\"              # it gets --from-run; swept as \"then.NAME\"
  [then.options]
  drain-timeout = \"10s\"
  [[prepare]]                            # makes files once; options name their folder as {files}
  tool = \"kin-producer\"
  arguments = [\"books\", \"generate\", \"books.csv\"]
  [lambda]                               # the Lambda between the two; swept as \"lambda.NAME\"
  batch-size = 100
  [local]                                # what run-suite starts, all optional
  start = [\"kafka\"]                      # default: what the tools use
  brokers = 3
  [local.kafka]                          # settings of the brokers
  \"min.insync.replicas\" = 2
  [[fault]]                              # what is done in every run, see docs/faults.md
  at = \"20s\"                             # after the start of its schedule
  kill = \"kafka-2\"                       # or stop, restart, network
  restart_after = \"5s\"

In the value of an option, {run} stands for a name that no other run has: letters, digits and
underscores, for a topic, stream, table, group or folder of its own, such as topic = \"try-{run}\".

Secrets reach a tool by its environment or its properties file. They have no place in an experiment
file, which is copied into the results.";

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
    /// Run Kafka throughput and latency tests, a small sweep, a Delta table, and Kinesis into tables
    Quick {
        /// Where the broker comes from: the embedded one, a real one on this machine, or your own
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
        /// Other services than the file's: embedded, local, external
        #[arg(long, value_name = "WHICH", value_parser = services_origin)]
        services: Option<ServiceOrigin>,
        /// Folder for the results
        #[arg(long, value_name = "DIR", default_value = "results")]
        results_dir: PathBuf,
        /// Only list the runs in their order, with their command lines and the time they take
        #[arg(long)]
        dry_run: bool,
    },
    /// Measure a Delta Lake table used as a queue at one rate after another
    #[command(after_help = SWEEP_EXAMPLES)]
    DeltaSweep(SweepArgs),
    /// Run what an interrupted experiment has left; finished runs are kept
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
        /// Where they are
        #[arg(default_value = "experiments")]
        dir: PathBuf,
    },
    /// Start, list and stop real servers on this machine
    #[command(subcommand)]
    Services(ServicesAction),
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
            let mut quick = quick::create(results_dir, *services)?;
            let exit = execute(&quick.parent, &mut quick.folders, &shutdown()?, &options);
            for left_out in quick.left_out {
                tracing::warn!("{left_out}");
            }
            exit
        }
        Action::Run { file, services, dry_run: true, .. } => {
            let (_, plan) = read_plan(file, *services)?;
            output::print_text(&dry_run(&plan))?;
            Ok(Exit::Good)
        }
        Action::Run { file, services, results_dir, .. } => {
            let (text, plan) = read_plan(file, *services)?;
            let folder = ExperimentFolder::create(results_dir, &text, plan)?;
            let dir = folder.path().to_path_buf();
            execute(&dir, &mut [folder], &shutdown()?, &options)
        }
        Action::DeltaSweep(args) => {
            let (text, plan) = sweep::planned(args)?;
            if args.dry_run {
                output::print_text(&dry_run(&plan))?;
                return Ok(Exit::Good);
            }
            let folder = ExperimentFolder::create(&args.results_dir, &text, plan)?;
            let dir = folder.path().to_path_buf();
            execute(&dir, &mut [folder], &shutdown()?, &options)
        }
        Action::Resume { dir } => {
            let folders = experiments_in(dir)?;
            for folder in &folders {
                let checked = State::load(folder)?.plan.check();
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
        Action::Services(action) => services::carry_out(action, options.log, options.output.output),
    }
}

fn shutdown() -> Result<Shutdown> {
    Shutdown::install().context("failed to listen for signals")
}

/// Runs what is pending in the experiments of `dir` and reports on all of them.
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

fn services_origin(text: &str) -> Result<ServiceOrigin, &'static str> {
    ServiceOrigin::ALL
        .into_iter()
        .find(|origin| origin.to_string() == text)
        .ok_or("not one of embedded, local, external")
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

/// Reads an experiment file, which may come through a pipe, but not without an end.
fn read_experiment(file: &Path) -> std::io::Result<String> {
    const BYTES_MAX: u64 = 16 << 20;
    let mut text = String::new();
    std::fs::File::open(file)?.take(BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > BYTES_MAX {
        return Err(std::io::Error::other("it has more than 16 MiB"));
    }
    Ok(text)
}

fn read_plan(file: &Path, services: Option<ServiceOrigin>) -> Result<(String, Plan)> {
    let text = read_experiment(file).map_err(|error| {
        UsageError::new(
            &file.display().to_string(),
            format!("cannot be read: {}", cause(&error)),
            "`run-suite list` shows the experiment files in ./experiments",
        )
    })?;
    planned(text, services).with_context(|| format!("failed to plan {}", file.display()))
}

/// An experiment file with other services than its own, if there are to be others, and its plan.
fn planned(text: String, services: Option<ServiceOrigin>) -> Result<(String, Plan)> {
    let text = match services {
        Some(services) => experiment::with_services(&text, services),
        None => text,
    };
    let plan = plan_file(&text)?;
    Ok((text, plan))
}

/// Reads an experiment file, checks its options with its tool, and plans its runs.
fn plan_file(text: &str) -> Result<Plan> {
    let mut experiment = Experiment::parse(text)?;
    refuse_environment(&experiment, ServiceOrigin::requested())?;
    let then = experiment.then.clone();
    let tools = Tools::find(&experiment.tool, then.as_ref())?;
    let subcommand = experiment.subcommand.clone();
    tools.check_calls(subcommand.as_deref(), then.as_ref())?;
    experiment.rename_options(|place, name, value| {
        tools.canonical_option(subcommand.as_deref(), then.as_ref(), (place, name), value)
    })?;
    let local = LocalPlan::new(&experiment, &tools)?;
    let killed = fault::kill_consumer_values(&experiment.faults);
    if !killed.is_empty() {
        tools.first.check_fault(subcommand.as_deref(), "kill", fault::KILL_CONSUMER)?;
        experiment.options.push((fault::KILL_CONSUMER.to_owned(), OptionValue::Many(killed)));
    }
    Ok(Plan { local, ..Plan::new(&experiment)? })
}

/// Refuses an experiment on services of the user's own in a shell that means those of
/// `run-suite services`, unless the file itself names a server.
fn refuse_environment(
    experiment: &Experiment,
    requested: Option<ServiceOrigin>,
) -> Result<(), UsageError> {
    const NAMING: [&str; 6] =
        ["bootstrap-servers", "endpoint-url", "mysql-url", "connect-url", "lake-path", "bucket"];
    let is_named = |name: &String| {
        let name = Owner::of(name).1.replace('_', "-");
        NAMING.contains(&name.as_str()) || name == "bootstrap-server"
    };
    let other = requested.filter(|requested| *requested != ServiceOrigin::External);
    let Some(other) = other.filter(|_| experiment.services == ServiceOrigin::External) else {
        return Ok(());
    };
    if experiment.option_names().any(is_named) {
        return Ok(());
    }
    Err(UsageError::new(
        ServiceOrigin::VARIABLE,
        format!(
            "this shell has it set to {other}, as `run-suite services env` does, and the experiment \
             asks for external services"
        ),
        "use a new shell, `unset BENCH_SERVICES BENCH_STACK` and the variables of those servers, or \
         give --services local",
    ))
}

/// The runs of a plan in their order, with their command lines.
fn dry_run(plan: &Plan) -> String {
    let mut text = format!("{}: {}\n\n", plan.name, plan.question);
    let folder = Path::new("RESULTS").join(&plan.name);
    if !plan.prepare.is_empty() {
        let _ = writeln!(text, "first:");
    }
    for prepare in &plan.prepare {
        let _ = writeln!(text, "      {}", prepare.command_line());
    }
    for (index, run) in plan.runs.iter().enumerate() {
        let _ = writeln!(text, "{:>4}  {}", index + 1, plan.run_label(*run));
        for invoked in std::iter::once(plan.first(*run, &folder)).chain(plan.second(*run, &folder))
        {
            let command = tool::command_line(invoked.tool, &invoked.arguments);
            let _ = writeln!(text, "      {command}");
        }
    }
    if !plan.faults.is_empty() {
        let _ = writeln!(text, "\nin every run:");
    }
    for fault in &plan.faults {
        let _ = writeln!(text, "  {fault}");
    }
    let _ = write!(text, "\n{}\n", estimate(plan));
    text
}

fn estimate(plan: &Plan) -> String {
    let Estimate { known, unknown_runs, at_most } = plan.estimate();
    let runs = plan.runs.len();
    let shown = |time: Duration| duration_ns(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    if unknown_runs == 0 {
        format!("{runs} runs, about {} and what starting and draining take", shown(known))
    } else {
        format!(
            "{runs} runs; {unknown_runs} of them do not tell their time, the time limits allow {}",
            shown(at_most)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_of_other_services_is_named_with_the_way_out() {
        let experiment = |services: &str, options: &str| {
            let head = "name = \"e\"\nquestion = \"?\"\ntool = \"t\"\n";
            let text = format!("{head}services = \"{services}\"\n[options]\n{options}");
            Experiment::parse(&text).expect("parsed")
        };
        let local = Some(ServiceOrigin::Local);
        let error = refuse_environment(&experiment("external", ""), local).expect_err("refused");
        let error = error.to_string();
        assert!(error.starts_with("BENCH_SERVICES: ") && error.contains("unset "), "{error}");
        for (services, options, requested) in [
            ("local", "", local),
            ("external", "", None),
            ("external", "", Some(ServiceOrigin::External)),
            ("external", "bootstrap-servers = \"b:9092\"", local),
        ] {
            let experiment = experiment(services, options);
            refuse_environment(&experiment, requested).expect("nothing is in the way");
        }
    }
}
