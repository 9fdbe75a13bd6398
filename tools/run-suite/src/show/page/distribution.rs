//! Whole distributions: the percentiles of all cells side by side.

use bench_record::LatencyKind;
use bench_report::Block;
use bench_report::chart::{Axis, Caption, Chart, Line, Lines, Look, Unit};

use super::told::{Told, left_by};
use crate::run::analysis::{Distribution, Distributions};
use crate::show::summary::{CellSummary, RunSummary};

/// A distribution: 1 / (1 - q), and the value there.
type Curve = Vec<(f64, u64)>;

pub(super) fn blocks(told: &Told<'_>) -> Vec<Block> {
    let Some((of_then, kind)) = told.main_latency() else { return Vec::new() };
    let cells = told.summary.cells.iter().enumerate();
    let lines = cells.filter_map(|(index, cell)| line(told, index, cell, of_then, kind));
    let lines: Vec<Line> = lines.collect();
    if lines.is_empty() {
        return Vec::new();
    }
    let title = format!("Percentiles of the {} of each cell", kind.title());
    vec![chart(
        &title,
        "The line is the run in the middle by p99; the band spans all runs. Each step to the right is a \
         tenfold smaller share of messages.",
        kind.title(),
        lines,
    )]
}

/// Curves over the tail.
fn chart(title: &str, note: &str, y: &str, lines: Vec<Line>) -> Block {
    let chart: Chart = Lines {
        caption: Caption::new(title, note, title),
        x: Axis::tail(),
        y: Axis::log(y, Unit::Nanoseconds),
        lines,
        spans: Vec::new(),
        levels: Vec::new(),
        until: None,
        linked: None,
    }
    .into();
    Block::Chart(Box::new(chart))
}

/// The curve of the run in the middle of a cell, among those of all its valid runs.
fn line(
    told: &Told<'_>,
    index: usize,
    cell: &CellSummary,
    of_then: bool,
    kind: LatencyKind,
) -> Option<Line> {
    let middle = told.middle_run(&told.cells[index])?.repeat;
    let valid = cell.runs.iter().filter(|run| run.is_valid());
    let curves: Vec<(u32, Curve)> =
        valid.filter_map(|run| Some((run.repeat, curve(run, of_then, kind)?))).collect();
    let (_, shown) = curves.iter().find(|(repeat, _)| *repeat == middle).or(curves.first())?;
    Some(Line {
        name: cell.label.clone(),
        points: shown.iter().map(|(tail, ns)| (*tail, Some(*ns as f64))).collect(),
        band: if curves.len() > 1 { band(&curves) } else { Vec::new() },
        colour: index,
        look: Look::Plain,
    })
}

/// The distribution of a latency in a run.
fn curve(run: &RunSummary, of_then: bool, kind: LatencyKind) -> Option<Curve> {
    let (folder, document) = left_by(run.tools().nth(usize::from(of_then))?)?;
    let Distribution { curve, .. } = Distributions::of(folder, document).latency(kind)?.clone();
    (!curve.is_empty()).then_some(curve)
}

/// The least and the largest value of all runs at each point that all of them have.
fn band(curves: &[(u32, Curve)]) -> Vec<(f64, f64, f64)> {
    // The last point is that of the largest sample, at a place of its own in each run.
    let inner = |curve: &Curve| curve.len().saturating_sub(1);
    let points = curves.iter().map(|(_, curve)| inner(curve)).min().unwrap_or_default();
    let at = |point: usize| {
        let values = || curves.iter().map(|(_, curve)| curve[point].1);
        let (low, high) = (values().min()?, values().max()?);
        Some((curves[0].1[point].0, low as f64, high as f64))
    };
    (0..points).filter_map(at).collect()
}

/// The latencies of one run from stage to stage, if there are several.
pub(super) fn stages(run: &RunSummary) -> Option<Block> {
    let mut lines = Vec::new();
    let several_tools = run.tools().filter_map(left_by).count() > 1;
    for (folder, document) in run.tools().filter_map(left_by) {
        let all = Distributions::of(folder, document);
        for kind in LatencyKind::ALL {
            let Some(found) = all.latency(kind).filter(|found| !found.curve.is_empty()) else {
                continue;
            };
            let tool =
                if several_tools { format!("{} ", document.tool.name) } else { String::new() };
            lines.push(Line {
                name: format!("{tool}{}", kind.short_title()),
                points: found.curve.iter().map(|(tail, ns)| (*tail, Some(*ns as f64))).collect(),
                band: Vec::new(),
                colour: lines.len(),
                look: Look::Plain,
            });
        }
    }
    let note = "Percentiles of different latencies do not add up: the slowest message of one stage need \
                not be that of the next.";
    (lines.len() > 1).then(|| chart("Stages of latency", note, "latency", lines))
}
