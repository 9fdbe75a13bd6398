//! Which cell is better, by how much, and how sure that is: all cells against the first.

use bench_report::chart::{Axis, Caption, Interval, Intervals, Scale, Unit};
use bench_report::{Block, Cell, Table, Tone};

use super::answers::capitalised;
use super::told::Told;
use crate::run::comparison::CellComparison;
use crate::run::comparison::differences::Difference;
use crate::run::comparison::figures::{FigureComparison, Verdict};

pub(super) fn blocks(told: &Told<'_>) -> Vec<Block> {
    let Some(comparison) = told.comparison() else { return Vec::new() };
    let mut blocks = Vec::new();
    for figure in told.primary() {
        let rows: Vec<(&CellComparison, &FigureComparison)> = comparison
            .cells
            .iter()
            .filter_map(|cell| Some((cell, cell.figures.iter().find(|it| it.figure == figure)?)))
            .filter(|(_, found)| found.change.is_some())
            .collect();
        if !rows.is_empty() {
            let chart = chart(told, &figure.title(told.then_tool()), &rows, comparison.margin);
            blocks.push(Block::Chart(Box::new(chart.into())));
        }
    }
    for cell in &comparison.cells {
        blocks.push(Block::Folded {
            title: format!("{} against {}: every figure", cell.b.cell, cell.a.cell),
            blocks: whole(cell, comparison.margin),
            is_open: false,
        });
    }
    blocks
}

/// One figure of all pairs.
fn chart(
    told: &Told<'_>,
    title: &str,
    rows: &[(&CellComparison, &FigureComparison)],
    margin: f64,
) -> Intervals {
    let base = told.cells.first().map_or("", |cell| cell.label());
    let mut table = Table::new(format!("{title} against {base}"), &["cell", "B / A", "B is"]);
    let intervals = rows.iter().map(|(cell, found)| {
        table.rows.push(vec![
            Cell::words(&cell.b.cell),
            Cell::number(found.ratio().replace('\n', ", ")),
            Cell::toned(found.words(margin), tone(found.verdict)),
        ]);
        Interval {
            label: format!("{}: {}", cell.b.cell, found.verdict.name()),
            value: found.change.map(|change| change.ratio),
            interval: found.change.map(|it| (it.interval.low, Some(it.interval.high))),
            runs: Vec::new(),
            colour: colour(found.verdict),
        }
    });
    let intervals: Vec<Interval> = intervals.collect();
    Intervals {
        caption: Caption::new(
            capitalised(&format!("{title}, change from {base}")),
            "The bar is the 95 % interval. The shaded range is the margin: a bar inside it means the \
             same, a bar that leaves out 0 % a difference.",
            format!("changes of {title}, from the table below"),
        ),
        x: Axis {
            name: format!("change of {title}"),
            unit: Unit::Change,
            scale: scale(&intervals),
        },
        rows: intervals,
        reference: Some((1.0, 1.0 / (1.0 + margin), 1.0 + margin)),
        table,
    }
}

/// Every figure of a pair, and what else is known of it.
fn whole(cell: &CellComparison, margin: f64) -> Vec<Block> {
    let mut table = Table::new(cell.how(), &["figure", "A", "B", "B / A", "B is"]);
    for found in &cell.figures {
        let row = cell.row(found, margin);
        let last = row.len() - 1;
        let cells = row.into_iter().enumerate().map(|(column, text)| {
            let text = text.replace('\n', ", ");
            match column {
                0 => Cell::words(text),
                _ if column == last => Cell::toned(text, tone(found.verdict)),
                _ => Cell::number(text),
            }
        });
        table.rows.push(cells.collect());
    }
    let mut notes: Vec<String> = cell.count_lines().collect();
    notes.extend(cell.differences.iter().map(Difference::line));
    notes.extend(cell.warnings.iter().cloned());
    let mut blocks = vec![Block::Table(table)];
    if !notes.is_empty() {
        blocks.push(Block::List(notes));
    }
    blocks
}

/// Small changes look the same on both scales, and a logarithmic one has no marks between them.
fn scale(rows: &[Interval]) -> Scale {
    let ends = rows.iter().filter_map(|row| row.interval).flat_map(|(low, high)| [Some(low), high]);
    let is_small = |end: f64| (0.3..3.0).contains(&end);
    if ends.flatten().all(is_small) { Scale::Fitted } else { Scale::Log }
}

fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Faster | Verdict::Less => Tone::Good,
        Verdict::Slower | Verdict::More => Tone::Bad,
        Verdict::Same => Tone::Words,
        Verdict::Undecided | Verdict::TooFewRuns | Verdict::TooFewSamples | Verdict::LowerBound => {
            Tone::Open
        }
    }
}

fn colour(verdict: Verdict) -> usize {
    match tone(verdict) {
        Tone::Good => 2,
        Tone::Bad => 1,
        Tone::Open => 4,
        _ => 0,
    }
}
