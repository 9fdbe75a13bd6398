//! The local services of an experiment: which ones it needs, and their life beside its runs.
//!
//! They stand in the folder `services` of the experiment, so that `run-suite services down --dir`
//! finds them when run-suite itself was killed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bench_cli::{Progress, UsageError};
use bench_services::local::{Cache, LocalError, Service, Stack, StackOptions};
use serde::{Deserialize, Serialize};

use crate::experiment::Experiment;
use crate::faults::{Network, Site, need_network};
use crate::tool::Tool;

/// The folder of the stack in that of the experiment.
const FOLDER: &str = "services";

/// The option by which a tool is told of each service: a tool that has it uses the service.
const OPTIONS: [(&str, Service); 4] = [
    ("bootstrap-servers", Service::Kafka),
    ("connect-url", Service::Connect),
    ("mysql-url", Service::Mysql),
    ("s3-endpoint", Service::S3),
];

/// What an experiment needs to run on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LocalPlan {
    services: Vec<Service>,
    brokers: u32,
    kafka_settings: Vec<(String, String)>,
    /// Whether the tool reaches Kafka through proxies, for faults of the network.
    proxied: bool,
}

impl LocalPlan {
    /// What the experiment asks for; without a word on services, those that its tool uses.
    pub(crate) fn new(experiment: &Experiment, tool: &Tool) -> Result<Self, UsageError> {
        let section = &experiment.local;
        let mut services = section.start.clone();
        if services.is_empty() {
            let used = OPTIONS.iter().filter(|(option, _)| tool.has_option(option));
            services.extend(used.map(|(_, service)| service));
        }
        if services.is_empty() {
            return Err(UsageError::new(
                "`services`",
                "\"local\" starts nothing, since the tool has no option that names a server",
                "name what to start: `start = [\"kafka\"]` in [local]",
            ));
        }
        Ok(Self {
            services,
            brokers: section.brokers.unwrap_or(1),
            kafka_settings: section.kafka_settings.clone(),
            proxied: need_network(&experiment.faults),
        })
    }

    fn options(&self, network: Option<&Network>) -> StackOptions {
        StackOptions {
            brokers: self.brokers,
            kafka_settings: self.kafka_settings.clone(),
            kafka_proxy_ports: network.map(Network::ports).unwrap_or_default(),
            ..StackOptions::of(self.services.iter().copied())
        }
    }
}

/// A stack that experiments run on, one after another.
pub(crate) struct LocalServices {
    folder: PathBuf,
    running: Option<Running>,
}

struct Running {
    plan: LocalPlan,
    network: Option<Network>,
    stack: Stack,
}

impl LocalServices {
    /// Nothing runs yet; what an earlier, killed run-suite left in `experiments` is stopped.
    pub(crate) fn in_folder(experiments: &Path, progress: &mut Progress) -> Result<Self> {
        let folder = experiments.join(FOLDER);
        match Stack::open(&folder) {
            Ok(mut stack) => stack.down(&mut |line| progress.update(line))?,
            Err(LocalError::NoStack { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Self { folder, running: None })
    }

    /// Sees to it that what `plan` asks for is there, and whole: what has died is started again,
    /// what was frozen goes on.
    pub(crate) fn provide(
        &mut self,
        plan: &LocalPlan,
        progress: &mut Progress,
    ) -> Result<Site<'_>> {
        if self.running.as_ref().is_some_and(|running| running.plan != *plan) {
            self.stop(progress)?;
        }
        let cache = Cache::from_environment()?;
        let mut up = |network: Option<&Network>| {
            let options = plan.options(network);
            Stack::up(&self.folder, &cache, &options, &mut |line| progress.update(line))
                .context("failed to start the local services")
        };
        let running = match &mut self.running {
            Some(running) => {
                running.stack = up(running.network.as_ref())?;
                running
            }
            none => {
                let network = plan.proxied.then(|| Network::new(plan.brokers)).transpose()?;
                let stack = up(network.as_ref())?;
                none.insert(Running { plan: plan.clone(), network, stack })
            }
        };
        let Running { stack, network, .. } = running;
        if let Some(network) = network {
            network.connect(stack);
        }
        Ok(Site { stack: Some(stack), network: network.as_ref() })
    }

    /// Stops what runs.
    pub(crate) fn stop(&mut self, progress: &mut Progress) -> Result<()> {
        let Some(mut running) = self.running.take() else { return Ok(()) };
        let stopped = running.stack.down(&mut |line| progress.update(line));
        stopped.context("failed to stop the local services")
    }
}
