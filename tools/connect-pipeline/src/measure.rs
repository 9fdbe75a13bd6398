//! A run: the two ends of the pipeline, what passes lines on between them, and the measurement.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bench_cli::{Amount, Exit, Interrupted, Invocation, Measurement, Shutdown, Workload};
use bench_core::audit::Expected;
use bench_core::clock::SystemClock;
use bench_core::engine::{ConsumerConfig, Plan};
use bench_core::message::RunId;
use bench_files::{LinePublisher, LineReceiver, Position};
use bench_record::{ServiceInfo, ServiceOrigin};
use bench_stack::origin_of;

use crate::connect::Worker;
use crate::connectors::{Connectors, Setup};
use crate::first_line::FirstLine;
use crate::options::{Options, Pipeline};

/// The default amount.
const AMOUNT_DEFAULT: Amount = Amount::Messages(1_000);

/// Limit on lines written at once.
const BATCH_MAX: u32 = 256;

/// How long overdue lines are still written after the end of the schedule.
const GRACE_NS: u64 = 10_000_000_000;

/// The part of every latency that comes from Kafka Connect's file source.
const SOURCE_SLEEPS: &str = "Kafka Connect's file source sleeps for a second whenever it has \
                             found nothing new: up to 1 s of each latency is that sleep";

/// The file source's default batch, in lines.
const SOURCE_BATCH_DEFAULT: u32 = 2_000;

/// Measures the pipeline set by the options.
pub(crate) fn measure(options: &Options, invocation: &Invocation) -> Result<Exit> {
    let workload = options.workload()?;
    let interval_ns = options.run.interval_ns()?;
    let worker = match options.pipeline()? {
        Pipeline::Connect(url) => Some(Worker::new(url, options.timeout)?),
        Pipeline::Running => None,
    };
    let shutdown = &invocation.shutdown;
    let (clock, run) = (SystemClock::new(), RunId::random());
    let started = invocation.started(run, vec![service(options, worker.as_ref(), shutdown)?]);
    let builder = Builder { options, workload: &workload, worker: worker.as_ref(), clock, run };
    let mut connectors = None;
    let exit = invocation.measure(&options.run, options.output.format, started, clock, |folder| {
        let (ends, created) = builder.pipeline(folder, shutdown)?;
        connectors = created;
        let (publishers, receivers) = (vec![ends.publisher], vec![ends.receiver]);
        Ok(Measurement {
            unanswered_max: workload.unanswered_max,
            warnings: if worker.is_some() { source_warnings(options) } else { Vec::new() },
            ..Measurement::new(builder.plan(interval_ns), publishers, receivers)
        })
    });
    // The likely reason if lines are missing.
    if let Some(Err(error)) = connectors.as_ref().map(Connectors::check)
        && !error.is::<Interrupted>()
    {
        tracing::error!("{error:#}");
    }
    exit
}

/// Warnings about Kafka Connect's file source for readers of the figures.
fn source_warnings(options: &Options) -> Vec<String> {
    let batch = options.source_batch.unwrap_or(SOURCE_BATCH_DEFAULT);
    // Fewer lines than a full batch are sent together within one sleep.
    let fills_batches = options.workload.rate.is_none_or(|per_s| per_s >= f64::from(batch));
    let withholds = fills_batches.then(|| {
        format!(
            "the file source may withhold lines behind a full batch of {batch} until another line \
             follows: those at the end of a run then count as lost"
        )
    });
    std::iter::once(SOURCE_SLEEPS.to_owned()).chain(withholds).collect()
}

/// The service, as recorded in the result.
fn service(options: &Options, worker: Option<&Worker>, shutdown: &Shutdown) -> Result<ServiceInfo> {
    let Some(worker) = worker else {
        let file = |path: &Option<PathBuf>| path.clone().unwrap_or_default().display().to_string();
        return Ok(ServiceInfo {
            name: "pipeline".to_owned(),
            origin: ServiceOrigin::External,
            address: format!("{} to {}", file(&options.source), file(&options.sink)),
            version: "unknown".to_owned(),
        });
    };
    Ok(ServiceInfo {
        name: "kafka-connect".to_owned(),
        origin: origin_of("connect", worker.url())
            .map_or(ServiceOrigin::External, |own| own.origin),
        address: worker.url().to_owned(),
        version: shutdown.interruptible("connecting to Kafka Connect", {
            let worker = worker.clone();
            move || worker.version()
        })??,
    })
}

/// The two ends of a pipeline.
struct Ends {
    publisher: LinePublisher,
    receiver: LineReceiver,
}

/// The parts of a pipeline and its measurement.
struct Builder<'a> {
    options: &'a Options,
    workload: &'a Workload,
    worker: Option<&'a Worker>,
    clock: SystemClock,
    run: RunId,
}

impl<'a> Builder<'a> {
    /// Opens both ends, and creates the connectors if this tool should. Files without a path are
    /// created in the result `folder`.
    fn pipeline(
        &self,
        folder: &Path,
        shutdown: &Shutdown,
    ) -> Result<(Ends, Option<Connectors<'a>>)> {
        let Options { source, sink, topic, source_batch, .. } = self.options;
        let source = absolute(source.as_ref().unwrap_or(&folder.join("source.txt")))?;
        let sink = absolute(sink.as_ref().unwrap_or(&folder.join("sink.txt")))?;
        let clock = self.clock;
        let mut ends = Ends {
            publisher: LinePublisher::open(&source, clock).context("--source")?,
            receiver: LineReceiver::open(&sink, Position::End, clock).context("--sink")?,
        };
        let Some(worker) = self.worker else { return Ok((ends, None)) };
        let messages = &self.workload.messages;
        let first = FirstLine::append(&mut ends.publisher, messages, clock)?;
        let (keep, timeout) = (self.options.keep_connectors, self.options.timeout);
        let (run, source_batch) = (self.run, *source_batch);
        let setup = Setup { run, topic, source: &source, sink: &sink, source_batch, keep, timeout };
        let connectors = Connectors::create(worker, &setup, shutdown)?;
        first.await_arrival(&mut ends.receiver, &connectors, clock, timeout, shutdown)?;
        Ok((ends, Some(connectors)))
    }

    fn plan(&self, interval_ns: u64) -> Plan {
        let workload = self.workload;
        Plan {
            run: self.run,
            schedule: workload.schedule,
            limit: workload.limit(AMOUNT_DEFAULT),
            messages: workload.messages.clone(),
            timeline: workload.timeline(self.clock, interval_ns),
            // Every write completes before the next one.
            in_flight_max: 2 * BATCH_MAX,
            batch_max: BATCH_MAX as usize,
            grace_ns: GRACE_NS,
            expected: Expected::Run(self.run),
            consumer: ConsumerConfig {
                drain_timeout_ns: self.options.drain.drain_timeout_ns(),
                ..ConsumerConfig::default()
            },
        }
    }
}

/// The path in a form that another process understands.
fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("failed to resolve {}", path.display()))
}
