//! The figures of an experiment, from its folder alone: each cell's runs, and their medians.

mod csv;
mod figures;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bench_cli::Exit;
use bench_record::{FaultRecord, LoadModel, RunDocument, ServiceOrigin, Summary};
use bench_stats::PercentileInterval;
use serde::Serialize;

use self::figures::Worse;
pub(crate) use self::figures::{CellFigures, Percentiles, Spread};
use super::gates::GateArgs;
use crate::plan::cells::PlannedRun;
use crate::plan::experiment_plan::Plan;
use crate::run::analysis::Analysis;
use crate::run::folder::State;
use crate::run::gates::{self, GateResult};
use crate::run::health::{Flag, FlagKind};
use crate::run::machine::Machines;
use crate::run::run_files::ToolFiles;
use crate::run::run_state::RunStatus;
use crate::run::verdict::{Judgement, exit_of};

/// Version of the JSON form of [`SuiteSummary`].
const SCHEMA_VERSION: u32 = 1;

/// One or more experiments.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct SuiteSummary {
    schema_version: u32,
    pub(crate) experiments: Vec<ExperimentSummary>,
    /// Experiments whose state cannot be read.
    pub(crate) unreadable: Vec<UnreadableExperiment>,
}

/// An experiment whose state cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct UnreadableExperiment {
    pub(crate) folder: PathBuf,
    /// Why, one sentence.
    pub(crate) problem: String,
}

/// One experiment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ExperimentSummary {
    pub(crate) name: String,
    pub(crate) question: String,
    pub(crate) tool: String,
    /// The tool that runs after it in every run.
    pub(crate) then: Option<String>,
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// The folder of latencies over time, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) latencies_dir: Option<PathBuf>,
    /// When the folder was made, RFC 3339 in UTC.
    pub(crate) created_at: String,
    /// Whether every run has ended.
    pub(crate) finished: bool,
    /// Runs per cell.
    pub(crate) repeats: u32,
    /// Options that differ between the cells.
    pub(crate) columns: Vec<String>,
    pub(crate) cells: Vec<CellSummary>,
    /// What became of its gates.
    pub(crate) gates: Vec<GateResult>,
    /// Whether a gate that is undecided fails it.
    #[serde(skip)]
    pub(crate) undecided_fails: bool,
}

/// One cell. Its medians are those of its valid runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct CellSummary {
    /// Name of its case, when that has one.
    pub(crate) name: Option<String>,
    /// What sets it apart from the others.
    pub(crate) label: String,
    /// Its values of [`ExperimentSummary::columns`]; absent where the tool's default applies.
    pub(crate) values: Vec<Option<String>>,
    /// The number of its valid runs.
    pub(crate) valid_runs: usize,
    /// The repeats that are excluded from medians and ranges: those that do not count, or not yet.
    pub(crate) left_out: Vec<u32>,
    /// The figures of the tool.
    #[serde(flatten)]
    pub(crate) figures: CellFigures,
    /// The figures of the tool that runs after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) then: Option<CellFigures>,
    /// The longest recovery from a fault of each run; absent when a valid run has not recovered from
    /// all of its faults.
    pub(crate) recovery_s: Option<Spread<f64>>,
    pub(crate) runs: Vec<RunSummary>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct RunSummary {
    pub(crate) repeat: u32,
    pub(crate) status: RunStatus,
    /// The exit code of the tool; that of the worse one, if there are two.
    pub(crate) exit_code: Option<i32>,
    /// Why the run does not count.
    pub(crate) problem: Option<String>,
    /// Whether it is left out on request, since something was wrong with it.
    pub(crate) excluded: bool,
    /// The results of the tool.
    #[serde(flatten)]
    pub(crate) first: ToolSummary,
    /// The results of the tool that runs after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) then: Option<ToolSummary>,
    /// The faults in it.
    pub(crate) faults: Vec<FaultRecord>,
}

/// The results of one tool of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct ToolSummary {
    /// Its result folder.
    pub(crate) folder: PathBuf,
    /// The origins of its services.
    pub(crate) origins: Vec<ServiceOrigin>,
    /// For the reader of its figures.
    pub(crate) warnings: Vec<String>,
    /// What was wrong with the run.
    pub(crate) flags: Vec<Flag>,
    /// The intervals of its percentiles at 95 %, nanoseconds, as far as it has enough samples.
    pub(crate) percentile_intervals: BTreeMap<String, PercentileInterval>,
    /// All of its figures, also those of a run that does not count.
    pub(crate) figures: Option<Summary>,
    /// All that it left in its `run.json`.
    #[serde(skip)]
    pub(crate) document: Option<RunDocument>,
}

impl SuiteSummary {
    /// Reads the experiments in `folders`. Fails only if there is one, and it cannot be read.
    pub(crate) fn read(
        folders: &[PathBuf],
        gates: &GateArgs,
        exclude_flagged: bool,
    ) -> Result<Self> {
        let mut summary = Self {
            schema_version: SCHEMA_VERSION,
            experiments: Vec::new(),
            unreadable: Vec::new(),
        };
        for folder in folders {
            match State::load(folder) {
                Ok(mut state) => {
                    gates.add_to_recorded(&mut state.plan.gates)?;
                    let read = ExperimentSummary::read(folder, &state, exclude_flagged);
                    summary.experiments.push(read);
                }
                Err(error) if folders.len() == 1 => return Err(error),
                Err(error) => {
                    let (folder, problem) = (folder.clone(), format!("{error:#}"));
                    summary.unreadable.push(UnreadableExperiment { folder, problem });
                }
            }
        }
        Ok(summary)
    }

    /// The JSON form.
    pub(crate) fn json(&self) -> Result<String> {
        let json = serde_json::to_string_pretty(self).context("failed to write the summary")?;
        Ok(json + "\n")
    }

    /// The status of every run, and of every experiment whose runs are unknown.
    pub(crate) fn statuses(&self) -> impl Iterator<Item = RunStatus> {
        let unknown = self.unreadable.iter().map(|_| RunStatus::Unreadable);
        self.runs().map(|run| run.status).chain(unknown)
    }

    /// The exit code of all experiments together. Gates count only if the runs do.
    pub(crate) fn exit(&self) -> Exit {
        match exit_of(self.statuses()) {
            Exit::Good if self.experiments.iter().any(ExperimentSummary::fails_gates) => {
                Exit::GateFailed
            }
            exit => exit,
        }
    }

    /// Every run, cell by cell.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &RunSummary> {
        let cells = self.experiments.iter().flat_map(|experiment| &experiment.cells);
        cells.flat_map(|cell| &cell.runs)
    }
}

impl ExperimentSummary {
    /// Summarises the experiment in `folder`.
    fn read(folder: &Path, state: &State, exclude_flagged: bool) -> Self {
        let plan = &state.plan;
        let mut runs: Vec<Vec<RunSummary>> = vec![Vec::new(); plan.cells.len()];
        let mut machines = Machines::default();
        for (index, run) in plan.runs.iter().enumerate() {
            if state.runs[index].status == RunStatus::NotNeeded {
                continue;
            }
            let read = RunSummary::read(folder, state, index, &mut machines);
            let read = if exclude_flagged { read.exclude_if_flagged() } else { read };
            runs[run.cell].push(read);
        }
        let finished = runs.iter().flatten().all(|run| run.status.is_over());
        let cells = runs.into_iter().enumerate();
        let cells = cells.map(|(cell, mut runs)| {
            runs.sort_by_key(|run| run.repeat);
            CellSummary::new(plan, cell, runs)
        });
        let cells = cells.collect();
        Self {
            gates: gates::results(folder, state, &plan.gates),
            undecided_fails: plan.gates.undecided_fails,
            name: plan.name.clone(),
            question: plan.question.clone(),
            tool: plan.tool.clone(),
            then: plan.then.as_ref().map(|then| then.tool.clone()),
            folder: folder.to_path_buf(),
            latencies_dir: plan.latencies_dir.clone(),
            created_at: state.created_at.clone(),
            finished,
            repeats: plan.repeats(),
            columns: plan.columns.clone(),
            cells,
        }
    }

    /// Whether its gates fail it.
    pub(crate) fn fails_gates(&self) -> bool {
        gates::fail(&self.gates, self.undecided_fails)
    }

    /// The tools of each run, in their order.
    pub(crate) fn tools(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.tool).chain(&self.then)
    }
}

impl CellSummary {
    fn new(plan: &Plan, cell: usize, runs: Vec<RunSummary>) -> Self {
        let valid = || runs.iter().filter(|run| run.is_valid());
        let figures = |tool: fn(&RunSummary) -> Option<&ToolSummary>| {
            let summaries = valid().filter_map(|run| tool(run)?.figures.as_ref());
            CellFigures::of(&summaries.collect::<Vec<_>>())
        };
        let definition = &plan.cells[cell];
        Self {
            name: definition.name.clone(),
            label: definition.label.clone(),
            values: plan.columns.iter().map(|column| definition.value(column)).collect(),
            valid_runs: valid().count(),
            left_out: runs.iter().filter(|run| !run.is_valid()).map(|run| run.repeat).collect(),
            figures: figures(|run| Some(&run.first)),
            then: plan.then.as_ref().map(|_| figures(|run| run.then.as_ref())),
            recovery_s: recovery_s(&runs),
            runs,
        }
    }
}

impl CellSummary {
    /// The figures of each tool, in their order.
    pub(crate) fn figures(&self) -> impl Iterator<Item = &CellFigures> {
        std::iter::once(&self.figures).chain(&self.then)
    }
}

impl ToolSummary {
    fn new(files: ToolFiles) -> Self {
        let Ok(document) = files.document else {
            return Self { folder: files.dir, ..Self::default() };
        };
        let analysis = match &document.summary {
            Some(_) => Analysis::of(&files.dir, &document),
            None => Analysis::default(),
        };
        Self {
            flags: analysis.flags,
            percentile_intervals: analysis.percentiles,
            folder: files.dir,
            origins: document.services.iter().map(|service| service.origin).collect(),
            warnings: document.warnings.clone(),
            figures: document.summary.clone(),
            document: Some(document),
        }
    }

    fn is_closed_loop(&self) -> bool {
        self.figures.as_ref().is_some_and(|figures| figures.load == LoadModel::Closed)
    }
}

impl RunSummary {
    /// Summarises the run at `index` of the experiment in `folder`.
    fn read(folder: &Path, state: &State, index: usize, machines: &mut Machines) -> Self {
        let files = state.files(index, folder);
        let Judgement { status, problem } = state.judge(index, &files);
        let PlannedRun { cell, repeat } = state.plan.runs[index];
        let document = files.first.document.as_ref().ok();
        let faults = document.map_or_else(Vec::new, |document| document.faults.clone());
        let valid = document.filter(|_| status == RunStatus::Complete);
        let machine = valid.and_then(|document| machines.flag(cell, repeat, document));
        let mut first = ToolSummary::new(files.first);
        first.flags.extend(machine);
        Self {
            repeat,
            status,
            exit_code: state.runs[index].exit_code,
            problem,
            excluded: false,
            then: files.then.map(ToolSummary::new),
            first,
            faults,
        }
    }

    /// Leaves it out if something was wrong with it that the experiment did not ask for.
    fn exclude_if_flagged(mut self) -> Self {
        let is_asked_for = |flag: &Flag| flag.kind == FlagKind::Fault;
        let excluded = !self.tools().flat_map(|tool| &tool.flags).all(is_asked_for);
        self.excluded = excluded;
        self
    }

    /// Its name in tables.
    pub(crate) fn word(&self) -> &'static str {
        if self.excluded { "flagged" } else { self.status.word() }
    }

    /// Whether its figures count.
    pub(crate) fn is_valid(&self) -> bool {
        self.status == RunStatus::Complete && !self.excluded
    }

    /// Whether the system's own pace decided when messages were sent.
    pub(crate) fn is_closed_loop(&self) -> bool {
        self.tools().any(ToolSummary::is_closed_loop)
    }

    /// Whether it used services of this origin.
    pub(crate) fn used(&self, origin: ServiceOrigin) -> bool {
        self.tools().any(|tool| tool.origins.contains(&origin))
    }

    /// The results of its tools, in their order.
    pub(crate) fn tools(&self) -> impl Iterator<Item = &ToolSummary> {
        std::iter::once(&self.first).chain(&self.then)
    }
}

/// The longest recoveries of the valid runs; `None` if a run has not recovered: it would be the worst
/// value, and without it the others would look too good.
fn recovery_s(runs: &[RunSummary]) -> Option<Spread<f64>> {
    let valid = runs.iter().filter(|run| run.is_valid());
    let longest = |run: &RunSummary| {
        let recoveries: Option<Vec<f64>> =
            run.faults.iter().map(|fault| fault.recovery_s).collect();
        recoveries?.into_iter().reduce(f64::max)
    };
    let longest: Option<Vec<f64>> = valid.map(longest).collect();
    Spread::of(longest?.into_iter(), Worse::High)
}

#[cfg(test)]
mod tests {
    use bench_record::FaultAction;

    use super::*;

    fn run(recoveries: &[Option<f64>]) -> RunSummary {
        let fault = |recovery_s: &Option<f64>| FaultRecord {
            action: FaultAction::Kill,
            target: "kafka-1".to_owned(),
            setting: None,
            begin_s: Some(1.0),
            end_s: None,
            recovery_s: *recovery_s,
            unrecovered: None,
            disturbed_again: 0,
            band: None,
        };
        RunSummary {
            repeat: 1,
            status: RunStatus::Complete,
            exit_code: Some(0),
            problem: None,
            excluded: false,
            first: ToolSummary::default(),
            then: None,
            faults: recoveries.iter().map(fault).collect(),
        }
    }

    #[test]
    fn recovery_is_the_longest_unless_one_is_missing() {
        let both = [run(&[Some(2.0), Some(3.0)]), run(&[Some(1.0), Some(0.0)])];
        assert_eq!(recovery_s(&both), Spread::of([1.0, 3.0].into_iter(), Worse::High));
        assert_eq!(recovery_s(&[run(&[Some(2.0), None]), run(&[Some(1.0)])]), None);
        assert_eq!(recovery_s(&[run(&[])]), None);
    }
}
