//! The common steps of the measuring modes: starting the record, and keeping errors before the
//! measurement.

use std::collections::BTreeMap;

use anyhow::Result;
use bench_cli::{Exit, Measurement, RunArgs, Shutdown, StartedRun, Surroundings, options_in_force};
use bench_core::clock::SystemClock;
use bench_core::message::RunId;
use bench_kafka::KafkaPublisher;
use bench_kafka::config::{KafkaConfig, REQUESTS_IN_FLIGHT};
use bench_tables::mysql::MysqlArgs;
use clap::{ArgMatches, CommandFactory};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::landing::{Consumer, Landing};
use crate::options::{From, Isolation, LandArgs, Options};

const SERVERS_OPTION: &str = "bootstrap-servers";

/// The settings of a run's clients.
pub(crate) struct Clients {
    /// Producer settings, if the run produces.
    pub(crate) producer: Option<KafkaConfig>,
    /// Consumer settings, if the run consumes.
    pub(crate) consumer: Option<KafkaConfig>,
    /// The user's consumer group.
    pub(crate) group: Option<String>,
    /// Where consumers start, if that can be chosen.
    pub(crate) from: Option<From>,
}

impl Clients {
    /// The settings of a run that only consumes.
    pub(crate) fn of_readers(config: &KafkaConfig, group: Option<String>, from: From) -> Self {
        Self { producer: None, consumer: Some(config.clone()), group, from: Some(from) }
    }

    /// Replaces options that a properties file or `--config` may also set with the values in force.
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

    /// The settings of all clients, without secrets. Producer settings take precedence.
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

/// Replaces producer options that a properties file or `--config` sets. An option in force stays as
/// it was written.
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
    pub(crate) options: &'a Options,
    pub(crate) run_args: &'a RunArgs,
    pub(crate) matches: &'a ArgMatches,
    pub(crate) cluster: &'a Cluster,
    pub(crate) clients: &'a Clients,
    pub(crate) landing: Option<&'a Landing>,
    pub(crate) run: RunId,
    pub(crate) clock: SystemClock,
    pub(crate) shutdown: Shutdown,
}

impl Session<'_> {
    /// Creates the result folder, connects, measures and reports. Errors after the folder was
    /// created are recorded in it.
    pub(crate) fn carry_out(
        &self,
        connect: impl FnOnce() -> Result<Measurement<KafkaPublisher, Consumer>>,
    ) -> Result<Exit> {
        let record = self.run_args.start(self.started())?;
        let measurement = match connect() {
            Ok(measurement) => measurement,
            Err(error) => {
                record.fail(&error);
                return Err(error);
            }
        };
        let surroundings = Surroundings {
            clock: self.clock,
            shutdown: self.shutdown.clone(),
            progress: self.options.log.progress(),
            output: self.options.output.output,
        };
        measurement.carry_out(record, surroundings)
    }

    fn started(&self) -> StartedRun {
        let command = Options::command();
        let mut options = options_in_force(&command, self.matches);
        if let Some((name, matches)) = self.matches.subcommand() {
            // With a subcommand, only its own options apply.
            let subcommand = command.find_subcommand(name);
            options = subcommand.map(|own| options_in_force(own, matches)).unwrap_or_default();
            options.insert("mode".to_owned(), name.into());
        }
        self.clients.correct(&mut options);
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
        StartedRun {
            tool: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
            run: self.run,
            options,
            services: std::iter::once(self.cluster.service())
                .chain(self.landing.map(|landing| landing.service.clone()))
                .collect(),
            versions: BTreeMap::from(versions),
        }
    }
}
