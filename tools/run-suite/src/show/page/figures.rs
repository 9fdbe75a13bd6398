//! The figures of all cells: a table, a chart of each that conclusions rest on, and the gates.

use bench_report::chart::{Axis, Caption, Interval, Intervals};
use bench_report::{Block, Cell, Table, Tone};

use super::answers::{capitalised, value};
use super::told::{Told, scale, unit};
use crate::file::figure::{Figure, Measure, Percentile};
use crate::run::comparison::estimate::Estimate;
use crate::run::comparison::side::Side;
use crate::run::gates::Outcome;
use crate::show::summary::CellSummary;

pub(super) fn blocks(told: &Told<'_>) -> Vec<Block> {
    let mut blocks = vec![Block::Table(table(told))];
    if told.cells.iter().any(|cell| !cell.runs.is_empty()) {
        let charts = told.primary().into_iter().map(|figure| chart(told, &figure));
        blocks.extend(charts.map(|chart| Block::Chart(Box::new(chart.into()))));
    }
    if !told.summary.gates.is_empty() {
        blocks.push(Block::Table(gates(told)));
    }
    blocks
}

/// What the table shows of each cell.
fn figures_shown(told: &Told<'_>) -> Vec<Figure> {
    let of_then = told.summary.then.is_some();
    let figure = |measure| Figure { of_then, measure };
    let percentiles = [Percentile::P50, Percentile::P99, Percentile::P99_9];
    let latencies = percentiles.into_iter().filter_map(|percentile| told.main_figure(percentile));
    std::iter::once(figure(Measure::Throughput))
        .chain(latencies)
        .chain([figure(Measure::CpuPerMessage)])
        .collect()
}

fn table(told: &Told<'_>) -> Table {
    let figures = figures_shown(told);
    let titles: Vec<String> = figures.iter().map(|figure| figure.title(told.then_tool())).collect();
    let mut head = vec!["cell", "runs"];
    head.extend(titles.iter().map(String::as_str));
    let caption = "The value of the run in the middle, and the 95 % interval: of the typical run, or \
                   inside the run where there is one";
    let mut table = Table::new(caption, &head);
    for (summary, side) in told.summary.cells.iter().zip(&told.cells) {
        let mut row = vec![Cell::words(&summary.label), tally(summary)];
        row.extend(figures.iter().map(|figure| {
            let estimate = Estimate::of(side, figure);
            // The interval below the value: side by side they make a wide table.
            let text = estimate.value.map(|_| value(&estimate, figure));
            Cell::number(text.unwrap_or_default().replace(" (", "\n("))
        }));
        table.rows.push(row);
    }
    table.without_empty_columns()
}

/// How many runs count.
fn tally(cell: &CellSummary) -> Cell {
    let all = cell.runs.len();
    if all == 0 {
        return Cell::words("none");
    }
    if cell.valid_runs == all {
        return Cell::toned(format!("{all} valid"), Tone::Good);
    }
    Cell::toned(format!("{} of {all} valid", cell.valid_runs), Tone::Bad)
}

/// A figure of a cell, each run as a dot.
pub(super) fn row(label: String, cell: &Side, figure: &Figure, colour: usize) -> Interval {
    let Estimate { value, interval, .. } = Estimate::of(cell, figure);
    Interval {
        label,
        value,
        interval: interval.map(|it| (it.low, Some(it.high).filter(|high| high.is_finite()))),
        runs: cell.values(figure),
        colour,
    }
}

/// A figure of all cells, each run as a dot.
fn chart(told: &Told<'_>, figure: &Figure) -> Intervals {
    let title = figure.title(told.then_tool());
    let mut table = Table::new(title.clone(), &["cell", "value", "runs"]);
    let mut rows = Vec::new();
    for (index, cell) in told.cells.iter().enumerate() {
        let estimate = Estimate::of(cell, figure);
        let values = cell.values(figure);
        let runs: Vec<String> = values.iter().map(|value| figure.measure.show(*value)).collect();
        table.rows.push(vec![
            Cell::words(cell.label()),
            Cell::number(value(&estimate, figure)),
            Cell::words(runs.join(", ")),
        ]);
        rows.push(row(cell.label().to_owned(), cell, figure, index));
    }
    let scale = scale(rows.iter().flat_map(|row: &Interval| row.runs.iter().copied()));
    let better = if figure.measure.is_better_when_higher() { "Higher" } else { "Lower" };
    let description = format!("{title} of {} cells, from the table below", rows.len());
    Intervals {
        caption: Caption::new(
            capitalised(&title),
            format!(
                "A dot is a run, the diamond the run in the middle, the bar its 95 % interval. {better} is better."
            ),
            description,
        ),
        x: Axis { name: title, unit: unit(&figure.measure), scale },
        rows,
        reference: None,
        table,
    }
}

fn gates(told: &Told<'_>) -> Table {
    let mut table = Table::new("Gates", &["cell", "condition", "outcome"]);
    for result in &told.summary.gates {
        let tone = match result.outcome {
            Outcome::Passed => Tone::Good,
            Outcome::Failed => Tone::Bad,
            Outcome::Undecided => Tone::Open,
        };
        table.rows.push(vec![
            Cell::words(&result.cell),
            Cell::words(result.gate.to_string()),
            Cell::toned(result.finding(), tone),
        ]);
    }
    table
}
