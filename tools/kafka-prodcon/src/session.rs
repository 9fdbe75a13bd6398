//! The part that the measuring modes share: the record of the run.

use std::collections::BTreeMap;

use anyhow::Result;
use bench_cli::{Exit, Invocation, Measurement, OutputFormat, RunArgs, StartedRun};
use bench_core::clock::SystemClock;
use bench_core::message::RunId;
use bench_core::transport::Publish;
use bench_kafka::config::{KafkaConfig, REQUESTS_IN_FLIGHT};
use bench_tables::mysql::MysqlArgs;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::landing::{Consumer, Landing};
use crate::options::{From, Isolation, LandArgs};

const SERVERS_OPTION: &str = "bootstrap-servers";

/// The settings of a run's clients.
pub(crate) struct Clients {
    /// The producers' settings, if there are any.
    pub(crate) producer: Option<KafkaConfig>,
    /// The consumers' settings, if there are any.
    pub(crate) consumer: Option<KafkaConfig>,
    /// The group that the user chose.
    pub(crate) group: Option<String>,
    /// Where readers begin, if that can be chosen.
    pub(crate) from: Option<From>,
}

impl Clients {
    /// The settings of a run that only reads.
    pub(crate) fn of_readers(config: &KafkaConfig, group: Option<String>, from: From) -> Self {
        Self { producer: None, consumer: Some(config.clone()), group, from: Some(from) }
    }

    /// Corrects the options that a properties file or `--config` may also set to those in force.
    fn correct(&self, options: &mut BTreeMap<String, Value>) {
        if let Some(config) = &self.producer {
            correct_producer_options(config, options);
        }
        let isolation = self.consumer.as_ref().map(|config| Isolation::of(config).name());
        let choosable = self.from.and(isolation).map(str::to_owned);
        for (option, value) in [
            ("group", self.group.clone()),
            ("from", self.from.map(|from| from.name().to_owned())),
            ("isolation", choosable),
        ] {
            options.remove(option);
            options.extend(value.map(|value| (option.to_owned(), Value::from(value))));
        }
    }

    /// The settings of all clients, without secrets; where two kinds differ, those of producers.
    fn recorded(&self, cluster: &Cluster) -> Value {
        let mut all = BTreeMap::new();
        if let Some(config) = &self.consumer {
            all.extend(cluster.client(config).in_force_for_consumers().redacted());
        }
        if let Some(config) = &self.producer {
            all.extend(cluster.client(config).redacted());
        }
        json!(all)
    }
}

/// Corrects options that a properties file may also set and that `--config` overrides. An option that
/// took effect stays as it was written.
fn correct_producer_options(config: &KafkaConfig, options: &mut BTreeMap<String, Value>) {
    for (option, property, default, unit) in [
        ("acks", "acks", "all", ""),
        ("batch-size", "batch.size", "1000000", ""),
        ("compression", "compression.type", "none", ""),
        ("linger", "linger.ms", "5", "ms"),
        ("requests-in-flight", REQUESTS_IN_FLIGHT, "5", ""),
    ] {
        if !config.is_from_option(property, &format!("--{option}")) {
            let value = match config.get(property).unwrap_or(default) {
                "-1" if property == "acks" => "all",
                value => value,
            };
            options.insert(option.to_owned(), format!("{value}{unit}").into());
        }
    }
    let is_idempotent = config.is_enabled("enable.idempotence");
    options.insert("idempotent".to_owned(), is_idempotent.to_string().into());
}

/// A run that has not started yet.
pub(crate) struct Session<'a> {
    pub(crate) invocation: &'a Invocation,
    pub(crate) run_args: &'a RunArgs,
    pub(crate) output: OutputFormat,
    pub(crate) cluster: &'a Cluster,
    pub(crate) clients: &'a Clients,
    pub(crate) landing: Option<&'a Landing>,
    pub(crate) run: RunId,
    pub(crate) clock: SystemClock,
}

impl Session<'_> {
    /// Makes the result folder and the table, connects, measures and reports.
    pub(crate) fn measure<P: Publish + Send>(
        &self,
        connect: impl FnOnce() -> Result<Measurement<P, Consumer>>,
    ) -> Result<Exit> {
        let Self { invocation, run_args, output, clock, landing, .. } = *self;
        invocation.measure(run_args, output, self.started(), clock, |_| {
            if let Some(landing) = landing {
                landing.prepare_table()?;
            }
            let counts = landing.map(|landing| landing.counts.clone()).unwrap_or_default();
            Ok(Measurement { counts, ..connect()? })
        })
    }

    fn started(&self) -> StartedRun {
        let services = std::iter::once(self.cluster.service())
            .chain(self.landing.map(|landing| landing.service.clone()))
            .collect();
        let mut started = self.invocation.started(self.run, services);
        let options = &mut started.options;
        if let Some(mode) = self.invocation.matches.subcommand_name() {
            options.insert("mode".to_owned(), mode.into());
        }
        self.clients.correct(options);
        if options.contains_key(SERVERS_OPTION) {
            options.insert(SERVERS_OPTION.to_owned(), self.cluster.servers().into());
        }
        if self.landing.is_none() {
            options.retain(|name, _| !LandArgs::NAMES.contains(&name.as_str()));
        }
        // It may contain a password.
        options.remove(MysqlArgs::OPTION);
        if let Some(address) = self.landing.and_then(Landing::mysql_address) {
            options.insert(MysqlArgs::OPTION.to_owned(), address.into());
        }
        options.insert("config".to_owned(), self.clients.recorded(self.cluster));
        let versions = [("librdkafka".to_owned(), bench_kafka::library_version())];
        StartedRun { versions: BTreeMap::from(versions), ..started }
    }
}
