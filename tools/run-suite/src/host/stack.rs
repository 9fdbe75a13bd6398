//! The services of an experiment, beside its runs.
//!
//! They live in the folder `services` of the experiment, so that `run-suite services down --dir` finds
//! them when run-suite itself was killed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use bench_cli::{Interrupted, Progress, Shutdown};
use bench_services::local::{
    Cache, LocalError, S3Server, Service, Stack, StackOptions, interruptible,
};

use super::fault_targets::FaultTargets;
use super::network::Network;
use crate::file::options::Options;
use crate::file::owner::Owner;
use crate::plan::stack_plan::{StackPlan, services_of};

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
        match Stack::open(&folder) {
            Ok(mut stack) => interruptible(&interruption, || {
                let down = stack.down(&mut |line| progress.update(line));
                down.map_err(|error| as_interrupted(error, "the services stopped"))
            })?,
            Err(LocalError::NoStack { .. }) => {}
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
        let mut up = |network: Option<&Network>| {
            let up = options(plan, settings, network).and_then(|options| {
                interruptible(&self.interruption, || {
                    Stack::up(&self.folder, &cache, &options, &mut |line| progress.update(line))
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
                let brokers = options(plan, settings, None)?.brokers;
                let network = plan.proxied.then(|| Network::new(brokers)).transpose()?;
                let stack = up(network.as_ref())?;
                let (plan, settings) = (plan.clone(), settings.clone());
                none.insert(RunningStack { plan, settings, network, stack })
            }
        };
        let RunningStack { stack, network, .. } = running;
        if let Some(network) = network {
            network.connect(stack);
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
fn options(
    plan: &StackPlan,
    settings: &Options,
    network: Option<&Network>,
) -> Result<StackOptions, LocalError> {
    let mut options = StackOptions {
        kafka_proxy_ports: network.map(Network::ports).unwrap_or_default(),
        s3_server: (plan.embedded && plan.services.contains(&Service::S3))
            .then_some(S3Server::Embedded),
        ..StackOptions::of(plan.services.iter().copied())
    };
    for (name, value) in settings {
        let (Owner::Service(section), name) = Owner::of(name) else { continue };
        let value = value.single().unwrap_or_default();
        for service in services_of(&section) {
            match service {
                Service::Kafka if name == "brokers" => {
                    options.brokers = value.parse().unwrap_or_default();
                }
                Service::Kafka => options.kafka_settings.push((name.to_owned(), value.clone())),
                Service::KinLambda => options.kin_lambda.set(name, &value)?,
                Service::SqlLambda => options.sql_lambda.set(name, &value)?,
                _ => {}
            }
        }
    }
    Ok(options)
}

/// Turns an interruption into the error that tools end with, and leaves any other error as it is.
pub(crate) fn as_interrupted(error: LocalError, doing: &'static str) -> anyhow::Error {
    match error {
        LocalError::Interrupted => Interrupted(doing).into(),
        other => other.into(),
    }
}
