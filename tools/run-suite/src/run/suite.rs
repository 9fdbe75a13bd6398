//! Runs what is pending in experiments, one run after another.

use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use bench_cli::quantity::{duration_ns, rate};
use bench_cli::{Progress, Shutdown};
use bench_core::results::{RunDocument, mark_faults};
use bench_core::system::{cause, create_new};
use bench_services::local::interruptible;

use crate::host::fault_driver::{Driver, FaultOutcome};
use crate::host::fault_targets::Site;
use crate::host::stack::LocalServices;
use crate::plan::experiment_plan::{Invoked, Plan};
use crate::plan::sweep;
use crate::plan::tool::Tool;
use crate::plan::tools::Tools;
use crate::run::child::{self, Ended, Invocation, ToolProcess};
use crate::run::folder::{ExperimentFolder, log_path};
use crate::run::live::Live;
use crate::run::prepare;
use crate::run::run_files::ToolFiles;
use crate::run::verdict::{Judgement, RunStatus, judge_ended, wrong_services};
use crate::show::summary::{sampled, throughput_msg_per_s};
use crate::show::text::bound;

/// Runs what is pending in all `folders`, until it is done or a shutdown is requested. Local services
/// stand in `dir` meanwhile. `is_reported` where people read the reasons of failed runs in the report
/// that follows.
pub(crate) fn run_pending(
    dir: &Path,
    folders: &mut [ExperimentFolder],
    shutdown: &Shutdown,
    progress: &mut Progress,
    is_reported: bool,
) -> Result<()> {
    let mut local = LocalServices::in_folder(dir, shutdown, progress)?;
    let result = run_on(&mut local, folders, shutdown, progress, is_reported);
    local.stop(progress)?;
    result
}

fn run_on(
    local: &mut LocalServices,
    folders: &mut [ExperimentFolder],
    shutdown: &Shutdown,
    progress: &mut Progress,
    is_reported: bool,
) -> Result<()> {
    let all: usize = folders.iter().map(|folder| folder.state().runs.len()).sum();
    let mut position = 0;
    for folder in folders {
        let plan = &folder.state().plan;
        let tools = Tools::find(&plan.tool, plan.then.as_ref())?;
        if !shutdown.is_requested() {
            prepare::make_files(folder, shutdown)?;
        }
        for index in 0..folder.state().runs.len() {
            position += 1;
            if folder.state().runs[index].status != RunStatus::Pending {
                continue;
            }
            if shutdown.is_requested() {
                return Ok(());
            }
            let step = Step {
                index,
                title: title(&folder.state().plan, index, position, all),
                tools: &tools,
                is_reported,
            };
            step.run(local, folder, shutdown, progress)?;
        }
    }
    Ok(())
}

/// One run that is to be made.
struct Step<'a> {
    /// Its index in the plan.
    index: usize,
    /// What progress and logs call it.
    title: String,
    tools: &'a Tools,
    /// Whether the report gives the reason of a failure.
    is_reported: bool,
}

/// One of its tools, and what it is run with.
struct ToolRun<'a> {
    tool: &'a Tool,
    invoked: Invoked<'a>,
    plan: &'a Plan,
    experiment_dir: &'a Path,
    environment: Vec<(String, String)>,
    limit: Duration,
    lock: &'a File,
}

/// How the run of a tool ended.
struct Outcome {
    exit_code: Option<i32>,
    files: ToolFiles,
    judgement: Judgement,
}

impl Step<'_> {
    fn run(
        &self,
        local: &mut LocalServices,
        folder: &mut ExperimentFolder,
        shutdown: &Shutdown,
        progress: &mut Progress,
    ) -> Result<()> {
        let plan = folder.state().plan.clone();
        let run = plan.runs[self.index];
        let site = match &plan.local {
            Some(wanted) => match local.provide(wanted, &plan.cells[run.cell].lambda, progress) {
                Err(_) if shutdown.is_requested() => return Ok(()),
                provided => provided?,
            },
            None => Site::default(),
        };
        if shutdown.is_requested() {
            return Ok(());
        }
        site.check(&plan.faults)?;
        let environment = site.environment();
        folder.begin(self.index)?;
        let started = Instant::now();
        let tool_run = |tool, invoked, limit| ToolRun {
            tool,
            invoked,
            plan: &plan,
            experiment_dir: folder.path(),
            environment: environment.clone(),
            limit,
            lock: folder.lock(),
        };
        let first = tool_run(&self.tools.first, plan.first(run, folder.path()), plan.time_limit());
        let mut outcome = self.run_with_faults(&first, site, shutdown, progress)?;
        let mut wrong = outcome.wrong_services(&plan);
        if let Some((tool, invoked)) = self.tools.then.as_ref().zip(plan.second(run, folder.path()))
        {
            outcome.judgement = outcome.judgement.of_tool(&plan.tool);
            if outcome.judgement.status.is_ended() && shutdown.is_requested() {
                outcome.judgement = outcome.judgement.and(Judgement::interrupted());
            } else if outcome.judgement.status.is_ended() {
                let left = plan.time_limit().saturating_sub(started.elapsed());
                let second = tool_run(tool, invoked, left);
                outcome = outcome.and(self.run_second(&second, shutdown, progress)?);
                wrong = wrong.or(outcome.wrong_services(&plan));
            }
        }
        progress.clear();
        // What ends run-suite is told by its error.
        if wrong.is_none() {
            self.tell(&outcome, progress);
        }
        let (status, run_dir) = (outcome.judgement.status, first.invoked.run_dir.clone());
        folder.end(self.index, outcome.exit_code, outcome.judgement)?;
        if let Some(latencies_dir) = plan.latencies_dir.as_ref().filter(|_| status.is_over()) {
            let cell = &plan.cells[run.cell];
            let document = outcome.files.document.as_ref().ok();
            // The result folder has all of it still.
            if let Err(error) = sweep::export(latencies_dir, cell, &run_dir, status, document) {
                tracing::warn!("{}: {error:#}", self.title);
            }
        }
        match wrong {
            Some(problem) => bail!("{}: {problem}", self.title),
            None => Ok(()),
        }
    }

    /// Runs the tool, and beside it what carries out the faults.
    fn run_with_faults(
        &self,
        run: &ToolRun<'_>,
        site: Site<'_>,
        shutdown: &Shutdown,
        progress: &mut Progress,
    ) -> Result<Outcome> {
        let process = ToolProcess::default();
        let faults = &run.plan.faults;
        let run_dir = run.invoked.run_dir.clone();
        let (ended, done) = if faults.is_empty() {
            let done = FaultOutcome { warnings: site.warnings(), ..FaultOutcome::default() };
            (self.run_tool(run, &process, shutdown, progress)?, done)
        } else {
            thread::scope(|scope| {
                let driver = Driver { faults, run_dir: &run_dir, tool: &process, site };
                let flag = shutdown.flag();
                let driver = scope.spawn(move || interruptible(&flag, || driver.carry_out()));
                let ended = self.run_tool(run, &process, shutdown, progress);
                process.end();
                let done = driver.join().map_err(|_| anyhow!("the thread of the faults failed"))?;
                Ok::<_, anyhow::Error>((ended?, done))
            })?
        };
        let unfit = done.problem.clone();
        let unfit = unfit.or(enter_faults(&run_dir, done));
        let outcome = Outcome::of(&ended, run);
        Ok(Outcome { judgement: outcome.judgement.with_faults(unfit), ..outcome })
    }

    /// Tells what became of the run, and why it failed if nothing else does.
    fn tell(&self, outcome: &Outcome, progress: &Progress) {
        let Judgement { status, problem } = &outcome.judgement;
        match problem {
            None => say(progress, &format!("{}: {}", self.title, figures(outcome.document()))),
            Some(_) if self.is_reported => {
                say(progress, &format!("{}: {}", self.title, status.word()));
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
    ) -> Result<Outcome> {
        let ended = self.run_tool(run, &ToolProcess::default(), shutdown, progress)?;
        let outcome = Outcome::of(&ended, run);
        Ok(Outcome { judgement: outcome.judgement.of_tool(run.tool.name()), ..outcome })
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
        let expected = expected.map(|time| format!(" of {} s", time.as_secs())).unwrap_or_default();
        let title = match &self.tools.then {
            Some(_) => format!("{} {}", self.title, run.tool.name()),
            None => self.title.clone(),
        };
        let mut live = Live::new(run_dir);
        child::run(
            Invocation {
                executable: run.tool.executable(),
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
            || shutdown.is_requested(),
            |elapsed: Duration| {
                if progress.is_visible() {
                    let (elapsed_s, figures) = (elapsed.as_secs(), live.figures());
                    progress.update(&format!("{title}: {elapsed_s} s{expected}  {figures}"));
                }
            },
        )
    }
}

impl Outcome {
    /// What a tool has left.
    fn of(ended: &Ended, run: &ToolRun<'_>) -> Self {
        let run_dir = &run.invoked.run_dir;
        // Where it is depends on nothing else here: it has just been made.
        let place = run_dir.strip_prefix(run.experiment_dir).unwrap_or(run_dir);
        let files = ToolFiles::read(run_dir.clone(), run.invoked.tool, place, None);
        let judgement = judge_ended(ended, &files, run.plan, &log_path(run_dir));
        Self { exit_code: ended.status.code(), files, judgement }
    }

    /// What two tools have left: the figures of the second, and the exit code of the worse.
    fn and(self, second: Self) -> Self {
        let is_second = second.judgement.status.weight() > self.judgement.status.weight();
        Self {
            exit_code: if is_second { second.exit_code } else { self.exit_code },
            files: second.files,
            judgement: self.judgement.and(second.judgement),
        }
    }

    fn document(&self) -> Option<&RunDocument> {
        self.files.document.as_ref().ok()
    }

    fn wrong_services(&self, plan: &Plan) -> Option<String> {
        wrong_services(self.document()?, plan)
    }
}

/// Enters into the run's folder what was done; says why its results do not show its faults. A tool
/// that failed may have left nothing to enter them into, and its own verdict counts for more.
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

fn title(plan: &Plan, index: usize, position: usize, all: usize) -> String {
    let label = plan.run_label(plan.runs[index]);
    let name = if label.starts_with(&plan.name) { "" } else { &format!("{} ", plan.name) };
    format!("[{position}/{all}] {name}{label}")
}

/// A line that stays, for whoever watches the progress.
fn say(progress: &Progress, line: &str) {
    progress.print_line(line);
    tracing::debug!("{line}");
}

/// The key figures of a run in a line.
fn figures(document: Option<&RunDocument>) -> String {
    let Some(summary) = document.and_then(|document| document.summary.as_ref()) else {
        return "done".to_owned();
    };
    let throughput = throughput_msg_per_s(summary).map(rate);
    let latency = sampled(summary.end_to_end_latency.as_ref());
    let latency = latency.map(|latency| {
        let p99 = bound(latency.is_lower_bound(latency.p99_ns), duration_ns(latency.p99_ns));
        format!("end-to-end p99 {p99}")
    });
    let figures: Vec<String> = [throughput, latency].into_iter().flatten().collect();
    if figures.is_empty() { "done, without figures".to_owned() } else { figures.join(", ") }
}
