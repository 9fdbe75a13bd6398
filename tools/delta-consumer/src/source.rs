//! The table that is followed.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use bench_aws::AwsService;
use bench_cli::{Interrupted, Shutdown, UsageError, Waiting};
use bench_core::clock::SystemClock;
use bench_core::counts::Counts;
use bench_core::results::{RunDocument, RunFolder, ServiceInfo, ServiceOrigin};
use bench_delta::receive::{DeltaReceiver, FollowConfig, FollowError, TableStart, YetToCome};
use bench_delta::{Access, DeltaError, NamedLake};
use bench_stack::origin_of;

use crate::options::{Options, ReadingArgs};

/// Time between two looks for the next version, unless it is said.
const POLL_INTERVAL_DEFAULT: Duration = Duration::from_millis(10);

/// How often the table is looked at in a commit interval.
const LOOKS_PER_COMMIT: u32 = 20;

/// The shortest and the longest time between two looks.
const POLL_INTERVALS: [Duration; 2] = [Duration::from_micros(100), Duration::from_mins(1)];

/// The least that is fetched ahead, bytes: a row group of small messages.
const READ_AHEAD_BYTES_MIN: u64 = 1 << 20;

/// How long a table is waited for, unless it is said, by who waits for messages to come.
const WAIT_DEFAULT: Duration = Duration::from_secs(30);

/// How often a table that is not there is looked for.
const LOOK_FOR_TABLE_EVERY: Duration = Duration::from_millis(50);

/// What was done when the user had enough.
const REACHED: &str = "the place of the table was tried";
const LOOKED: &str = "the table was looked at";
const WAITED: &str = "the table was waited for";

/// The table that the command line names, and how it is followed.
pub(crate) struct Source {
    named: NamedLake,
    config: FollowConfig,
    wait_for_table: Duration,
    waiting: Waiting,
    pub(crate) service: ServiceInfo,
}

impl Source {
    /// The table of `--lake-path`, or else of the run that `--from-run` names. That the place can be
    /// used is known then, and not yet that the table is there.
    pub(crate) fn find(options: &Options, shutdown: &Shutdown) -> Result<Self> {
        let waits = options.end.follow || options.end.expected.is_some();
        let config = options.reading.config(waits)?;
        let of_run = options.audit.from_run.as_deref().and_then(table_of);
        let ended = of_run.as_ref().is_some_and(|table| table.ended_with_its_run);
        let lake = options.lake.clone().or_path(of_run.map(|table| table.uri));
        if ended && !lake.aws.is_named(AwsService::S3) {
            let problem = "the table of that run was on an embedded S3, which ended with it";
            let remedy = "run the producer on a service that stays; `run-suite services up s3` \
                          starts one";
            return Err(UsageError::new("--from-run", problem, remedy).into());
        }
        let Some(place) = lake.place(None).map_err(DeltaError::from)? else {
            let problem = "no table is named, and that of an embedded S3 ends with its run";
            let remedy = "name one, or the run that wrote it with --from-run";
            return Err(UsageError::new("--lake-path", problem, remedy).into());
        };
        let waiting = Waiting::new(shutdown)?;
        let named = waiting.until(lake.reach(place), REACHED)??;
        waiting.until(named.prepare(Access::Read), REACHED)??;
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

    /// What the reader of the figures must know of the place.
    pub(crate) fn warning(&self) -> Option<String> {
        self.named.warning()
    }

    pub(crate) fn poll_interval(&self) -> Duration {
        self.config.poll_interval
    }

    pub(crate) fn wait_for_table(&self) -> Duration {
        self.wait_for_table
    }

    /// Connects to the table if it is there, so that a start that cannot be is refused before
    /// anything is created. Nothing if the table is to be waited for.
    pub(crate) fn try_connect(
        &self,
        clock: SystemClock,
        counts: &Counts,
    ) -> Result<Option<DeltaReceiver>> {
        match self.connect(self.config, clock, counts, LOOKED)? {
            Ok(receiver) => Ok(Some(receiver)),
            Err(error) if is_missing(&error) && !self.wait_for_table.is_zero() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Connects to a table that was not there, once it is.
    pub(crate) fn wait_and_connect(
        &self,
        clock: SystemClock,
        counts: &Counts,
        shutdown: &Shutdown,
    ) -> Result<DeltaReceiver> {
        let started = Instant::now();
        let config = FollowConfig {
            // Whatever comes into a table that is not there yet comes after its end.
            start: match self.config.start {
                TableStart::End => TableStart::Beginning,
                other => other,
            },
            yet_to_come: match self.config.yet_to_come {
                YetToCome::NextVersion => YetToCome::AnyVersion,
                other => other,
            },
            ..self.config
        };
        loop {
            let error = match self.connect(config, clock, counts, WAITED)? {
                Ok(receiver) => return Ok(receiver),
                Err(error) => error,
            };
            if !is_missing(&error) || started.elapsed() >= self.wait_for_table {
                return Err(error.into());
            }
            anyhow::ensure!(!shutdown.is_requested(), Interrupted(WAITED));
            std::thread::sleep(LOOK_FOR_TABLE_EVERY);
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
    /// How the table is followed, by who `waits` for what comes or reads to the end.
    fn config(&self, waits: bool) -> Result<FollowConfig, UsageError> {
        let [least, most] = POLL_INTERVALS;
        let by_commits = self
            .autocommit_duration_ms
            .map(|ms| (Duration::from_millis(ms) / LOOKS_PER_COMMIT).clamp(least, most));
        let poll_interval = self.poll_interval.or(by_commits).unwrap_or(POLL_INTERVAL_DEFAULT);
        if !(least..=most).contains(&poll_interval) {
            let remedy = format!("name a time from {least:?} to {most:?}");
            return Err(UsageError::new("--poll-interval", "out of range", remedy));
        }
        if self.read_ahead < READ_AHEAD_BYTES_MIN {
            return Err(UsageError::new("--read-ahead", "out of range", "name at least 1MiB"));
        }
        if self.from == TableStart::End && !waits {
            let problem = "nothing can be read from the end of a table without waiting for it";
            let remedy = "add --follow or --expected, or start earlier";
            return Err(UsageError::new("--from", problem, remedy));
        }
        Ok(FollowConfig {
            start: self.from,
            yet_to_come: if waits { YetToCome::NextVersion } else { YetToCome::Nothing },
            poll_interval,
            read_ahead_bytes: usize::try_from(self.read_ahead).unwrap_or(usize::MAX),
            wait_for_table: Duration::ZERO,
        })
    }
}

/// The table that a run has written.
struct RunTable {
    uri: String,
    ended_with_its_run: bool,
}

/// The table of the run that left its results in `folder`, if it says which.
fn table_of(folder: &Path) -> Option<RunTable> {
    let document = std::fs::read(folder.join(RunFolder::DOCUMENT)).ok()?;
    let document: RunDocument = serde_json::from_slice(&document).ok()?;
    let uri = document.options.get("lake-path")?.as_str()?.to_owned();
    let is_embedded = |service: &ServiceInfo| service.origin == ServiceOrigin::Embedded;
    Some(RunTable { uri, ended_with_its_run: document.services.iter().any(is_embedded) })
}
