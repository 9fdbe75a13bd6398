//! The sides of a comparison: the valid runs of one cell each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::Result;
use bench_cli::UsageError;
use bench_record::{LatencyKind, RunDocument, ServiceOrigin, Summary};
use bench_stats::{Bounds, PercentileInterval, repeats};
use serde::Serialize;

use crate::file::figure::{Figure, Measure, Measured, Percentile};
use crate::file::repeats::Until;
use crate::run::analysis::Analysis;
use crate::run::folder::{State, experiments_in, is_experiment};
use crate::run::health::{Flag, FlagKind};
use crate::run::machine::Machines;
use crate::run::run_files::ToolFiles;
use crate::run::run_state::RunStatus;

/// One side.
#[derive(Debug, Clone)]
pub(crate) struct Side {
    experiment: Rc<OpenExperiment>,
    cell: usize,
    /// Its valid runs, by repeat.
    pub(crate) runs: Vec<SideRun>,
    /// The repeats that do not count.
    left_out: Vec<u32>,
    /// Those that are left out on request, since something was wrong with them.
    excluded: Vec<u32>,
}

/// A valid run.
#[derive(Debug, Clone)]
pub(crate) struct SideRun {
    pub(crate) repeat: u32,
    pub(crate) first: RunDocument,
    /// That of the second tool.
    pub(crate) then: Option<RunDocument>,
    /// What was wrong with the run of either.
    flags: Vec<Flag>,
    /// The intervals of percentiles inside the run.
    percentiles: BTreeMap<String, PercentileInterval>,
    /// Those of the second tool.
    then_percentiles: BTreeMap<String, PercentileInterval>,
    /// Half the width of the interval of the throughput inside the run, as a share of it: of both tools.
    throughput_half_widths: [Option<f64>; 2],
}

/// Side A and side B.
pub(crate) type Pair = (Side, Side);

/// How the runs of two sides belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Pairing {
    /// Repeat i of A beside repeat i of B: what drifts cancels.
    Blocks,
    /// One side after the other: what drifted meanwhile counts as a difference.
    OneAfterTheOther,
}

/// What output shows of a side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct SideSummary {
    pub(crate) folder: PathBuf,
    pub(crate) experiment: String,
    pub(crate) cell: String,
    /// The repeats that count.
    pub(crate) repeats: Vec<u32>,
    /// Those that do not.
    pub(crate) left_out: Vec<u32>,
    /// Those that are left out on request, since something was wrong with them.
    pub(crate) excluded: Vec<u32>,
}

/// An experiment with its folder.
#[derive(Debug)]
struct OpenExperiment {
    folder: PathBuf,
    state: State,
}

/// The cells that a path names.
struct Cells {
    experiment: Rc<OpenExperiment>,
    cells: Vec<usize>,
}

/// The pairs of cells to compare, and the names of cells without their like.
pub(crate) fn pairs(a: &Path, b: Option<&Path>) -> Result<(Vec<Pair>, Vec<String>)> {
    let (a_cells, mut unmatched) = (Cells::at(a, "A")?, Vec::new());
    let Some(b) = b else {
        let others = a_cells.others(a)?;
        let base = a_cells.cells[0];
        let pairs = others.into_iter().map(|other| (a_cells.side(base), a_cells.side(other)));
        return Ok((pairs.collect(), unmatched));
    };
    let b_cells = Cells::at(b, "B")?;
    if let ([a_cell], [b_cell]) = (&*a_cells.cells, &*b_cells.cells) {
        return Ok((vec![(a_cells.side(*a_cell), b_cells.side(*b_cell))], unmatched));
    }
    let mut pairs = Vec::new();
    for &cell in &a_cells.cells {
        let label = a_cells.label(cell);
        match b_cells.cells.iter().find(|&&other| b_cells.label(other) == label) {
            Some(&other) => pairs.push((a_cells.side(cell), b_cells.side(other))),
            None => unmatched.push(format!("A: {label}")),
        }
    }
    let is_in_a = |label: &str| a_cells.cells.iter().any(|&cell| a_cells.label(cell) == label);
    let only_in_b = b_cells.cells.iter().map(|&cell| b_cells.label(cell));
    unmatched.extend(only_in_b.filter(|label| !is_in_a(label)).map(|label| format!("B: {label}")));
    if pairs.is_empty() {
        return Err(UsageError::new(
            &b.display().to_string(),
            format!("no cell is called like one of {}", a.display()),
            "compare two cells by their folders",
        )
        .into());
    }
    Ok((pairs, unmatched))
}

impl Cells {
    /// The cells at a path: all of an experiment's folder, or the one of a cell's folder.
    fn at(path: &Path, side: &str) -> Result<Self> {
        match experiments_in(path).as_deref() {
            Ok([folder]) => {
                let experiment = OpenExperiment::load(folder)?;
                let cells = (0..experiment.state.plan.cells.len()).collect();
                return Ok(Self { experiment: Rc::new(experiment), cells });
            }
            Ok(several) => {
                return Err(UsageError::new(
                    &format!("{side}: {}", path.display()),
                    format!("holds {} experiments", several.len()),
                    "give the folder of one of them",
                )
                .into());
            }
            Err(_) => {}
        }
        let unknown = || {
            UsageError::new(
                &format!("{side}: {}", path.display()),
                "is neither the folder of an experiment nor that of one of its cells",
                "give the folder that `run-suite run` printed, or one right below it",
            )
        };
        // `cells/.` and a symbolic link have other parents than their paths show.
        let path = path.canonicalize().map_err(|_| unknown())?;
        let parent = path.parent().filter(|parent| is_experiment(parent)).ok_or_else(unknown)?;
        let experiment = OpenExperiment::load(parent)?;
        let name = path.file_name().unwrap_or_default();
        let plan = &experiment.state.plan;
        let is_cell = |cell: &usize| plan.cell_folder(*cell).as_str() == name;
        let cell = (0..plan.cells.len()).find(is_cell).ok_or_else(unknown)?;
        Ok(Self { experiment: Rc::new(experiment), cells: vec![cell] })
    }

    /// The cells beside the first.
    fn others(&self, path: &Path) -> Result<Vec<usize>, UsageError> {
        let all = 0..self.experiment.state.plan.cells.len();
        let others: Vec<usize> = all.filter(|cell| *cell != self.cells[0]).collect();
        if others.is_empty() {
            return Err(UsageError::new(
                &path.display().to_string(),
                "has one cell, and nothing to compare it with",
                "give a second folder",
            ));
        }
        Ok(others)
    }

    fn label(&self, cell: usize) -> &str {
        &self.experiment.state.plan.cells[cell].label
    }

    fn side(&self, cell: usize) -> Side {
        Side::read(Rc::clone(&self.experiment), cell)
    }
}

/// All cells of an experiment that is being run.
pub(crate) fn cells_of(folder: &Path, state: State) -> Vec<Side> {
    let cells = (0..state.plan.cells.len()).collect();
    let experiment = Rc::new(OpenExperiment { folder: folder.to_owned(), state });
    let cells = Cells { experiment, cells };
    cells.cells.iter().map(|&cell| cells.side(cell)).collect()
}

impl OpenExperiment {
    fn load(folder: &Path) -> Result<Self> {
        Ok(Self { folder: folder.to_owned(), state: State::load(folder)? })
    }
}

impl Side {
    fn read(experiment: Rc<OpenExperiment>, cell: usize) -> Self {
        let OpenExperiment { folder, state } = &*experiment;
        let (mut runs, mut left_out) = (Vec::new(), Vec::new());
        let mut machines = Machines::default();
        for (index, run) in state.plan.runs.iter().enumerate() {
            let status = state.runs[index].status;
            if run.cell != cell || matches!(status, RunStatus::NotNeeded | RunStatus::Pending) {
                continue;
            }
            let files = state.files(index, folder);
            let is_valid = state.judge(index, &files).status == RunStatus::Complete;
            let analysis = |tool: &ToolFiles| match &tool.document {
                Ok(document) => Analysis::of(&tool.dir, document),
                Err(_) => Analysis::default(),
            };
            let of_first = analysis(&files.first);
            let of_then = files.then.as_ref().map(analysis).unwrap_or_default();
            let then = files.then.map(|files| files.document.ok());
            match (files.first.document, then) {
                (Ok(first), then) if is_valid && then.as_ref().is_none_or(Option::is_some) => {
                    let machine = machines.flag(cell, run.repeat, &first);
                    runs.push(SideRun {
                        repeat: run.repeat,
                        first,
                        then: then.flatten(),
                        flags: of_first
                            .flags
                            .into_iter()
                            .chain(of_then.flags)
                            .chain(machine)
                            .collect(),
                        throughput_half_widths: [
                            of_first.throughput_half_width,
                            of_then.throughput_half_width,
                        ],
                        percentiles: of_first.percentiles,
                        then_percentiles: of_then.percentiles,
                    });
                }
                _ => left_out.push(run.repeat),
            }
        }
        runs.sort_by_key(|run| run.repeat);
        left_out.sort_unstable();
        Self { experiment, cell, runs, left_out, excluded: Vec::new() }
    }

    /// Leaves out the runs with which something was wrong.
    pub(crate) fn exclude_flagged(&mut self) {
        let (flagged, runs): (Vec<SideRun>, Vec<SideRun>) =
            self.runs.drain(..).partition(SideRun::is_flagged);
        self.excluded = flagged.iter().map(|run| run.repeat).collect();
        self.runs = runs;
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.experiment.folder.join(self.experiment.state.plan.cell_folder(self.cell))
    }

    pub(crate) fn summary(&self) -> SideSummary {
        let plan = &self.experiment.state.plan;
        SideSummary {
            folder: self.folder(),
            experiment: plan.name.clone(),
            cell: plan.cells[self.cell].label.clone(),
            repeats: self.runs.iter().map(|run| run.repeat).collect(),
            left_out: self.left_out.clone(),
            excluded: self.excluded.clone(),
        }
    }

    pub(crate) fn then_tool(&self) -> Option<String> {
        self.experiment.state.plan.then.as_ref().map(|then| then.tool.clone())
    }

    /// Whether a run used services of this origin.
    pub(crate) fn uses(&self, origin: ServiceOrigin) -> bool {
        let documents = self.runs.iter().flat_map(SideRun::documents);
        documents.flat_map(|document| &document.services).any(|service| service.origin == origin)
    }

    /// The figures that its experiment declares primary; if it does not, the throughput and the 99th
    /// percentile of the longest way.
    pub(crate) fn primary(&self) -> Vec<Figure> {
        let plan = &self.experiment.state.plan;
        if !plan.primary.is_empty() {
            return plan.primary.clone();
        }
        let of_then = plan.then.is_some();
        let latency = [LatencyKind::EndToEnd, LatencyKind::Publish, LatencyKind::ServiceTime]
            .into_iter()
            .map(|kind| Measure::Latency(kind, Percentile::P99))
            .map(|measure| Figure { of_then, measure })
            .find(|figure| self.runs.iter().any(|run| run.figure(figure).is_some()));
        let throughput = Figure { of_then, measure: Measure::Throughput };
        std::iter::once(throughput).chain(latency).collect()
    }

    /// The commit that was checked out when its experiment was made.
    pub(crate) fn git_revision(&self) -> Option<&str> {
        self.experiment.state.git_revision.as_deref()
    }

    pub(crate) fn label(&self) -> &str {
        &self.experiment.state.plan.cells[self.cell].label
    }

    /// A figure of the runs that have it, by repeat.
    pub(crate) fn measured(&self, figure: &Figure) -> Vec<Measured> {
        self.runs.iter().filter_map(|run| run.figure(figure)).collect()
    }

    /// The same as plain values.
    pub(crate) fn values(&self, figure: &Figure) -> Vec<f64> {
        self.measured(figure).iter().map(|measured| measured.value).collect()
    }

    /// The interval of a percentile or of the throughput inside a single run, if that has enough samples.
    pub(crate) fn interval_inside(&self, figure: &Figure) -> Option<Bounds> {
        let [run] = self.runs.as_slice() else { return None };
        run.interval_inside(figure)
    }

    /// Half the width of a figure's interval as a share of its value; absent with fewer than two runs,
    /// and if a value may be larger in truth or rests on too few samples.
    pub(crate) fn half_width(&self, figure: &Figure, confidence: f64) -> Option<f64> {
        let values = self.runs.iter().map(|run| {
            let measured = run.figure(figure)?;
            (!measured.is_lower_bound && !measured.has_few_samples()).then_some(measured.value)
        });
        let values: Option<Vec<f64>> = values.collect();
        Some(repeats(&values?, confidence)?.half_width())
    }

    /// Over how many looks its experiment splits the level of decisions.
    pub(crate) fn looks(&self) -> usize {
        let plan = &self.experiment.state.plan;
        match &plan.enough {
            Some(enough) if enough.until == Until::Decided => enough.looks(plan.repeats()).len(),
            _ => 1,
        }
    }

    fn is_same_experiment(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.experiment, &other.experiment) || {
            let path = |side: &Self| side.experiment.folder.canonicalize().ok();
            path(self).is_some() && path(self) == path(other)
        }
    }

    fn has_blocks(&self) -> bool {
        self.experiment.state.plan.has_blocks()
    }
}

impl SideRun {
    /// Whether something was wrong with it that the experiment did not ask for.
    fn is_flagged(&self) -> bool {
        self.flags.iter().any(|flag| flag.kind != FlagKind::Fault)
    }

    /// The interval of a percentile or of the throughput inside the run, if that has enough samples.
    pub(crate) fn interval_inside(&self, figure: &Figure) -> Option<Bounds> {
        if matches!(figure.measure, Measure::Throughput | Measure::ByteThroughput) {
            let value = self.figure(figure)?.value;
            let half_width = self.throughput_half_widths[usize::from(figure.of_then)]?;
            return Some(Bounds::of_share(value, half_width));
        }
        let intervals = if figure.of_then { &self.then_percentiles } else { &self.percentiles };
        intervals.get(&figure.measure.to_string()).map(PercentileInterval::bounds)
    }

    /// The documents of its tools, in their order.
    pub(crate) fn documents(&self) -> impl Iterator<Item = &RunDocument> {
        std::iter::once(&self.first).chain(&self.then)
    }

    /// The figures of one of its tools.
    pub(crate) fn figures(&self, of_then: bool) -> Option<&Summary> {
        let document = if of_then { self.then.as_ref()? } else { &self.first };
        document.summary.as_ref()
    }

    pub(crate) fn figure(&self, figure: &Figure) -> Option<Measured> {
        figure.measure.of(self.figures(figure.of_then)?)
    }
}

/// How the runs of two sides belong together.
pub(crate) fn pairing(a: &Side, b: &Side) -> Pairing {
    if a.is_same_experiment(b) && a.has_blocks() {
        Pairing::Blocks
    } else {
        Pairing::OneAfterTheOther
    }
}

/// What a reader of the verdicts must know about the runs.
pub(crate) fn warnings(a: &Side, b: &Side, pairing: Pairing) -> Vec<String> {
    let mut warnings = Vec::new();
    for (name, side) in [("A", a), ("B", b)] {
        for (why, repeats) in [
            ("repeats without a valid result are left out", &side.left_out),
            ("repeats with which something was wrong are left out as asked", &side.excluded),
        ] {
            if !repeats.is_empty() {
                let repeats: Vec<String> = repeats.iter().map(ToString::to_string).collect();
                warnings.push(format!("{name}: {why}: {}", repeats.join(", ")));
            }
        }
        let notes = side.runs.iter().flat_map(|run| {
            run.flags.iter().map(move |flag| format!("{name} repeat {}: {}", run.repeat, flag.note))
        });
        warnings.extend(notes);
    }
    if pairing == Pairing::OneAfterTheOther {
        let how = if a.is_same_experiment(b) {
            "all repeats of a cell ran in a row"
        } else {
            "the sides were recorded at different times"
        };
        warnings.push(format!(
            "{how}: what changed on the machine meanwhile is part of every difference, so the \
             probabilities are no test; run both sides as cells of one experiment for one"
        ));
    }
    warnings
}
