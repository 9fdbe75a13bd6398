//! `[local]`: what run-suite starts on this machine for an experiment.

use bench_cli::UsageError;
use bench_services::local::{BROKERS_MAX, Service};
use serde::Deserialize;
use toml::{Table, Value};

use super::experiment::{at, scalar, unfit};

const LOCAL: &str = "[local]";
const LOCAL_KAFKA: &str = "[local.kafka]";

/// The `[local]` section.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct LocalSection {
    /// The services to start; empty for those that the tools use.
    pub(crate) start: Vec<Service>,
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
    let start = file.start.iter().map(|name| name.parse::<Service>()).collect::<Result<_, _>>();
    let start = start.map_err(|error| at(LOCAL, "start", &error, "name what is needed"))?;
    if file.brokers.is_some_and(|brokers| !(1..=BROKERS_MAX).contains(&brokers)) {
        let remedy = format!("name 1 to {BROKERS_MAX}");
        return Err(at(LOCAL, "brokers", "out of range", &remedy));
    }
    let kafka_settings = file.kafka.into_iter().map(|(name, toml)| match toml {
        Value::Boolean(value) => Ok((name, value.to_string())),
        toml => scalar(toml)
            .map(|value| (name.clone(), value))
            .map_err(|kind| unfit(LOCAL_KAFKA, &name, kind)),
    });
    let kafka_settings = kafka_settings.collect::<Result<_, _>>()?;
    Ok(LocalSection { start, brokers: file.brokers, kafka_settings })
}
