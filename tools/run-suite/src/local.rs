//! The local services of an experiment: which ones it needs, and their life beside its runs.
//!
//! They stand in the folder `services` of the experiment, so that `run-suite services down --dir`
//! finds them when run-suite itself was killed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bench_cli::{Progress, UsageError};
use bench_services::local::{Cache, Service, Stack, StackOptions};
use serde::{Deserialize, Serialize};

use crate::experiment::LocalSection;
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
}

impl LocalPlan {
    /// What the `[local]` section asks for; without a word on services, those that the tool uses.
    pub(crate) fn new(section: &LocalSection, tool: &Tool) -> Result<Self, UsageError> {
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
        let kafka_settings = section.kafka_settings.clone();
        Ok(Self { services, brokers: section.brokers.unwrap_or(1), kafka_settings })
    }

    fn options(&self) -> StackOptions {
        StackOptions {
            brokers: self.brokers,
            kafka_settings: self.kafka_settings.clone(),
            ..StackOptions::of(self.services.iter().copied())
        }
    }
}

/// A stack that experiments run on, one after another.
pub(crate) struct LocalServices {
    folder: PathBuf,
    running: Option<(LocalPlan, Stack)>,
}

impl LocalServices {
    /// Nothing runs yet; what an earlier, killed run-suite left in `experiments` is stopped.
    pub(crate) fn in_folder(experiments: &Path, progress: &mut Progress) -> Result<Self> {
        let folder = experiments.join(FOLDER);
        if let Ok(mut stack) = Stack::open(&folder) {
            stack.down(&mut |line| progress.update(line))?;
        }
        Ok(Self { folder, running: None })
    }

    /// Sees to it that what `plan` asks for is there, and whole. Returns the environment by which
    /// tools find it.
    pub(crate) fn provide(
        &mut self,
        plan: &LocalPlan,
        progress: &mut Progress,
    ) -> Result<Vec<(String, String)>> {
        if self.running.as_ref().is_some_and(|(running, _)| running != plan) {
            self.stop(progress)?;
        }
        let cache = Cache::from_environment()?;
        // Starts what has ended, too.
        let stack =
            Stack::up(&self.folder, &cache, &plan.options(), &mut |line| progress.update(line));
        let stack = stack.context("failed to start the local services")?;
        let (_, stack) = self.running.insert((plan.clone(), stack));
        Ok(stack.environment())
    }

    /// Stops what runs.
    pub(crate) fn stop(&mut self, progress: &mut Progress) -> Result<()> {
        let Some((_, mut stack)) = self.running.take() else { return Ok(()) };
        stack.down(&mut |line| progress.update(line)).context("failed to stop the local services")
    }
}
