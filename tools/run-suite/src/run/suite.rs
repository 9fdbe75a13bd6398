//! The pending runs of experiments, one after another.

use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use bench_cli::live::Live;
use bench_cli::{Progress, Shutdown, has_colours};
use bench_core::system::cause;
use bench_record::files::create_new;
use bench_record::{RunDocument, mark_faults};
use bench_stack::interruptible;

use super::analysis;
use super::child::{self, Cause, Ended, Invocation};
use super::early_failure::EarlyFailure;
use super::enough::is_enough;
use super::folder::{ExperimentFolder, State, log_path};
use super::gate_watch::GateWatch;
use super::key_figures::key_figures;
use super::live::{Board, Now, Trouble};
use super::metrics::SuiteMetrics;
use super::run_files::{ToolFiles, read_document};
use super::run_state::RunStatus;
use super::verdict::{Judgement, judge_ended, wrong_services};
use super::{gates, prepare};
use crate::host::fault_driver::{FaultDriver, FaultOutcome};
use crate::host::fault_targets::FaultTargets;
use crate::host::stack::ExperimentStack;
use crate::host::tool_process::ToolProcess;
use crate::plan::cells::Cell;
use crate::plan::experiment_plan::{Invoked, Plan};
use crate::plan::tool::Tool;
use crate::plan::tools::Tools;

/// Runs all pending runs in `folders`, until they are done or a shutdown is requested. Their services
/// live in `dir` meanwhile.
pub(crate) fn run_pending(
    dir: &Path,
    folders: &mut [ExperimentFolder],
    shutdown: &Shutdown,
    progress: &mut Progress,
    watched: Watched<'_>,
) -> Result<()> {
    let mut stack = ExperimentStack::in_folder(dir, shutdown, progress)?;
    let result = run_on(&mut stack, folders, shutdown, progress, watched);
    stack.stop(progress)?;
    if let Some(metrics) = watched.metrics {
        metrics.end();
        metrics.keep(dir);
    }
    result
}

fn run_on(
    stack: &mut ExperimentStack,
    folders: &mut [ExperimentFolder],
    shutdown: &Shutdown,
    progress: &mut Progress,
    watched: Watched<'_>,
) -> Result<()> {
    let all: usize = folders.iter().map(|folder| folder.state().runs.len()).sum();
    let mut position = 0;
    for place in 0..folders.len() {
        let plan = &folders[place].state().plan;
        let tools = Tools::find(&plan.tool, plan.then.as_ref())?;
        if !shutdown.is_requested() {
            prepare::make_files(&folders[place], shutdown)?;
        }
        for index in 0..folders[place].state().runs.len() {
            position += 1;
            watched.count(folders);
            let folder = &mut folders[place];
            if folder.state().runs[index].status != RunStatus::Pending {
                continue;
            }
            if shutdown.is_requested() {
                return Ok(());
            }
            if is_enough(folder.path(), folder.state(), index) {
                folder.leave_rest(index)?;
                let repeats = folder.state().plan.runs[index].repeat - 1;
                print_line(progress, &format!("{repeats} repeats are enough"));
                break;
            }
            let title = title(&folder.state().plan, index, position, all);
            let run = PendingRun {
                state: folder.state().clone(),
                index,
                board: Board::new(title.clone(), folder.state(), index),
                title,
                tools: &tools,
                watched,
            };
            run.run(stack, folder, shutdown, progress)?;
            if let Some(metrics) = watched.metrics {
                metrics.end();
            }
            if gates::is_hopeless(folder.path(), folder.state()) {
                folder.leave_rest(index + 1)?;
                tracing::warn!("a gate has failed: the rest of {} is left out", folder.name());
                break;
            }
        }
    }
    watched.count(folders);
    Ok(())
}

/// Who learns what becomes of the runs.
#[derive(Clone, Copy)]
pub(crate) struct Watched<'a> {
    /// Whether a report for people follows, which has the reasons of failed runs.
    pub(crate) is_reported: bool,
    pub(crate) metrics: Option<&'a SuiteMetrics>,
}

impl Watched<'_> {
    /// Takes how far the experiments have come.
    fn count(self, folders: &[ExperimentFolder]) {
        if let Some(metrics) = self.metrics {
            metrics.count(folders.iter().map(ExperimentFolder::state));
        }
    }
}

/// A run that has not been made.
struct PendingRun<'a> {
    /// The experiment before it.
    state: State,
    /// Its index in the plan.
    index: usize,
    /// Its name in progress and logs.
    title: String,
    /// The runs before and after it.
    board: Board,
    tools: &'a Tools,
    watched: Watched<'a>,
}

/// One of its tools, with all that its process needs.
struct ToolRun<'a> {
    tool: &'a Tool,
    /// Whether it runs after the first.
    is_second: bool,
    cell: &'a Cell,
    invoked: Invoked<'a>,
    plan: &'a Plan,
    experiment_dir: &'a Path,
    environment: Vec<(String, String)>,
    limit: Duration,
    lock: &'a File,
}

/// How the run of a tool ended.
struct ToolOutcome {
    exit_code: Option<i32>,
    files: ToolFiles,
    judgement: Judgement,
    /// The gate that it failed before its end.
    failed_gate: Option<EarlyFailure>,
}

impl PendingRun<'_> {
    fn run(
        &self,
        stack: &mut ExperimentStack,
        folder: &mut ExperimentFolder,
        shutdown: &Shutdown,
        progress: &mut Progress,
    ) -> Result<()> {
        let plan = &self.state.plan;
        let run = plan.runs[self.index];
        let targets = match &plan.stack {
            Some(wanted) => {
                let settings = plan.cells[run.cell].service_settings();
                match stack.provide(wanted, &settings, progress) {
                    Err(_) if shutdown.is_requested() => return Ok(()),
                    provided => provided?,
                }
            }
            None => FaultTargets::default(),
        };
        if shutdown.is_requested() {
            return Ok(());
        }
        targets.check(&plan.faults)?;
        let mut environment = plan.cells[run.cell].environment();
        environment.extend(targets.environment());
        folder.begin(self.index)?;
        if let Some(metrics) = self.watched.metrics {
            metrics.begin(&self.state, self.index);
        }
        let started = Instant::now();
        let tool_run = |tool, is_second, invoked, limit| ToolRun {
            cell: &plan.cells[run.cell],
            tool,
            is_second,
            invoked,
            plan,
            experiment_dir: folder.path(),
            environment: environment.clone(),
            limit,
            lock: folder.lock(),
        };
        let invoked = plan.first(run, folder.path());
        let first = tool_run(&self.tools.first, false, invoked, plan.time_limit());
        let mut outcome = self.run_with_faults(&first, targets, shutdown, progress)?;
        let mut wrong = outcome.wrong_services(plan);
        if let Some((tool, invoked)) = self.tools.then.as_ref().zip(plan.second(run, folder.path()))
        {
            outcome.judgement = outcome.judgement.of_tool(&plan.tool);
            if outcome.judgement.status.is_ended() && shutdown.is_requested() {
                outcome.judgement = outcome.judgement.and(Judgement::interrupted());
            } else if outcome.judgement.status.is_ended() {
                let left = plan.time_limit().saturating_sub(started.elapsed());
                let second = tool_run(tool, true, invoked, left);
                outcome = outcome.and(self.run_second(&second, shutdown, progress)?);
                wrong = wrong.or(outcome.wrong_services(plan));
            }
        }
        progress.clear();
        // The error that ends run-suite has the reason.
        if wrong.is_none() {
            self.announce(&outcome, progress);
        }
        folder.end(self.index, outcome.exit_code, outcome.judgement, outcome.failed_gate)?;
        keep_analyses(folder, self.index);
        match wrong {
            Some(problem) => bail!("{}: {problem}", self.title),
            None => Ok(()),
        }
    }

    /// Runs the tool, and its faults at the same time.
    fn run_with_faults(
        &self,
        run: &ToolRun<'_>,
        targets: FaultTargets<'_>,
        shutdown: &Shutdown,
        progress: &mut Progress,
    ) -> Result<ToolOutcome> {
        let process = ToolProcess::default();
        let faults = &run.plan.faults;
        let run_dir = run.invoked.run_dir.clone();
        let (ended, done) = if faults.is_empty() {
            let done = FaultOutcome { warnings: targets.warnings(), ..FaultOutcome::default() };
            (self.run_tool(run, &process, shutdown, progress)?, done)
        } else {
            thread::scope(|scope| {
                let schedule = || read_document(&run_dir).ok()?.schedule;
                let driver = FaultDriver { faults, schedule, tool: &process, targets };
                let flag = shutdown.flag();
                let driver = scope.spawn(move || interruptible(&flag, || driver.run()));
                let ended = self.run_tool(run, &process, shutdown, progress);
                process.end();
                let done = driver.join().map_err(|_| anyhow!("the thread of the faults failed"))?;
                Ok::<_, anyhow::Error>((ended?, done))
            })?
        };
        let unfit = done.problem.clone();
        let unfit = unfit.or(enter_faults(&run_dir, done));
        let outcome = ToolOutcome::of(&ended, run);
        Ok(ToolOutcome { judgement: outcome.judgement.with_faults(unfit), ..outcome })
    }

    /// Reports the end of the run, with the reason of a failure unless a report follows.
    fn announce(&self, outcome: &ToolOutcome, progress: &Progress) {
        let Judgement { status, problem } = &outcome.judgement;
        match problem {
            None => print_line(
                progress,
                &format!("{}: {}", self.title, key_figures(outcome.document())),
            ),
            Some(_) if self.watched.is_reported => {
                print_line(progress, &format!("{}: {}", self.title, status.word()));
            }
            Some(problem) => tracing::warn!("{}: {problem}", self.title),
        }
    }

    /// Runs the tool that comes after the first.
    fn run_second(
        &self,
        run: &ToolRun<'_>,
        shutdown: &Shutdown,
        progress: &mut Progress,
    ) -> Result<ToolOutcome> {
        let ended = self.run_tool(run, &ToolProcess::default(), shutdown, progress)?;
        let outcome = ToolOutcome::of(&ended, run);
        Ok(ToolOutcome { judgement: outcome.judgement.of_tool(run.tool.name()), ..outcome })
    }

    fn run_tool(
        &self,
        run: &ToolRun<'_>,
        process: &ToolProcess,
        shutdown: &Shutdown,
        progress: &mut Progress,
    ) -> Result<Ended> {
        let Invoked { arguments, run_dir, expected, .. } = &run.invoked;
        let log = log_path(run_dir);
        let log =
            create_new(&log).with_context(|| format!("failed to create {}", log.display()))?;
        let of_expected =
            expected.map(|time| format!(" of {} s", time.as_secs())).unwrap_or_default();
        let has_colours = has_colours();
        let title = match &self.tools.then {
            Some(_) => format!("{} {}", self.title, run.tool.name()),
            None => self.title.clone(),
        };
        let mut live = Live::new(run_dir);
        let mut trouble = Trouble::default();
        let mut watch = GateWatch::new(&self.state, self.index, run.is_second, run_dir, *expected);
        let build = run.cell.build(run.tool.name());
        child::run(
            Invocation {
                executable: build.as_deref().unwrap_or(run.tool.executable()),
                arguments,
                services: run.plan.services,
                environment: run.environment.clone(),
                current_dir: None,
                output: None,
                log,
                lock: run.lock,
            },
            process,
            run.limit,
            |elapsed| {
                let interruption = shutdown.is_requested().then_some(Cause::Interruption);
                interruption.or_else(|| watch.look(elapsed).map(Cause::Gate))
            },
            |elapsed: Duration| {
                if let Some(metrics) = self.watched.metrics {
                    metrics.update(elapsed, live.rows().last());
                }
                let Some(size) = progress.size() else { return };
                let rows = live.rows();
                let flags = trouble.of(elapsed, rows);
                let now = Now { elapsed, expected: *expected, rows, flags };
                if let Some(lines) = self.board.lines(size, &now, has_colours) {
                    progress.draw(&lines);
                } else {
                    let (elapsed_s, figures) = (elapsed.as_secs(), live.figures());
                    progress.update(&format!("{title}: {elapsed_s} s{of_expected}  {figures}"));
                }
            },
        )
    }
}

impl ToolOutcome {
    /// The outcome of a tool that has ended.
    fn of(ended: &Ended, run: &ToolRun<'_>) -> Self {
        let run_dir = &run.invoked.run_dir;
        let place = run_dir.strip_prefix(run.experiment_dir).unwrap_or(run_dir);
        let files = ToolFiles::read(run_dir.clone(), run.invoked.tool, place, None);
        let judgement = judge_ended(ended, &files, run.plan, &log_path(run_dir));
        let failed_gate = match &ended.cause {
            Cause::Gate(failure) if judgement.status == RunStatus::GateFailed => {
                Some(failure.clone())
            }
            _ => None,
        };
        Self { exit_code: ended.status.code(), files, judgement, failed_gate }
    }

    /// The outcome of two tools: the files of the second, and the exit code of the worse.
    fn and(self, second: Self) -> Self {
        let is_second = second.judgement.status.weight() > self.judgement.status.weight();
        Self {
            exit_code: if is_second { second.exit_code } else { self.exit_code },
            files: second.files,
            judgement: self.judgement.and(second.judgement),
            failed_gate: self.failed_gate.or(second.failed_gate),
        }
    }

    fn document(&self) -> Option<&RunDocument> {
        self.files.document.as_ref().ok()
    }

    fn wrong_services(&self, plan: &Plan) -> Option<String> {
        wrong_services(self.document()?, plan)
    }
}

/// Enters the faults into the results of a run. Returns why that failed, if there were any: a tool that
/// failed may have left no results, and then its own verdict counts for more.
fn enter_faults(run_dir: &Path, faults: FaultOutcome) -> Option<String> {
    let has_faults = !faults.records.is_empty();
    if !has_faults && faults.warnings.is_empty() {
        return None;
    }
    let error = mark_faults(run_dir, faults.records, faults.warnings).err()?;
    let error = cause(&error);
    let problem = format!("failed to enter the faults into {}: {error}", run_dir.display());
    tracing::warn!("{problem}");
    has_faults.then_some(problem)
}

/// Keeps the analysis of each tool's run in its folder. Where that fails, reports make it themselves.
fn keep_analyses(folder: &ExperimentFolder, index: usize) {
    let files = folder.state().files(index, folder.path());
    for tool in files.tools() {
        let Ok(document) = &tool.document else { continue };
        if let Err(error) = analysis::keep(&tool.dir, document) {
            tracing::debug!("failed to keep the analysis in {}: {error}", tool.dir.display());
        }
    }
}

fn title(plan: &Plan, index: usize, position: usize, all: usize) -> String {
    let label = plan.run_label(plan.runs[index]);
    let name = if label.starts_with(&plan.name) { "" } else { &format!("{} ", plan.name) };
    format!("[{position}/{all}] {name}{label}")
}

/// Prints a line above the progress.
fn print_line(progress: &Progress, line: &str) {
    progress.print_line(line);
    tracing::debug!("{line}");
}
