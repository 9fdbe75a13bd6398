//! The table to follow.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use bench_aws::AwsService;
use bench_cli::{Interrupted, Shutdown, UsageError, Waiting};
use bench_core::clock::SystemClock;
use bench_core::counts::Counts;
use bench_delta::receive::{DeltaReceiver, FollowConfig, FollowError, FollowMode, TableStart};
use bench_delta::{Access, DeltaError, NamedLake};
use bench_record::{RunDocument, ServiceInfo, ServiceOrigin, file_names};
use bench_stack::origin_of;

use crate::options::{Options, ReadingArgs};

/// Default time between polls for the next version.
const POLL_INTERVAL_DEFAULT: Duration = Duration::from_millis(10);

/// Polls of the table per commit interval.
const POLLS_PER_COMMIT: u32 = 20;

/// The shortest and the longest time between polls.
const POLL_INTERVALS: [Duration; 2] = [Duration::from_micros(100), Duration::from_mins(1)];

/// Minimum read-ahead, bytes: a row group of small messages.
const READ_AHEAD_BYTES_MIN: u64 = 1 << 20;

/// Default time to wait for a table, for a run that waits for messages.
const WAIT_DEFAULT: Duration = Duration::from_secs(30);

/// Time between checks for a table that does not exist yet.
const TABLE_POLL: Duration = Duration::from_millis(50);

/// What was in progress at an interrupt.
const CHECKING: &str = "checking the table's location";
const READING: &str = "reading the table";
const WAITING: &str = "waiting for the table";

/// The table set on the command line, and how to follow it.
pub(crate) struct Source {
    named: NamedLake,
    config: FollowConfig,
    wait_for_table: Duration,
    waiting: Waiting,
    pub(crate) service: ServiceInfo,
}

impl Source {
    /// Finds the table of `--lake-path`, or of the run given by `--from-run`. Checks that the
    /// location can be used, but not yet that the table exists.
    pub(crate) fn find(options: &Options, shutdown: &Shutdown) -> Result<Self> {
        let waits = options.reader.expect.waits();
        let config = options.reading.config(waits)?;
        let of_run = options.reader.expect.from_run.as_deref().and_then(table_of);
        let ended = of_run.as_ref().is_some_and(|table| table.ended_with_its_run);
        let lake = options.lake.clone().or_path(of_run.map(|table| table.uri));
        if ended && !lake.aws.is_named(AwsService::S3) {
            let problem = "the table of that run was on an embedded S3, which ended with it";
            let remedy = "run the producer on a service that stays; `run-suite services up s3` \
                          starts one";
            return Err(UsageError::new("--from-run", problem, remedy).into());
        }
        let Some(place) = lake.location(None).map_err(DeltaError::from)? else {
            let problem = "no table is set, and that of an embedded S3 ends with its run";
            let remedy = "set one, or use --from-run with the run that wrote it";
            return Err(UsageError::new("--lake-path", problem, remedy).into());
        };
        let waiting = Waiting::new(shutdown)?;
        let named = waiting.until(lake.reach(place), CHECKING)??;
        waiting.until(named.prepare(Access::Read), CHECKING)??;
        let service = named.service_info(&lake);
        let service = origin_of(&service.name, &service.address).unwrap_or(service);
        let default = if waits { WAIT_DEFAULT } else { Duration::ZERO };
        let wait_for_table = options.reading.wait_for_table.unwrap_or(default);
        Ok(Self { named, config, wait_for_table, waiting, service })
    }

    /// The table's address.
    pub(crate) fn uri(&self) -> String {
        self.named.uri()
    }

    /// The warning about the location for readers of the figures.
    pub(crate) fn warning(&self) -> Option<String> {
        self.named.warning()
    }

    pub(crate) fn poll_interval(&self) -> Duration {
        self.config.poll_interval
    }

    pub(crate) fn wait_for_table(&self) -> Duration {
        self.wait_for_table
    }

    /// Connects to the table if it exists, so that an impossible start is rejected before anything
    /// is created. `None` if the table has to be waited for.
    pub(crate) fn try_connect(
        &self,
        clock: SystemClock,
        counts: &Counts,
    ) -> Result<Option<DeltaReceiver>> {
        match self.connect(self.config, clock, counts, READING)? {
            Ok(receiver) => Ok(Some(receiver)),
            Err(error) if is_missing(&error) && !self.wait_for_table.is_zero() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Connects to a table that did not exist, once it does.
    pub(crate) fn wait_and_connect(
        &self,
        clock: SystemClock,
        counts: &Counts,
        shutdown: &Shutdown,
    ) -> Result<DeltaReceiver> {
        let started = Instant::now();
        let config = FollowConfig {
            // Everything in a table that does not exist yet comes after its end.
            start: match self.config.start {
                TableStart::End => TableStart::Beginning,
                other => other,
            },
            mode: match self.config.mode {
                FollowMode::NextVersion => FollowMode::AnyVersion,
                other => other,
            },
            ..self.config
        };
        loop {
            let error = match self.connect(config, clock, counts, WAITING)? {
                Ok(receiver) => return Ok(receiver),
                Err(error) => error,
            };
            if !is_missing(&error) || started.elapsed() >= self.wait_for_table {
                return Err(error.into());
            }
            anyhow::ensure!(!shutdown.is_requested(), Interrupted(WAITING));
            std::thread::sleep(TABLE_POLL);
        }
    }
}

impl Source {
    fn connect(
        &self,
        config: FollowConfig,
        clock: SystemClock,
        counts: &Counts,
        doing: &'static str,
    ) -> Result<Result<DeltaReceiver, DeltaError>> {
        let (lake, counts) = (self.named.connect(counts)?, counts.clone());
        let connecting = move || DeltaReceiver::connect(&lake, config, clock, &counts);
        self.waiting.until_done(connecting, doing)
    }
}

fn is_missing(error: &DeltaError) -> bool {
    matches!(error, DeltaError::Follow(FollowError::NoTable { .. }))
}

impl ReadingArgs {
    /// How to follow the table, for a run that `waits` for messages or reads to the end.
    fn config(&self, waits: bool) -> Result<FollowConfig, UsageError> {
        let [least, most] = POLL_INTERVALS;
        let by_commits = self
            .autocommit_duration_ms
            .map(|ms| (Duration::from_millis(ms) / POLLS_PER_COMMIT).clamp(least, most));
        let poll_interval = self.poll_interval.or(by_commits).unwrap_or(POLL_INTERVAL_DEFAULT);
        if !(least..=most).contains(&poll_interval) {
            let remedy = format!("use a time from {least:?} to {most:?}");
            return Err(UsageError::new("--poll-interval", "out of range", remedy));
        }
        if self.read_ahead < READ_AHEAD_BYTES_MIN {
            return Err(UsageError::new("--read-ahead", "out of range", "use at least 1MiB"));
        }
        if self.from == TableStart::End && !waits {
            let problem = "there is nothing to read from the end of a table without waiting";
            let remedy = "add --follow or --expected, or start earlier";
            return Err(UsageError::new("--from", problem, remedy));
        }
        Ok(FollowConfig {
            start: self.from,
            mode: if waits { FollowMode::NextVersion } else { FollowMode::ToEnd },
            poll_interval,
            read_ahead_bytes: usize::try_from(self.read_ahead).unwrap_or(usize::MAX),
            wait_for_table: Duration::ZERO,
        })
    }
}

/// The table that a run wrote.
struct RunTable {
    uri: String,
    ended_with_its_run: bool,
}

/// The table of the run with its results in `folder`, if recorded.
fn table_of(folder: &Path) -> Option<RunTable> {
    let document = std::fs::read(folder.join(file_names::DOCUMENT)).ok()?;
    let document: RunDocument = serde_json::from_slice(&document).ok()?;
    let uri = document.options.get("lake-path")?.as_str()?.to_owned();
    let is_embedded = |service: &ServiceInfo| service.origin == ServiceOrigin::Embedded;
    Some(RunTable { uri, ended_with_its_run: document.services.iter().any(is_embedded) })
}
