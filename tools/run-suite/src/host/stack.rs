//! The services of an experiment, beside its runs.
//!
//! They live in the folder `services` of the experiment, so that `run-suite services down --dir` finds
//! them when run-suite itself was killed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use bench_cli::{Interrupted, Progress, Shutdown};
use bench_services::SERVICES;
use bench_stack::{Cache, Stack, StackError, StackOptions, interruptible};

use super::fault_targets::FaultTargets;
use super::network::Network;
use crate::file::options::Options;
use crate::file::owner::Owner;
use crate::file::services::of_section;
use crate::plan::stack_plan::StackPlan;

/// The folder of the stack, below that of the experiment.
const FOLDER: &str = "services";

/// A stack that experiments run on, one after another.
pub(crate) struct ExperimentStack {
    folder: PathBuf,
    /// Ends the waiting for services that start or stop.
    interruption: Arc<AtomicBool>,
    running: Option<RunningStack>,
}

struct RunningStack {
    plan: StackPlan,
    settings: Options,
    network: Option<Network>,
    stack: Stack,
}

impl ExperimentStack {
    /// Stops what an earlier run-suite, which was killed, left in `experiments`. Starts nothing yet.
    pub(crate) fn in_folder(
        experiments: &Path,
        shutdown: &Shutdown,
        progress: &mut Progress,
    ) -> Result<Self> {
        let (folder, interruption) = (experiments.join(FOLDER), shutdown.flag());
        match Stack::open(SERVICES, &folder) {
            Ok(mut stack) => interruptible(&interruption, || {
                let down = stack.down(&mut |line| progress.update(line));
                down.map_err(|error| as_interrupted(error, "the services stopped"))
            })?,
            Err(StackError::NoStack { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Self { folder, interruption, running: None })
    }

    /// Makes sure that the services of a run are there and healthy: those that have died are started
    /// again, frozen ones are thawed.
    pub(crate) fn provide(
        &mut self,
        plan: &StackPlan,
        settings: &Options,
        progress: &mut Progress,
    ) -> Result<FaultTargets<'_>> {
        let is_unfit = |running: &RunningStack| {
            running.plan != *plan || running.settings != *settings || plan.is_for_one_run()
        };
        if self.running.as_ref().is_some_and(is_unfit) {
            self.stop(progress)?;
        }
        let cache = Cache::from_environment()?;
        let options = options(plan, settings)?;
        let mut up = |network: Option<&Network>| {
            let options = match network {
                Some(network) => network.behind(options.clone()),
                None => options.clone(),
            };
            let up = interruptible(&self.interruption, || {
                Stack::up(SERVICES, &self.folder, &cache, &options, &mut |line| {
                    progress.update(line);
                })
            });
            up.map_err(|error| as_interrupted(error, "the services started"))
                .context("failed to start the services of the experiment")
        };
        let running = match &mut self.running {
            Some(running) => {
                running.stack = up(running.network.as_ref())?;
                running
            }
            none => {
                let network = plan.proxied.then(|| Network::new(&options)).transpose()?;
                let stack = up(network.as_ref())?;
                let (plan, settings) = (plan.clone(), settings.clone());
                none.insert(RunningStack { plan, settings, network, stack })
            }
        };
        let RunningStack { stack, network, .. } = running;
        if let Some(network) = network {
            network.connect(stack)?;
        }
        Ok(FaultTargets { stack: Some(stack), network: network.as_ref() })
    }

    /// Stops the services that run.
    pub(crate) fn stop(&mut self, progress: &mut Progress) -> Result<()> {
        let Some(mut running) = self.running.take() else { return Ok(()) };
        let stopped = interruptible(&self.interruption, || {
            running.stack.down(&mut |line| progress.update(line))
        });
        stopped.context("failed to stop the services of the experiment")
    }
}

/// The options of the stack; the settings have been checked.
fn options(plan: &StackPlan, settings: &Options) -> Result<StackOptions, StackError> {
    let mut options = StackOptions::of(plan.services.iter().map(String::as_str));
    for (name, value) in settings {
        let (Owner::Service(section), key) = Owner::of(name) else { continue };
        let value = value.single().unwrap_or_default();
        for service in of_section(&section).filter(|service| plan.starts(service.name())) {
            options = options.with(service.name(), key, &value);
        }
    }
    if plan.embedded {
        for service in SERVICES.all() {
            let Some(mut own) = options.get(service.name()).cloned() else { continue };
            service.embed(&mut own);
            for (key, value) in own.settings {
                options = options.with(service.name(), &key, value);
            }
        }
    }
    SERVICES.completed(&options)
}

/// Turns an interruption into the error that tools end with, and leaves any other error as it is.
pub(crate) fn as_interrupted(error: StackError, doing: &'static str) -> anyhow::Error {
    match error {
        StackError::Interrupted => Interrupted(doing).into(),
        other => other.into(),
    }
}
