//! A run: puts messages into the stream and records the acknowledged ones.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use bench_cli::{Amount, Exit, Invocation, Measurement, StartedRun, Workload, check_limits};
use bench_core::audit::Expected;
use bench_core::clock::{SystemClock, duration_ns};
use bench_core::counts::Counts;
use bench_core::engine::{ConsumerConfig, Plan};
use bench_core::message::{Content, MessageFormat, RunId};
use bench_core::transport::NoConnection;
use bench_kinesis::KinesisPublisher;
use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::options::{Options, PutArg};
use crate::producers::{check, check_partition_keys, config, in_flight_messages, linger, workers};
use crate::stream::Service;
use crate::timings::TimingsWriter;

/// Default amount, as in the original script.
const AMOUNT_DEFAULT: Amount = Amount::Messages(10_000);

/// Maximum messages that a producer submits at once.
const BATCH_MAX: usize = 500;

/// A run that is ready to connect.
struct Run<'a> {
    options: &'a Options,
    workload: Workload,
    service: Service,
    id: RunId,
    clock: SystemClock,
    interval_ns: u64,
}

/// Puts messages into the stream.
pub(crate) fn produce(options: &Options, invocation: &Invocation) -> Result<Exit> {
    let workload = workload(options, &invocation.matches)?;
    check_partition_keys(&options.producer, &workload)?;
    let interval_ns = options.run.interval_ns()?;
    let crowded = check_limits(&[workers(&options.producer, &workload)])?;
    let service = Service::connect(options, &invocation.shutdown)?;
    check(&options.producer, &workload, service.record_bytes_max())?;
    let (id, clock) = (RunId::random(), SystemClock::new());
    let run = Run { options, workload, service, id, clock, interval_ns };
    let started = run.started(invocation);
    let mut timings = None;
    let exit = invocation.measure(&options.run, options.output, started, clock, |folder| {
        let (mut measurement, writer) = run.connect(folder)?;
        measurement.warnings.splice(..0, crowded);
        timings = writer;
        Ok(measurement)
    });
    if let Some(Err(error)) = timings.map(TimingsWriter::finish) {
        tracing::warn!("{} is incomplete: {error}", crate::timings::FILE);
    }
    exit
}

/// The workload. By default, records of a file are sent unchanged, once each.
fn workload(options: &Options, matches: &ArgMatches) -> Result<Workload> {
    let mut args = options.workload.clone();
    let is_default = matches.value_source("format") != Some(ValueSource::CommandLine);
    if args.input.is_some() && is_default {
        args.format = bench_cli::FormatArg::Raw;
    }
    let mut workload = args.workload()?;
    if let (None, Content::Records(records)) = (workload.amount, &workload.messages.content) {
        workload.amount = Some(Amount::Messages(records.len() as u64));
    }
    Ok(workload)
}

impl Run<'_> {
    fn started(&self, invocation: &Invocation) -> StartedRun {
        let args = &self.options.producer;
        let mut started = invocation.started(self.id, vec![self.service.info()]);
        let options = &mut started.options;
        let (mode, shards) = self.service.mode(&self.options.stream);
        options.insert("stream-mode".to_owned(), mode.into());
        if let Some(shards) = shards {
            options.insert("shards".to_owned(), shards.to_string().into());
        }
        let linger = format!("{}ms", linger(args).as_secs_f64() * 1e3);
        options.insert("linger".to_owned(), linger.into());
        if self.workload.messages.format == MessageFormat::Raw {
            options.insert("format".to_owned(), "raw".into());
        }
        if let Amount::Messages(messages) = self.workload.amount.unwrap_or(AMOUNT_DEFAULT) {
            options.insert("messages".to_owned(), messages.to_string().into());
        }
        if args.put == PutArg::Record {
            options.retain(|name, _| !name.starts_with("batch-"));
        }
        let versions = BTreeMap::from([("aws-sdk-kinesis".to_owned(), SDK_VERSION.to_owned())]);
        StartedRun { versions, ..started }
    }

    /// Prepares the stream and connects the producers.
    fn connect(
        &self,
        folder: &Path,
    ) -> Result<(Measurement<KinesisPublisher, NoConnection>, Option<TimingsWriter>)> {
        let stream = self.service.prepare(&self.options.stream)?;
        let counts = Counts::default();
        let plan = self.plan(stream.shards.len());
        let (writer, sender) = if self.options.producer.timings {
            let (writer, sender) = TimingsWriter::start(folder, plan.timeline.start_ns)?;
            (Some(writer), Some(sender))
        } else {
            (None, None)
        };
        let publishers = (0..self.options.producer.producers).map(|index| {
            let config = config(self.options, &self.workload, index, sender.clone());
            let sdk = &self.service.sdk;
            KinesisPublisher::connect(sdk, config, &stream.shards, self.clock, &counts)
        });
        let publishers = publishers.collect::<Result<Vec<_>, _>>()?;
        let measurement = Measurement {
            unanswered_max: self.workload.unanswered_max,
            warnings: stream.warning.into_iter().collect(),
            counts,
            ..Measurement::new(plan, publishers, Vec::new())
        };
        Ok((measurement, writer))
    }

    fn plan(&self, shards: usize) -> Plan {
        let Self { workload, options, .. } = self;
        let in_flight_max = in_flight_messages(&options.producer, workload, shards);
        Plan {
            run: self.id,
            schedule: workload.schedule,
            limit: workload.limit(AMOUNT_DEFAULT),
            messages: workload.messages.clone(),
            timeline: workload.timeline(self.clock, self.interval_ns),
            in_flight_max,
            batch_max: BATCH_MAX.min(in_flight_max as usize),
            grace_ns: duration_ns(options.producer.grace),
            expected: Expected::Run(self.id),
            consumer: ConsumerConfig {
                raw: workload.messages.format == MessageFormat::Raw,
                ..ConsumerConfig::default()
            },
        }
    }
}

/// The version of the client library; a test compares it with `Cargo.lock`.
const SDK_VERSION: &str = "1.130.0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sdk_version_matches_the_lock_file() {
        let lock = include_str!("../../../Cargo.lock");
        let entry = format!("name = \"aws-sdk-kinesis\"\nversion = \"{SDK_VERSION}\"");
        assert!(lock.contains(&entry), "Cargo.lock has another version");
    }
}
