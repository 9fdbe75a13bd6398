//! An experiment with everything that a page tells of it.

use std::cell::OnceCell;
use std::path::Path;

use anyhow::Result;
use bench_record::{LatencyKind, RunDocument};
use bench_report::chart::{Scale, Unit};

use crate::file::figure::{Figure, Measure, Percentile};
use crate::run::comparison::side::{Pair, Side, SideRun, cells_of};
use crate::run::comparison::{Comparison, Criteria};
use crate::run::folder::State;
use crate::show::summary::{ExperimentSummary, ToolSummary};

/// An experiment with all that a page tells of it.
pub(super) struct Told<'a> {
    pub(super) summary: &'a ExperimentSummary,
    pub(super) state: State,
    /// The valid runs of each cell.
    pub(super) cells: Vec<Side>,
    /// The most points of each line.
    pub(super) points_max: usize,
    comparison: OnceCell<Option<Comparison>>,
}

impl<'a> Told<'a> {
    pub(super) fn open(summary: &'a ExperimentSummary, points_max: usize) -> Result<Self> {
        let state = State::load(&summary.folder)?;
        let mut cells = cells_of(&summary.folder, state.clone());
        if summary.cells.iter().flat_map(|cell| &cell.runs).any(|run| run.excluded) {
            cells.iter_mut().for_each(Side::exclude_flagged);
        }
        Ok(Self { summary, state, cells, points_max, comparison: OnceCell::new() })
    }

    pub(super) fn then_tool(&self) -> Option<&str> {
        self.summary.then.as_deref()
    }

    /// All cells against the first, if they can be compared.
    pub(super) fn comparison(&self) -> Option<&Comparison> {
        self.comparison.get_or_init(|| against_first(&self.cells)).as_ref()
    }

    /// The figures that conclusions rest on.
    pub(super) fn primary(&self) -> Vec<Figure> {
        let measured = self.cells.iter().find(|cell| !cell.runs.is_empty());
        measured.map(Side::primary).unwrap_or_default()
    }

    /// The latency that is shown first: the longest way.
    pub(super) fn main_latency(&self) -> Option<(bool, LatencyKind)> {
        let tools: &[bool] = if self.summary.then.is_some() { &[true, false] } else { &[false] };
        let all = tools.iter().flat_map(|of_then| LatencyKind::WAYS.map(|kind| (*of_then, kind)));
        let mut all = all.filter(|(of_then, kind)| {
            let measure = Measure::Latency(*kind, Percentile::P50);
            let figure = Figure { of_then: *of_then, measure };
            self.cells.iter().any(|cell| !cell.measured(&figure).is_empty())
        });
        all.next()
    }

    /// A percentile of the main latency.
    pub(super) fn main_figure(&self, percentile: Percentile) -> Option<Figure> {
        let (of_then, kind) = self.main_latency()?;
        Some(Figure { of_then, measure: Measure::Latency(kind, percentile) })
    }

    /// The run of a cell in the middle, by the 99th percentile of the main latency, else the first.
    pub(super) fn middle_run<'c>(&self, cell: &'c Side) -> Option<&'c SideRun> {
        let Some(figure) = self.main_figure(Percentile::P99) else { return cell.runs.first() };
        let middle = figure.measure.middle(&cell.values(&figure));
        let is_it = |run: &&SideRun| run.figure(&figure).map(|it| it.value) == middle;
        cell.runs.iter().find(is_it).or(cell.runs.first())
    }
}

fn against_first(cells: &[Side]) -> Option<Comparison> {
    let (base, others) = cells.split_first()?;
    let pairs: Vec<Pair> = others.iter().map(|other| (base.clone(), other.clone())).collect();
    let has_repeats = |pair: &Pair| pair.0.runs.len() > 1 && pair.1.runs.len() > 1;
    if !pairs.iter().any(has_repeats) {
        return None;
    }
    Comparison::of(&pairs, Vec::new(), &Criteria::default()).ok()
}

/// From the least to the largest value by this factor, an axis is logarithmic.
const LOG_FROM: f64 = 20.0;

/// Logarithmic for values that differ much.
pub(super) fn scale(values: impl Iterator<Item = f64>) -> Scale {
    let ends = |(least, most): (f64, f64), value: f64| (least.min(value), most.max(value));
    let (least, most) = values.fold((f64::INFINITY, 0.0), ends);
    if least > 0.0 && most / least > LOG_FROM { Scale::Log } else { Scale::Linear }
}

/// The unit of a figure.
pub(super) fn unit(measure: &Measure) -> Unit {
    match measure {
        Measure::Throughput => Unit::Rate,
        Measure::ByteThroughput => Unit::ByteRate,
        Measure::Latency(..) | Measure::Duration(..) => Unit::Nanoseconds,
        Measure::CpuPerMessage => Unit::Microseconds,
    }
}

/// What one of the tools of a run left, if it left a document: its folder and that document.
pub(super) fn left_by(tool: &ToolSummary) -> Option<(&Path, &RunDocument)> {
    Some((tool.folder.as_path(), tool.document.as_ref()?))
}
