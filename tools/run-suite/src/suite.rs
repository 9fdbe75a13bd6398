//! Runs what is pending in experiments, one run after another.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bench_cli::quantity::{duration_ns, rate};
use bench_cli::{Progress, Shutdown};
use bench_core::results::RunDocument;

use crate::child::{self, Ended, Invocation};
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

impl Step<'_> {
    fn run(
        &self,
        local: &mut LocalServices,
        folder: &mut ExperimentFolder,
        shutdown: &Shutdown,
        progress: &mut Progress,
    ) -> Result<()> {
        let environment = match &folder.state().plan.local {
            Some(plan) => local.provide(plan, progress)?,
            None => Vec::new(),
        };
        if shutdown.is_requested() {
            return Ok(());
        }
        let run_dir = folder.begin(self.index)?;
        let plan = &folder.state().plan;
        let ended = self.run_tool(plan, environment, &run_dir, shutdown, progress)?;
        let document = read_document(&run_dir);
        let services = folder.state().plan.services;
        let judgement = judge(&ended, document.as_ref(), services, &log_path(&run_dir));
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

    fn run_tool(
        &self,
        plan: &Plan,
        environment: Vec<(String, String)>,
        run_dir: &Path,
        shutdown: &Shutdown,
        progress: &mut Progress,
    ) -> Result<Ended> {
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
            },
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
