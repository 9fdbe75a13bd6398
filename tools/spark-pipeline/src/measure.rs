//! A run: the topics, the job between them, and the measurement.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bench_cli::{
    Amount, Exit, Interrupted, Invocation, Measurement, Shutdown, UsageError, Workload,
};
use bench_core::audit::Expected;
use bench_core::clock::{Clock as _, InstantNs, SystemClock};
use bench_core::counts::Counts;
use bench_core::durations::Durations;
use bench_core::engine::{ConsumerConfig, Plan};
use bench_core::message::RunId;
use bench_core::transport::{EitherReceiver, Publish as _};
use bench_kafka::config::KafkaConfig;
use bench_kafka::{KafkaPublisher, KafkaReceiver, SendPlan, SendRate};
use bench_record::{ServiceInfo, ServiceOrigin, mark_faults};
use bench_stack::origin_of;

use crate::backlog::Backlog;
use crate::batches::{self, Batches};
use crate::counted::{CountedReceiver, Figures, PROBE_TYPE};
use crate::job::{Job, Spark};
use crate::kills::{self, DriverKill, Killed};
use crate::malformed::Malformed;
use crate::options::{Options, Work};
use crate::sender::{Report, Sender};
use crate::topics::{self, Topics};
use crate::watch::{self, Watch};

/// The default amount.
const AMOUNT_DEFAULT: Amount = Amount::Messages(10_000);

/// Events that are handed over per call.
const BATCH_MAX: usize = 256;

/// Limits on unacknowledged events: their number, and their bytes.
const IN_FLIGHT_MAX: usize = 100_000;
const IN_FLIGHT_MAX_BYTES: usize = 512 << 20;

/// Time to wait for acknowledgements after the last event.
const GRACE_NS: u64 = 30_000_000_000;

/// Interval between looks for the probe at the other end.
const PROBE_POLL_NS: u64 = 100_000_000;

/// Measures the pipeline set by the options.
pub(crate) fn measure(options: &Options, invocation: &Invocation) -> Result<Exit> {
    options.check()?;
    let workload = options.workload()?;
    let interval_ns = options.run.interval_ns()?;
    let kills = kills::sorted(&options.spark.kill_driver)?;
    let config = options.connection.config("spark-pipeline")?;
    if config.bootstrap_servers().is_none() {
        let problem = "no broker is set, and Spark cannot use an embedded one";
        let remedy = "set it here or in KAFKA_BOOTSTRAP_SERVERS";
        return Err(UsageError::new("--bootstrap-servers", problem, remedy).into());
    }
    let shutdown = &invocation.shutdown;
    let spark = Spark::find(&options.spark)?;
    let topics = Arc::new(Topics::connect(&config, options.connection.timeout, shutdown)?);
    let (clock, run) = (SystemClock::new(), RunId::random());
    let services = vec![kafka_info(topics.servers()), spark_info(&spark)];
    let started = invocation.started(run, services);
    let setup = Setup {
        options,
        workload: &workload,
        kills: &kills,
        config: &config,
        spark: &spark,
        topics: &topics,
        shutdown,
        clock,
        run,
        interval_ns,
    };
    let mut running = None;
    let exit = invocation.measure(&options.run, options.output.format, started, clock, |folder| {
        let (measurement, job) = setup.start(folder)?;
        running = Some(job);
        Ok(measurement)
    });
    if let Some(Running { job, watch, folder, start_ns, .. }) = running {
        let killed = watch.end();
        job.stop();
        // Where it ended when everything was sent, the run has not failed, but lost its results.
        if let (Some(failure), Ok(Exit::Invalid)) = (job.failure(), &exit) {
            tracing::error!("{failure}");
        }
        if exit.is_ok() {
            enter_kills(&folder, &kills, killed, start_ns);
        }
    }
    exit
}

/// Enters the kills into the results, as run-suite does with its faults.
fn enter_kills(folder: &Path, kills: &[DriverKill], mut killed: Vec<Killed>, start_ns: InstantNs) {
    if kills.is_empty() {
        return;
    }
    killed.resize(kills.len(), Killed::default());
    let warnings = kills::missed(kills, &killed);
    let records = killed.into_iter().map(|killed| killed.record(start_ns)).collect();
    if let Err(error) = mark_faults(folder, records, warnings) {
        tracing::warn!("failed to enter the kills into {}: {error}", folder.display());
    }
}

fn kafka_info(servers: &str) -> ServiceInfo {
    origin_of("kafka", servers).unwrap_or_else(|| ServiceInfo {
        name: "kafka".to_owned(),
        origin: ServiceOrigin::External,
        address: servers.to_owned(),
        version: "unknown".to_owned(),
    })
}

fn spark_info(spark: &Spark) -> ServiceInfo {
    origin_of("spark", spark.master()).unwrap_or_else(|| ServiceInfo {
        name: "spark".to_owned(),
        origin: if spark.master().starts_with("local") {
            ServiceOrigin::Local
        } else {
            ServiceOrigin::External
        },
        address: spark.master().to_owned(),
        version: spark.version().to_owned(),
    })
}

/// The job of a run, and what watches it.
struct Running {
    job: Arc<Job>,
    watch: Watch,
    _backlog: Option<Backlog>,
    /// The result folder.
    folder: PathBuf,
    /// The start of the schedule.
    start_ns: InstantNs,
}

/// Results that stand for one event each, or for many.
type Results = EitherReceiver<KafkaReceiver, CountedReceiver<KafkaReceiver>>;

/// All that a run is made of.
struct Setup<'a> {
    options: &'a Options,
    workload: &'a Workload,
    kills: &'a [DriverKill],
    config: &'a KafkaConfig,
    spark: &'a Spark,
    topics: &'a Arc<Topics>,
    shutdown: &'a Shutdown,
    clock: SystemClock,
    run: RunId,
    interval_ns: u64,
}

impl Setup<'_> {
    /// Prepares the topics, starts the job, waits until an event has passed it, and connects.
    fn start(&self, folder: &Path) -> Result<(Measurement<Sender, Results>, Running)> {
        let pipeline = &self.options.pipeline;
        let (topic, output) = (pipeline.topic.as_str(), self.options.output_topic());
        for name in [Some(topic), output.as_deref()].into_iter().flatten() {
            self.topics.prepare(name, pipeline.partitions, pipeline.replication_factor)?;
        }
        let settings_in_force = self.topics.settings_in_force(topic)?;
        let (counts, durations) = (Counts::default(), Durations::default());
        let report = folder.join("batches.jsonl");
        let mut batches = Batches::follow(&report, &counts, &durations);
        let job = Arc::new(self.job(folder, &report, output.as_deref())?);
        let mut publisher = self.publisher()?;
        job.start()?;
        self.pass_probe(&mut publisher, &job, &mut batches, output.as_deref())?;
        let receiver = output.as_deref().map(|output| self.receiver(output)).transpose()?;
        let receiver = receiver.map(|receiver| self.results(receiver, &counts, &durations));
        batches.begin();
        let report = Report {
            job: Arc::clone(&job),
            reached: batches.reached(),
            topics: Arc::clone(self.topics),
            topic: topic.to_owned(),
            timeout: self.report_timeout(),
            shutdown: self.shutdown.clone(),
        };
        let plan = self.plan();
        let start_ns = plan.timeline.start_ns;
        let backlog = self.backlog(&batches, &counts);
        let starts = counts.count(batches::STARTS);
        let (job_watched, clock) = (Arc::clone(&job), self.clock);
        let watch = Watch::begin(job_watched, batches, starts, self.kills, clock, start_ns);
        let malformed = Malformed::new(pipeline.malformed, counts.count("events_malformed_sent"));
        let sender = Sender::new(publisher, malformed, report);
        let measurement = Measurement {
            unanswered_max: self.workload.unanswered_max,
            counts,
            durations,
            settings_in_force,
            ..Measurement::new(plan, vec![sender], receiver.into_iter().collect())
        };
        Ok((
            measurement,
            Running { job, watch, _backlog: backlog, folder: folder.to_owned(), start_ns },
        ))
    }

    /// The results as the work makes them.
    fn results(&self, receiver: KafkaReceiver, counts: &Counts, durations: &Durations) -> Results {
        if self.options.pipeline.work != Work::Aggregate {
            return Results::A(receiver);
        }
        let figures = Figures {
            result_time: durations.named("result_time"),
            results: counts.count("results"),
            unreadable: counts.count("results_unreadable"),
        };
        Results::B(CountedReceiver::new(receiver, figures, self.clock.origin()))
    }

    /// Follows what the job has not read yet. In real-time mode it reports that once per minute.
    fn backlog(&self, batches: &Batches, counts: &Counts) -> Option<Backlog> {
        let (topics, topic) = (Arc::clone(self.topics), self.options.pipeline.topic.clone());
        let reached = batches.reached();
        let gauge = || counts.gauge("backlog");
        (!self.options.is_real_time()).then(|| Backlog::follow(topics, topic, reached, gauge()))
    }

    /// The job, which reads what comes from now on.
    fn job(&self, folder: &Path, report: &Path, output: Option<&str>) -> Result<Job> {
        let Options { pipeline, spark, .. } = self.options;
        let checkpoint = match &spark.checkpoint {
            Some(checkpoint) => checkpoint.clone(),
            None => folder.join("checkpoint").display().to_string(),
        };
        let outdir = std::path::absolute(spark.outdir.as_deref().unwrap_or(folder))?;
        let starting =
            topics::starting_offsets(&pipeline.topic, &self.topics.ends(&pipeline.topic)?);
        let mut args: Vec<String> = [
            ("--brokers", self.topics.servers()),
            ("--topic", &pipeline.topic),
            ("--checkpoint", &checkpoint),
            ("--trigger", &pipeline.trigger),
            ("--work", pipeline.work.name()),
            ("--starting", &starting),
            ("--partitions", &pipeline.partitions.to_string()),
            ("--outdir", &outdir.display().to_string()),
            ("--progress", &report.display().to_string()),
        ]
        .iter()
        .flat_map(|(option, value)| [(*option).to_owned(), (*value).to_owned()])
        .collect();
        args.extend(output.iter().flat_map(|output| ["--output-topic", output]).map(str::to_owned));
        if let Some(file) = self.options.connection.properties() {
            let file = std::path::absolute(file)?;
            args.extend(["--properties".to_owned(), file.display().to_string()]);
        }
        Job::new(self.spark, spark, &format!("spark-pipeline-{}", self.run), folder, args)
    }

    /// Sends one event and waits until it has passed the job, which is warm from then on.
    fn pass_probe(
        &self,
        publisher: &mut KafkaPublisher,
        job: &Job,
        batches: &mut Batches,
        output: Option<&str>,
    ) -> Result<()> {
        let before = output.map(|output| self.topics.ends(output)).transpose()?;
        let before = before.as_deref().map(topics::total);
        let created_ms = self.clock.now_ns().cast_signed() / 1_000_000
            + self.clock.origin().wall_offset_ns / 1_000_000;
        let probe = format!(
            r#"{{"event_id":"probe","created_ts":{created_ms},"user_id":0,"event_type":"{PROBE_TYPE}","value":0.0}}"#
        );
        ensure!(publisher.submit_one(0, None, Some(probe.as_bytes())), "the probe was not sent");
        let timeout = self.options.spark.ready_timeout;
        let deadline = Instant::now() + timeout;
        let mut completions = Vec::new();
        // In real-time mode the report is a minute away.
        let mut has_reported = self.options.is_real_time();
        while Instant::now() < deadline {
            publisher.poll(self.clock.now_ns() + PROBE_POLL_NS, &mut completions)?;
            if let Some(failure) = completions.iter().find_map(|done| done.delivery.failure()) {
                bail!("the probe was not delivered: {}", publisher.explain(failure));
            }
            ensure!(!self.shutdown.is_requested(), Interrupted("the Spark job was ready"));
            if job.ended().is_some() {
                bail!("{}", watch::end_of(job));
            }
            has_reported |= batches.take() > 0;
            let has_passed = match (output, before) {
                (Some(output), Some(before)) => topics::total(&self.topics.ends(output)?) > before,
                _ => true,
            };
            // The report of its batch must not count as one of the run.
            if has_passed && has_reported && !completions.is_empty() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_nanos(PROBE_POLL_NS));
        }
        bail!("no event has passed the Spark job within {timeout:?}: {}", watch::delay_of(job))
    }

    fn publisher(&self) -> Result<KafkaPublisher> {
        let mut config = self.config.clone();
        let in_flight = self.in_flight_max();
        for (name, value) in [
            ("linger.ms", "5".to_owned()),
            ("batch.size", "1000000".to_owned()),
            // Above the engine's limit, so that the library never rejects a message.
            ("queue.buffering.max.messages", (in_flight * 2 + 1_000).to_string()),
        ] {
            config.set_default(name, value);
        }
        self.options.connection.apply_settings(&mut config)?;
        let config = config.of_producer();
        config.check_producer()?;
        let rate = self.workload.schedule.peak_rate_per_s().map(|messages_per_s| {
            let bytes = self.workload.messages.likely_largest_bytes();
            SendRate { messages_per_s, bytes_per_s: messages_per_s * bytes }
        });
        let plan = SendPlan { rate, ..SendPlan::default() };
        let topic = self.options.pipeline.topic.clone();
        let (clock, timeout) = (self.clock, self.options.connection.timeout);
        let connect = move || KafkaPublisher::connect(&config, &topic, clock, plan, timeout);
        Ok(self.shutdown.interruptible("the producer connected", connect)??)
    }

    /// A consumer of all partitions from their present ends.
    fn receiver(&self, output: &str) -> Result<KafkaReceiver> {
        let mut config = self.config.clone();
        // The library's default of one second stalls a consumer that keeps up.
        config.set_default("fetch.queue.backoff.ms", "1");
        config.set("enable.auto.commit", "false");
        self.options.connection.apply_settings(&mut config)?;
        let config = config.of_consumer();
        config.check_consumer()?;
        let mut receiver = KafkaReceiver::connect_alone(&config, self.clock)?;
        receiver.take(output, &self.topics.ends(output)?).context("failed to read the results")?;
        Ok(receiver)
    }

    /// How long the job may take to report its last batch. In real-time mode that is a minute away,
    /// and the results tell all.
    fn report_timeout(&self) -> Duration {
        if self.options.is_real_time() {
            return Duration::ZERO;
        }
        Duration::from_nanos(self.options.pipeline.drain.drain_timeout_ns())
    }

    fn in_flight_max(&self) -> usize {
        let largest = self.workload.messages.largest_bytes().max(1);
        IN_FLIGHT_MAX.min(IN_FLIGHT_MAX_BYTES / largest).max(16)
    }

    fn plan(&self) -> Plan {
        let workload = self.workload;
        Plan {
            run: self.run,
            schedule: workload.schedule,
            limit: workload.limit(AMOUNT_DEFAULT),
            messages: workload.messages.clone(),
            timeline: workload.timeline(self.clock, self.interval_ns),
            in_flight_max: u32::try_from(self.in_flight_max()).unwrap_or(u32::MAX),
            batch_max: BATCH_MAX,
            grace_ns: GRACE_NS,
            expected: Expected::Run(self.run),
            consumer: ConsumerConfig {
                drain_timeout_ns: self.options.pipeline.drain.drain_timeout_ns(),
                // Counts of events name none of them.
                raw: self.options.pipeline.work == Work::Aggregate,
                ..ConsumerConfig::default()
            },
        }
    }
}
