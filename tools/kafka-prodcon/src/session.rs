//! What the measuring modes share: the record, and what becomes of an error before the measurement.

use std::collections::BTreeMap;

use anyhow::Result;
use bench_cli::{Exit, Measurement, RunArgs, Shutdown, StartedRun, Surroundings, options_in_force};
use bench_core::clock::SystemClock;
use bench_core::message::RunId;
use bench_kafka::KafkaPublisher;
use bench_kafka::config::{REQUESTS_IN_FLIGHT, REQUESTS_IN_FLIGHT_DEFAULT};
use bench_tables::mysql::MysqlArgs;
use clap::{ArgMatches, CommandFactory};

use crate::cluster::Cluster;
use crate::landing::{Consumer, Landing};
use crate::options::{LandArgs, Options};

/// A run before it starts.
pub(crate) struct Session<'a> {
    pub(crate) options: &'a Options,
    pub(crate) run_args: &'a RunArgs,
    pub(crate) matches: &'a ArgMatches,
    pub(crate) cluster: &'a Cluster,
    pub(crate) landing: Option<&'a Landing>,
    pub(crate) run: RunId,
    pub(crate) clock: SystemClock,
    pub(crate) shutdown: Shutdown,
}

impl Session<'_> {
    /// Makes the result folder, connects, measures and reports. An error after the folder was made
    /// is kept in it.
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
            // The options of the combined mode do not count beside a subcommand's.
            let subcommand = command.find_subcommand(name);
            options = subcommand.map(|own| options_in_force(own, matches)).unwrap_or_default();
            options.insert("mode".to_owned(), name.into());
        }
        if options.contains_key("producers") {
            // Options whose defaults a properties file may change, and that --config overrules.
            let config = &self.cluster.config;
            let requests = REQUESTS_IN_FLIGHT_DEFAULT.to_string();
            for (option, property, default, unit) in [
                ("acks", "acks", "all", ""),
                ("batch-size", "batch.size", "1000000", ""),
                ("compression", "compression.codec", "none", ""),
                ("linger", "linger.ms", "5", "ms"),
                ("requests-in-flight", REQUESTS_IN_FLIGHT, &requests, ""),
            ] {
                if config.is_from_command_line(property) || !options.contains_key(option) {
                    let value = config.get(property).unwrap_or(default);
                    options.insert(option.to_owned(), format!("{value}{unit}").into());
                }
            }
        }
        if self.landing.is_none() {
            options.retain(|name, _| !LandArgs::NAMES.contains(&name.as_str()));
        }
        // Whatever it is, it may hold a password.
        options.remove(MysqlArgs::OPTION);
        if let Some(address) = self.landing.and_then(Landing::mysql_address) {
            options.insert(MysqlArgs::OPTION.to_owned(), address.into());
        }
        options.insert("config".to_owned(), self.cluster.recorded_settings());
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
