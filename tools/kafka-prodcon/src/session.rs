//! What the measuring modes share: starting the record, running the plan, finishing the record.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Error, Result};
use bench_cli::{Exit, options_in_force};
use bench_cli::{OutputFormat, Progress, RunArgs, RunRecord, Shutdown, StartedRun, quantity};
use bench_core::audit::AckLedger;
use bench_core::clock::{InstantNs, SystemClock};
use bench_core::engine::{self, Plan, RunControl, Totals};
use bench_core::message::RunId;
use bench_core::pacing::Schedule;
use bench_core::results::{Status, Summary, SummaryInput};
use bench_kafka::{KafkaPublisher, KafkaReceiver};
use clap::{ArgMatches, CommandFactory};

use crate::cluster::Cluster;
use crate::options::Options;

/// How often the progress line is written.
const PROGRESS_NS: u64 = 200_000_000;

/// A run before it starts.
pub(crate) struct Session<'a> {
    pub(crate) options: &'a Options,
    pub(crate) run_args: &'a RunArgs,
    pub(crate) matches: &'a ArgMatches,
    pub(crate) cluster: &'a Cluster,
    pub(crate) run: RunId,
    pub(crate) clock: SystemClock,
    pub(crate) shutdown: Shutdown,
}

/// What a run does beyond its plan.
pub(crate) struct Work {
    pub(crate) plan: Plan,
    pub(crate) publishers: Vec<KafkaPublisher>,
    pub(crate) receivers: Vec<KafkaReceiver>,
    /// The schedule, when the run sends.
    pub(crate) schedule: Option<Schedule>,
    /// What is to be received, when another run sent it.
    pub(crate) ledger: Option<AckLedger>,
    pub(crate) warnings: Vec<String>,
}

impl Session<'_> {
    /// Makes the result folder, does the work that `prepare` describes, and reports. An error after
    /// the folder was made is kept in it.
    pub(crate) fn carry_out(&self, prepare: impl FnOnce() -> Result<Work>) -> Result<Exit> {
        let mut record = self.run_args.start(self.started())?;
        let work = match prepare() {
            Ok(work) => work,
            Err(error) => {
                let told = Error::msg(format!("{error:#}"));
                record.fail(&told);
                return Err(error);
            }
        };
        for warning in &work.warnings {
            record.warn(warning);
        }
        self.measure(record, work)
    }

    fn measure(&self, mut record: RunRecord, work: Work) -> Result<Exit> {
        let Work { plan, publishers, receivers, schedule, ledger, .. } = work;
        let backlog_max_bytes = self.cluster.backlog_max_bytes().filter(|_| !receivers.is_empty());
        let control = RunControl::new(publishers.len(), receivers.len(), backlog_max_bytes);
        let consumed = !receivers.is_empty();
        let produced = !publishers.is_empty();
        record.folder_mut().set_timeline(plan.timeline);
        let mut progress = self.options.log.progress();
        let mut line = ProgressLine::new(plan.timeline.start_ns);
        let done = engine::run(
            &plan,
            self.clock,
            &control,
            (publishers, receivers),
            record.folder_mut(),
            |now_ns, totals| {
                if self.shutdown.is_requested() {
                    control.stop_producing();
                    if !produced {
                        control.stop_consuming();
                    }
                }
                line.show(&mut progress, now_ns, totals);
            },
        );
        progress.clear();
        let (totals, error) = match done {
            Ok(done) => done,
            Err(error) => {
                let error = Error::from(error);
                record.fail(&error);
                return Err(error);
            }
        };
        let summary = Summary::new(SummaryInput {
            totals: &totals,
            timeline: plan.timeline,
            schedule,
            consumed,
            ledger: ledger.as_ref().or(produced.then_some(&totals.ledger)),
            raw: plan.consumer.raw,
            resources: record.meter().read(totals.sent + totals.received.messages),
        });
        let status = match (&error, self.shutdown.is_requested()) {
            (Some(_), _) => Status::Failed,
            (None, true) => Status::Incomplete,
            (None, false) => Status::Complete,
        };
        if let Some(error) = error {
            let error = Error::from(error);
            tracing::error!("{error:#}");
            record.warn(format!("{error:#}"));
        }
        record.finish(summary, status, self.format())
    }

    fn format(&self) -> OutputFormat {
        self.options.output.output
    }

    fn started(&self) -> StartedRun {
        let command = Options::command();
        let mut options = options_in_force(&command, self.matches);
        if let Some((name, matches)) = self.matches.subcommand() {
            // The options of the combined mode do not count beside a subcommand's.
            options = command
                .find_subcommand(name)
                .map(|subcommand| options_in_force(subcommand, matches))
                .unwrap_or_default();
            options.insert("mode".to_owned(), name.into());
        }
        options.insert("config".to_owned(), self.cluster.recorded_settings());
        StartedRun {
            tool: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
            run: self.run,
            options,
            services: vec![self.cluster.service()],
            versions: BTreeMap::from([("librdkafka".to_owned(), bench_kafka::library_version())]),
        }
    }
}

/// A run id that no other run has.
pub(crate) fn new_run_id() -> RunId {
    // The standard library seeds its hash maps from the system's randomness.
    use std::hash::{BuildHasher as _, RandomState};
    RunId::from_bits(RandomState::new().hash_one(std::process::id()))
}

/// A time as nanoseconds.
pub(crate) fn duration_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The line that shows how a run goes.
struct ProgressLine {
    start_ns: InstantNs,
    shown_ns: InstantNs,
    acked: u64,
    received: u64,
}

impl ProgressLine {
    fn new(start_ns: InstantNs) -> Self {
        Self { start_ns, shown_ns: start_ns, acked: 0, received: 0 }
    }

    fn show(&mut self, progress: &mut Progress, now_ns: InstantNs, totals: &Totals) {
        let since_ns = now_ns.saturating_sub(self.shown_ns);
        if since_ns < PROGRESS_NS || !progress.is_visible() {
            return;
        }
        let per_s = |now: u64, before: u64| {
            quantity::rate(now.saturating_sub(before) as f64 * 1e9 / since_ns as f64)
        };
        let elapsed_s = now_ns.saturating_sub(self.start_ns) as f64 / 1e9;
        let mut text = format!("{elapsed_s:6.1} s");
        if totals.sent > 0 {
            text += &format!("  out {}", per_s(totals.acked.messages, self.acked));
        }
        if totals.received.messages > 0 {
            text += &format!("  in {}", per_s(totals.received.messages, self.received));
        }
        for (name, latency) in totals.latencies.named() {
            if name != "schedule_lag" && !latency.is_empty() {
                let p99 = quantity::duration_ns(latency.percentile_ns(99.0));
                text += &format!("  {} p99 {p99}", name.replace('_', " "));
            }
        }
        progress.update(&text);
        self.shown_ns = now_ns;
        (self.acked, self.received) = (totals.acked.messages, totals.received.messages);
    }
}
