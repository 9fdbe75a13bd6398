//! The record of one run, from the creation of its result folder to the printed report.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use bench_core::clock::{ClockOrigin, duration_ns};
use bench_core::engine::Timeline;
use bench_core::message::RunId;
use bench_core::results::{self, FolderError, ResourceMeter, RunFolder, current_host};
use bench_record::{
    RunDocument, SCHEMA_VERSION, ScheduleStart, ServiceInfo, Status, Summary, ToolInfo,
    VerdictOutcome, protocol, rfc3339,
};
use clap::Args;
use serde_json::Value;

use crate::metrics::{Metrics, MetricsAddress};
use crate::{Exit, Interrupted, OutputFormat, UsageError, exit, output, quantity, report};

/// Where results go, and the length of intervals; flatten it into a measuring tool's options.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Folder below which the result folder of the run is created
    #[arg(
        help_heading = "Results",
        long = protocol::RESULTS_DIR,
        value_name = "DIR",
        default_value = "results"
    )]
    pub results_dir: PathBuf,

    /// The result folder itself, set by a driver such as run-suite
    #[arg(help_heading = "Results", long = protocol::RUN_DIR, value_name = "DIR", hide = true)]
    pub run_dir: Option<PathBuf>,

    /// Length of the intervals in the results
    #[arg(
        help_heading = "Results",
        long = protocol::INTERVAL,
        value_name = "TIME",
        value_parser = quantity::parse_duration,
        default_value = "1s"
    )]
    pub interval: Duration,

    /// Serve the figures of the run while it goes on, for Prometheus: a port, or HOST:PORT
    #[arg(help_heading = "Results", long, value_name = "ADDRESS")]
    pub metrics_addr: Option<MetricsAddress>,
}

/// A run at its start.
pub struct StartedRun {
    /// The tool's name.
    pub tool: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The run.
    pub run: RunId,
    /// Every option in force, without secrets.
    pub options: BTreeMap<String, Value>,
    /// The services that it uses.
    pub services: Vec<ServiceInfo>,
    /// Versions of components that affect the figures.
    pub versions: BTreeMap<String, String>,
}

/// A run that is being recorded.
pub struct RunRecord {
    folder: RunFolder,
    document: RunDocument,
    meter: ResourceMeter,
    metrics: Option<Metrics>,
}

impl RunArgs {
    /// Length of an interval, nanoseconds.
    pub fn interval_ns(&self) -> Result<u64, UsageError> {
        if self.interval < Duration::from_millis(10) {
            let remedy = "use at least 10ms";
            return Err(UsageError::new("--interval", "too short to measure in", remedy));
        }
        Ok(duration_ns(self.interval))
    }

    /// Creates the result folder, with a `run.json` of status `running`.
    pub fn start(&self, started: StartedRun) -> Result<RunRecord> {
        let now = SystemTime::now();
        let StartedRun { tool, version, run, options, services, versions } = started;
        let endpoint = self.metrics_addr.as_ref().map(MetricsAddress::bind).transpose()?;
        let mut folder = match &self.run_dir {
            Some(path) => RunFolder::create_at(path, now),
            None => RunFolder::create_below(&self.results_dir, tool, run, now),
        }
        .map_err(|error| usage(&error))?;
        let mut host = current_host();
        let on = results::file_system(folder.path());
        host.settings.extend(on.map(|on| ("file_system".to_owned(), on)));
        let document = RunDocument {
            schema_version: SCHEMA_VERSION,
            tool: ToolInfo { name: tool.to_owned(), version: version.to_owned() },
            run_id: run.to_string(),
            started_at: rfc3339(now),
            schedule: None,
            status: Status::Running,
            verdict: None,
            options,
            services,
            host,
            versions,
            settings_in_force: BTreeMap::new(),
            summary: None,
            warnings: Vec::new(),
            faults: Vec::new(),
        };
        folder.write_document(&document);
        let metrics =
            endpoint.map(|endpoint| Metrics::serve(endpoint, tool, document.run_id.clone()));
        Ok(RunRecord { folder, document, meter: ResourceMeter::start(), metrics })
    }
}

/// An unusable folder is an error of the command line.
fn usage(error: &FolderError) -> anyhow::Error {
    match error {
        FolderError::Write { .. } => {
            UsageError::from_library(format!("--results-dir: {error}")).into()
        }
        FolderError::Taken { .. } => UsageError::from_library(format!("--run-dir: {error}")).into(),
    }
}

impl RunRecord {
    /// The folder, to record intervals in.
    pub fn folder_mut(&mut self) -> &mut RunFolder {
        &mut self.folder
    }

    /// Sets the instants from which the times in the files are counted, and writes them to `run.json`
    /// for those who follow the run.
    pub fn set_timeline(&mut self, timeline: Timeline, origin: ClockOrigin) {
        self.folder.set_timeline(timeline);
        self.document.schedule = Some(ScheduleStart {
            monotonic_ns: timeline.start_ns,
            boot: origin.boot.to_hash(),
            unix_ns: origin.wall_offset_ns.saturating_add_unsigned(timeline.start_ns),
        });
        self.folder.write_document(&self.document);
    }

    /// Measures what the process has used since the run started.
    #[must_use]
    pub fn meter(&self) -> ResourceMeter {
        self.meter
    }

    /// Sets what the system has told of its settings.
    pub(crate) fn set_settings_in_force(&mut self, settings: BTreeMap<String, String>) {
        self.document.settings_in_force = settings;
    }

    /// Where the figures are served, if they are.
    pub(crate) fn metrics(&self) -> Option<Metrics> {
        self.metrics.clone()
    }

    /// Adds a warning for readers of the figures.
    pub fn warn(&mut self, warning: impl Into<String>) {
        self.document.warnings.push(warning.into());
    }

    /// Records that the run failed with `error`.
    pub fn fail(mut self, error: &anyhow::Error) {
        let interrupted = error.downcast_ref::<Interrupted>().is_some();
        self.document.status = if interrupted { Status::Incomplete } else { Status::Failed };
        self.warn(exit::told(error));
        self.folder.write_document(&self.document);
    }

    /// Completes the document, prints it as `output`, and returns the exit code.
    pub fn finish(
        mut self,
        summary: Summary,
        status: Status,
        output: OutputFormat,
    ) -> Result<Exit> {
        let verdict = results::verdict(&summary);
        self.document.warnings.extend(results::warnings(&summary));
        self.document.warnings.extend(self.folder.warning().map(str::to_owned));
        let acked_problem = self.folder.acked_problem().map(str::to_owned);
        let status = match (status, &acked_problem) {
            // Readers must not take the record for a complete one.
            (Status::Complete, Some(_)) => Status::Failed,
            _ => status,
        };
        if let Some(problem) = acked_problem {
            tracing::error!("{problem}");
            self.warn(problem);
        }
        self.document.status = status;
        self.document.summary = Some(summary);
        let outcome = verdict.outcome;
        // A failed run can be invalid, but never valid.
        let is_judged = status != Status::Failed || outcome != VerdictOutcome::Valid;
        self.document.verdict = is_judged.then_some(verdict);
        self.folder.write_document(&self.document);

        let text = match output {
            OutputFormat::Human => report::human(&self.document, Some(self.folder.path())),
            OutputFormat::Csv => report::csv(&[&self.document]),
            OutputFormat::Json => {
                serde_json::to_string_pretty(&self.document)
                    .context("failed to print the result")?
                    + "\n"
            }
        };
        output::print_result(output, &text).context("failed to print the result")?;
        Ok(match (status, outcome) {
            (Status::Incomplete, _) => Exit::Interrupted,
            (Status::Failed | Status::Running, _) => Exit::Failed,
            (Status::Complete, VerdictOutcome::Invalid | VerdictOutcome::Partial) => Exit::Invalid,
            (Status::Complete, VerdictOutcome::Valid) => Exit::Good,
        })
    }
}
