//! Runs what is pending in experiments, one run after another.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bench_cli::quantity::{duration_ns, rate};
use bench_cli::{Progress, Shutdown};
use bench_core::results::{RunDocument, mark_faults};

use crate::child::{self, Ended, Invocation, ToolProcess};
use crate::faults::{Driver, Outcome, Site};
use crate::folder::{ExperimentFolder, log_path, read_document};
use crate::live::Live;
use crate::local::LocalServices;
use crate::plan::{Plan, expected};
use crate::tool::{Tool, arguments};
use crate::verdict::{RunStatus, judge, wrong_services};

/// Runs what is pending in all `folders`, until it is done or a shutdown is requested. Local services
/// stand in `dir` meanwhile.
pub(crate) fn run_pending(
    dir: &Path,
    folders: &mut [ExperimentFolder],
    shutdown: &Shutdown,
    progress: &mut Progress,
) -> Result<()> {
    let mut local = LocalServices::in_folder(dir, progress)?;
    let result = run_on(&mut local, folders, shutdown, progress);
    local.stop(progress)?;
    result
}

fn run_on(
    local: &mut LocalServices,
    folders: &mut [ExperimentFolder],
    shutdown: &Shutdown,
    progress: &mut Progress,
) -> Result<()> {
    let all: usize = folders.iter().map(|folder| folder.state().runs.len()).sum();
    let mut position = 0;
    for folder in folders {
        let tool = Tool::find(&folder.state().plan.tool)?;
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
                executable: tool.executable(),
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
    executable: &'a Path,
}

/// How the tool is run.
struct ToolRun<'a> {
    plan: &'a Plan,
    environment: Vec<(String, String)>,
    run_dir: &'a Path,
    lock: &'a File,
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
        let site = match &plan.local {
            Some(wanted) => local.provide(wanted, progress)?,
            None => Site::default(),
        };
        if shutdown.is_requested() {
            return Ok(());
        }
        site.check(&plan.faults)?;
        let environment = site.environment();
        let run_dir = folder.begin(self.index)?;
        let run = ToolRun { plan: &plan, environment, run_dir: &run_dir, lock: folder.lock() };
        let (ended, faults) = self.run_with_faults(run, site, shutdown, progress)?;
        let unfit = faults.problem.clone();
        enter_faults(&run_dir, faults);
        let document = read_document(&run_dir);
        let services = folder.state().plan.services;
        let judgement = judge(&ended, document.as_ref(), services, &log_path(&run_dir));
        let judgement = judgement.with_faults(unfit);
        progress.clear();
        match &judgement.problem {
            None => say(progress, &format!("{}: {}", self.title, figures(document.as_ref()))),
            Some(problem) => tracing::warn!("{}: {problem}", self.title),
        }
        folder.end(self.index, ended.status.code(), judgement)?;
        match document.ok().and_then(|document| wrong_services(&document, services)) {
            Some(problem) => bail!("{}: {problem}", self.title),
            None => Ok(()),
        }
    }

    /// Runs the tool, and beside it what carries out the faults.
    fn run_with_faults(
        &self,
        run: ToolRun<'_>,
        site: Site<'_>,
        shutdown: &Shutdown,
        progress: &mut Progress,
    ) -> Result<(Ended, Outcome)> {
        let process = ToolProcess::default();
        let ToolRun { plan: Plan { faults, .. }, run_dir, .. } = run;
        if faults.is_empty() {
            let outcome = Outcome { warnings: site.warnings(), ..Outcome::default() };
            return Ok((self.run_tool(run, &process, shutdown, progress)?, outcome));
        }
        thread::scope(|scope| {
            let driver = Driver { faults, run_dir, tool: &process, site };
            let driver = scope.spawn(|| driver.carry_out());
            let ended = self.run_tool(run, &process, shutdown, progress);
            process.end();
            let outcome = driver.join().map_err(|_| anyhow!("the thread of the faults failed"))?;
            Ok((ended?, outcome))
        })
    }

    fn run_tool(
        &self,
        run: ToolRun<'_>,
        process: &ToolProcess,
        shutdown: &Shutdown,
        progress: &mut Progress,
    ) -> Result<Ended> {
        let ToolRun { plan, environment, run_dir, lock } = run;
        let options = &plan.cells[plan.runs[self.index].cell].options;
        let log = log_path(run_dir);
        let log =
            File::create(&log).with_context(|| format!("failed to create {}", log.display()))?;
        let expected = expected(options).map(|time| format!(" of {} s", time.as_secs()));
        let expected = expected.unwrap_or_default();
        let mut live = Live::new(run_dir);
        child::run(
            Invocation {
                executable: self.executable,
                arguments: &arguments(plan.subcommand.as_deref(), options, run_dir),
                services: plan.services,
                environment,
                log,
                lock,
            },
            process,
            plan.time_limit(),
            || shutdown.is_requested(),
            |elapsed: Duration| {
                if progress.is_visible() {
                    let (elapsed_s, figures) = (elapsed.as_secs(), live.figures());
                    progress.update(&format!("{}: {elapsed_s} s{expected}  {figures}", self.title));
                }
            },
        )
    }
}

/// Enters into the run's folder what was done. A tool that failed may have left nothing to enter it
/// into, and the verdict says so.
fn enter_faults(run_dir: &Path, faults: Outcome) {
    if faults.records.is_empty() && faults.warnings.is_empty() {
        return;
    }
    if let Err(error) = mark_faults(run_dir, faults.records, faults.warnings) {
        tracing::warn!("failed to enter the faults into {}: {error}", run_dir.display());
    }
}

fn title(plan: &Plan, index: usize, position: usize, all: usize) -> String {
    let label = plan.run_label(plan.runs[index]);
    let name = if label.starts_with(&plan.name) { "" } else { &format!("{} ", plan.name) };
    format!("[{position}/{all}] {name}{label}")
}

/// A line that stays, for whoever watches the progress.
fn say(progress: &Progress, line: &str) {
    if progress.is_visible() {
        // Nothing depends on it.
        let _ = writeln!(std::io::stderr(), "{line}");
    }
    tracing::debug!("{line}");
}

/// The key figures of a run in a line.
fn figures(document: Result<&RunDocument, &anyhow::Error>) -> String {
    let Some(summary) = document.ok().and_then(|document| document.summary.as_ref()) else {
        return "done".to_owned();
    };
    let received = summary.consumed.as_ref().map(|consumed| consumed.rate_msg_per_s);
    let acked = summary.produced.as_ref().map(|produced| produced.rate_msg_per_s);
    let throughput = received.or(acked).map(rate);
    let latency = summary.end_to_end_latency.as_ref();
    let latency = latency.map(|latency| format!("end-to-end p99 {}", duration_ns(latency.p99_ns)));
    [throughput, latency].into_iter().flatten().collect::<Vec<_>>().join(", ")
}
