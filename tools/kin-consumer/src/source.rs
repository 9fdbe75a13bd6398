//! The stream to read, and its service.

use std::time::Duration;

use anyhow::{Context, Result};
use bench_aws::{AwsService, SdkConfig};
use bench_cli::{Needs, Shutdown, UsageError, Waiting, Workers, check_limits};
use bench_core::clock::SystemClock;
use bench_core::counts::Counts;
use bench_core::message::RunId;
use bench_kinesis::receive::{
    FanOutConsumer, KinesisReceiver, Polling, ReceiveError, Subscription,
};
use bench_record::{ServiceInfo, ServiceOrigin};
use bench_stack::origin_of;

use crate::options::{Options, ReadingArgs};

/// Interval between calls to an idle shard of an embedded service. Calls cost nothing there, and
/// waiting records would increase latencies.
const EMBEDDED_INTERVAL: Duration = Duration::from_millis(5);

/// Range of the interval between calls. An iterator expires after five minutes.
const INTERVAL_MIN: Duration = Duration::from_millis(1);
const INTERVAL_MAX: Duration = Duration::from_mins(1);

/// Minimum needs of a consumer: a thread and the connection of a shard.
const CONSUMER: Needs = Needs { memory_bytes: 1_000_000, queue_bytes: 0, threads: 1, files: 5 };

/// Time for registering to complete after an interrupt: a consumer left registered costs money.
const FAN_OUT_GRACE: Duration = Duration::from_secs(2);

/// The service with the stream.
pub(crate) struct Source<'a> {
    reading: &'a ReadingArgs,
    config: SdkConfig,
    pub(crate) service: ServiceInfo,
    waiting: Waiting,
}

/// Consumers ready to receive, and their registration.
pub(crate) struct Connected {
    pub(crate) receivers: Vec<KinesisReceiver>,
    /// Deregisters on drop.
    pub(crate) fan_out: Option<FanOutConsumer>,
}

impl<'a> Source<'a> {
    /// Finds the service chosen on the command line or in the environment.
    pub(crate) fn named(options: &'a Options, shutdown: &Shutdown) -> Result<Self> {
        let (connection, reading) = (&options.connection, &options.reading);
        if !connection.is_named(AwsService::Kinesis) {
            return Err(UsageError::new(
                "--endpoint-url",
                "no service is set, and an embedded one would have no stream to read",
                "set it, or --region or --profile for AWS, here or in the environment; `run-suite \
                 services up kinesis` starts an embedded one that keeps running",
            )
            .into());
        }
        let interval = reading.poll_interval.unwrap_or(INTERVAL_MIN);
        if !(INTERVAL_MIN..=INTERVAL_MAX).contains(&interval) {
            let remedy = format!("use a time from {INTERVAL_MIN:?} to {INTERVAL_MAX:?}");
            return Err(UsageError::new("--poll-interval", "out of range", remedy).into());
        }
        let (kind, option, count) = ("consumers", "--consumers", reading.consumers);
        check_limits(&[Workers { kind, option, count, each: CONSUMER }])?;
        let waiting = Waiting::new(shutdown)?;
        let config = connection.config_for(AwsService::Kinesis);
        let config = waiting.until(config, "reading the AWS configuration")?;
        let config = config.map_err(UsageError::from_library)?;
        let service = connection.service_info(AwsService::Kinesis, &config);
        let service = origin_of(&service.name, &service.address).unwrap_or(service);
        Ok(Self { reading, config, service, waiting })
    }

    /// Connects the consumers, and registers them for enhanced fan-out if enabled.
    pub(crate) fn connect(
        &self,
        run: RunId,
        clock: SystemClock,
        counts: &Counts,
    ) -> Result<Connected> {
        let fan_out = self.register(run)?;
        let subscription = match &fan_out {
            Some(consumer) => Subscription::FanOut { consumer_arn: consumer.arn().to_owned() },
            None => Subscription::Polling(self.polling()),
        };
        let (config, stream) = (self.config.clone(), self.reading.stream.clone());
        let (start, count) = (self.reading.from.clone(), self.reading.consumers as usize);
        let counts = counts.clone();
        let connecting = move || {
            KinesisReceiver::connect(&config, &stream, &start, &subscription, count, clock, &counts)
        };
        let grace = if fan_out.is_some() { FAN_OUT_GRACE } else { Duration::ZERO };
        let receivers =
            self.waiting.until_done_within(grace, connecting, "the consumers connected")?;
        let receivers = receivers.map_err(|error| match error {
            ReceiveError::NoSuchShard(error) => {
                UsageError::from_library(format!("--from: {error}")).into()
            }
            error => anyhow::Error::from(error),
        })?;
        Ok(Connected { receivers, fan_out })
    }

    /// Registers a consumer for enhanced fan-out, if enabled.
    fn register(&self, run: RunId) -> Result<Option<FanOutConsumer>> {
        let Some(name) = &self.reading.fan_out else { return Ok(None) };
        let own = format!("kin-consumer-{run}");
        let name = if name.is_empty() { own } else { name.clone() };
        let (config, stream) = (self.config.clone(), self.reading.stream.clone());
        let may_be_left = format!(
            "consumer '{name}' may still be registered with stream '{stream}' and cost money until \
             you run aws kinesis deregister-stream-consumer"
        );
        let registering = move || FanOutConsumer::register(&config, &stream, &name);
        let doing = "registering a consumer";
        let registered = self.waiting.until_done_within(FAN_OUT_GRACE, registering, doing);
        Ok(Some(registered.context(may_be_left)??))
    }

    fn polling(&self) -> Polling {
        let is_embedded = self.service.origin == ServiceOrigin::Embedded;
        let own = if is_embedded { EMBEDDED_INTERVAL } else { Polling::default().interval };
        Polling {
            records_max: self.reading.poll_records,
            interval: self.reading.poll_interval.unwrap_or(own),
            within_limits: !is_embedded && !self.reading.unlimited_reads,
        }
    }
}
