//! `[local]`: what run-suite starts on this machine for an experiment.

use bench_cli::UsageError;
use bench_services::SERVICES;
use serde::Deserialize;
use toml::{Table, Value};

use super::{at, scalar, unfit};

const LOCAL: &str = "[local]";
const LOCAL_KAFKA: &str = "[local.kafka]";

/// The `[local]` section.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct LocalSection {
    /// The services to start; empty for those that the tools use.
    pub(crate) start: Vec<String>,
    /// Kafka brokers.
    pub(crate) brokers: Option<u32>,
    /// Settings of the brokers.
    pub(crate) kafka_settings: Vec<(String, String)>,
}

/// The section as TOML sees it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LocalFile {
    #[serde(default)]
    start: Vec<String>,
    brokers: Option<u32>,
    #[serde(default)]
    kafka: Table,
}

pub(super) fn local(file: Option<LocalFile>) -> Result<LocalSection, UsageError> {
    let Some(file) = file else { return Ok(LocalSection::default()) };
    for name in &file.start {
        let found = SERVICES.find(name);
        found.map_err(|error| at(LOCAL, "start", &error, "list the services to start"))?;
    }
    if let Some(brokers) = file.brokers {
        let checked = SERVICES
            .find("kafka")
            .and_then(|kafka| kafka.check_setting("brokers", &brokers.to_string()));
        checked.map_err(|error| at(LOCAL, "brokers", &error, "use a number in this range"))?;
    }
    let kafka_settings = file.kafka.into_iter().map(|(name, toml)| match toml {
        Value::Boolean(value) => Ok((name, value.to_string())),
        toml => scalar(toml)
            .map(|value| (name.clone(), value))
            .map_err(|kind| unfit(LOCAL_KAFKA, &name, kind)),
    });
    let kafka_settings = kafka_settings.collect::<Result<_, _>>()?;
    Ok(LocalSection { start: file.start, brokers: file.brokers, kafka_settings })
}
