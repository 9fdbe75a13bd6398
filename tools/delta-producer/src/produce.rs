//! A run: messages go into the table, and come back out if it is followed.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use bench_cli::{
    Amount, Exit, Invocation, Measurement, StartedRun, Workload, check_limits, guarantee,
};
use bench_core::audit::Expected;
use bench_core::clock::{SystemClock, duration_ns};
use bench_core::counts::Counts;
use bench_core::durations::Durations;
use bench_core::engine::{ConsumerConfig, Plan};
use bench_core::message::{MessageFormat, RunId};
use bench_delta::Lake;
use bench_delta::publish::{CommitPath, DeltaPublisher};
use bench_delta::receive::{DeltaReceiver, FollowConfig, FollowMode, TableStart};

use crate::options::Options;
use crate::publishers::{
    DIRECT_ONLY, check, commit_interval, config, in_flight_messages, poll_interval, workers,
};
use crate::target::Target;

/// Default duration at a rate, and default number of messages without one.
const DURATION_DEFAULT: Duration = Duration::from_secs(10);
const MESSAGES_DEFAULT: u64 = 1_000_000;

/// How long the publisher looks for a commit after giving up on it, with a margin.
const FIND_OUT: Duration = Duration::from_secs(3);

/// Limit on messages that a producer submits at once.
const BATCH_MAX: u32 = 1_024;

/// A run that only lacks its connections.
struct Run<'a> {
    options: &'a Options,
    workload: Workload,
    target: Target,
    id: RunId,
    clock: SystemClock,
    interval_ns: u64,
}

/// Publishes messages to the table.
pub(crate) fn produce(options: &Options, invocation: &Invocation) -> Result<Exit> {
    let workload = options.workload.workload()?;
    check(options, &invocation.matches, &workload)?;
    let interval_ns = options.run.interval_ns()?;
    let crowded = check_limits(&[workers(&options.producer, &workload)])?;
    let (id, clock) = (RunId::random(), SystemClock::new());
    let target = Target::find(options, id, &invocation.shutdown)?;
    let run = Run { options, workload, target, id, clock, interval_ns };
    let started = run.started(invocation);
    invocation.measure(&options.run, options.output, started, clock, |_| {
        let mut measurement = run.connect()?;
        measurement.warnings.splice(..0, crowded);
        Ok(measurement)
    })
}

impl Run<'_> {
    /// Whether the table is followed too. No other process can follow an embedded one.
    fn follows(&self) -> bool {
        let follower = &self.options.follower;
        follower.follow || (self.target.is_embedded() && !follower.no_follow)
    }

    fn amount_default(&self) -> Amount {
        if self.workload.schedule.is_open_loop() {
            Amount::Duration(DURATION_DEFAULT)
        } else {
            Amount::Messages(MESSAGES_DEFAULT)
        }
    }

    fn started(&self, invocation: &Invocation) -> StartedRun {
        let args = &self.options.producer;
        let mut started = invocation.started(self.id, vec![self.target.service()]);
        let options = &mut started.options;
        let mut set = |name: &str, value: String| options.insert(name.to_owned(), value.into());
        set("lake-path", self.target.uri());
        set("commit-interval", time(commit_interval(args)));
        set("in-flight", in_flight_messages(args, &self.workload).to_string());
        set("follow", self.follows().to_string());
        if !self.target.partition_by().is_empty() {
            let columns = self.target.partition_by().iter().map(|column| column.name());
            set("partition-by", columns.collect::<Vec<_>>().join(","));
        }
        match self.workload.amount.unwrap_or(self.amount_default()) {
            Amount::Messages(messages) => set("messages", messages.to_string()),
            Amount::Duration(duration) => set("duration", time(duration)),
        };
        let mut idle = vec!["autocommit-duration-ms", "no-follow"];
        if self.follows() {
            set("poll-interval", time(poll_interval(&self.options.follower, args)));
        } else {
            idle.extend(["poll-interval", "read-ahead", "drain-timeout", "exactly-once"]);
        }
        if args.commit == CommitPath::Std {
            idle.extend(DIRECT_ONLY);
        }
        options.retain(|name, _| !idle.contains(&name.as_str()));
        StartedRun { versions: versions(), ..started }
    }

    /// Prepares the table, then connects its follower and the producers.
    fn connect(&self) -> Result<Measurement<DeltaPublisher, DeltaReceiver>> {
        let (counts, durations) = (Counts::default(), Durations::default());
        let lake = self.target.create(&counts)?;
        let receivers =
            if self.follows() { vec![self.follower(&lake, &counts)?] } else { Vec::new() };
        let publishers = (0..self.options.producer.producers).map(|index| {
            let config = config(self.options, index, self.target.partition_by());
            let (lake, clock) = (lake.clone(), self.clock);
            let (counts, durations) = (counts.clone(), durations.clone());
            let connecting =
                move || DeltaPublisher::connect(&lake, config, clock, &counts, &durations);
            Ok(self.target.waiting().until_done(connecting, "connecting the producers")??)
        });
        let publishers = publishers.collect::<Result<_>>()?;
        Ok(Measurement {
            unanswered_max: self.workload.unanswered_max,
            warnings: self.target.warning().into_iter().collect(),
            counts,
            durations,
            ..Measurement::new(self.plan(), publishers, receivers)
        })
    }

    fn follower(&self, lake: &Lake, counts: &Counts) -> Result<DeltaReceiver> {
        let (lake, config) = (lake.clone(), self.follow_config());
        let (clock, counts) = (self.clock, counts.clone());
        let connecting = move || DeltaReceiver::connect(&lake, config, clock, &counts);
        Ok(self.target.waiting().until_done(connecting, "reading the table")??)
    }

    fn follow_config(&self) -> FollowConfig {
        let Options { follower, producer, .. } = self.options;
        FollowConfig {
            start: TableStart::End,
            mode: FollowMode::NextVersion,
            poll_interval: poll_interval(follower, producer),
            read_ahead_bytes: usize::try_from(follower.read_ahead).unwrap_or(usize::MAX),
            wait_for_table: Duration::ZERO,
        }
    }

    fn plan(&self) -> Plan {
        let Self { workload, options, .. } = self;
        let in_flight_max = in_flight_messages(&options.producer, workload);
        Plan {
            run: self.id,
            schedule: workload.schedule,
            limit: workload.limit(self.amount_default()),
            messages: workload.messages.clone(),
            timeline: workload.timeline(self.clock, self.interval_ns),
            in_flight_max,
            batch_max: BATCH_MAX.min(in_flight_max) as usize,
            // At the end a request may be in flight, and the fate of a commit is looked up.
            grace_ns: duration_ns(options.producer.grace + 2 * options.lake.aws.timeout + FIND_OUT),
            expected: Expected::Run(self.id),
            consumer: ConsumerConfig {
                raw: workload.messages.format == MessageFormat::Raw,
                drain_timeout_ns: options.follower.drain.drain_timeout_ns(),
                guarantee: guarantee(options.follower.exactly_once),
                ..ConsumerConfig::default()
            },
        }
    }
}

/// A time in the form of options.
fn time(duration: Duration) -> String {
    format!("{}ms", duration.as_secs_f64() * 1e3)
}

/// The versions that the figures depend on.
fn versions() -> BTreeMap<String, String> {
    bench_delta::VERSIONS.map(|(name, version)| (name.to_owned(), version.to_owned())).into()
}
