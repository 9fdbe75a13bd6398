//! What became of the messages of every run, what it took, and what was wrong.

use std::collections::BTreeMap;

use bench_cli::quantity::{bytes, count, duration_ns};
use bench_record::Summary;
use bench_report::{Block, Cell, Table, Tone};

use super::told::Told;
use crate::show::summary::{RunSummary, ToolSummary};

/// The columns after those that name the run.
const COLUMNS: [&str; 13] = [
    "acknowledged",
    "received",
    "lost",
    "unread",
    "duplicated",
    "reordered",
    "corrupt",
    "failed",
    "unanswered",
    "schedule lag p99",
    "CPU",
    "CPU per message",
    "memory",
];

pub(super) fn blocks(told: &Told<'_>) -> Vec<Block> {
    let mut head = vec!["cell", "repeat", "tool", "verdict"];
    head.extend(COLUMNS);
    let mut table = Table::new("Every run", &head);
    for cell in &told.summary.cells {
        for run in &cell.runs {
            for (index, tool) in run.tools().enumerate() {
                let names = told.summary.tools().nth(index);
                let name = if told.summary.then.is_some() { names.cloned() } else { None };
                let mut row = vec![
                    Cell::words(&cell.label),
                    Cell::number(run.repeat.to_string()),
                    Cell::words(name.unwrap_or_default()),
                    verdict(run),
                ];
                row.extend(tool.figures.as_ref().map_or_else(
                    || COLUMNS.map(|_| Cell::number("")).to_vec(),
                    |figures| cells(figures).to_vec(),
                ));
                table.rows.push(row);
            }
        }
    }
    let mut blocks = vec![Block::Table(table.without_empty_columns())];
    let notes = notes(told);
    if !notes.is_empty() {
        blocks.push(Block::List(notes));
    }
    blocks
}

fn verdict(run: &RunSummary) -> Cell {
    if run.is_valid() {
        return Cell::toned(run.word(), Tone::Good);
    }
    let problem = run.problem.as_ref().map(|problem| format!(": {problem}")).unwrap_or_default();
    Cell::toned(format!("{}{problem}", run.word()), Tone::Bad)
}

/// In the order of [`COLUMNS`]; empty where there is nothing to tell.
fn cells(figures: &Summary) -> [Cell; 13] {
    let number = |value: Option<u64>| Cell::number(value.map(count).unwrap_or_default());
    // All is well without them.
    let bad = |value: Option<u64>| match value {
        Some(value) if value > 0 => Cell::toned(count(value), Tone::BadNumber),
        other => number(other),
    };
    let some = |value: Option<u64>| number(value.filter(|value| *value > 0));
    let produced = figures.produced.as_ref();
    let audit = figures.audit.as_ref();
    let lag = figures.self_check.as_ref().map(|check| {
        let text = duration_ns(check.lag_p99_ns);
        if check.kept_schedule { Cell::number(text) } else { Cell::toned(text, Tone::BadNumber) }
    });
    let resources = &figures.resources;
    [
        number(produced.map(|it| it.acked)),
        number(audit.map(|it| it.received)),
        bad(audit.map(|it| it.lost)),
        some(audit.map(|it| it.unread)),
        number(audit.map(|it| it.duplicated)),
        number(audit.map(|it| it.reordered)),
        bad(audit.map(|it| it.corrupt)),
        some(produced.map(|it| it.failed)),
        some(produced.map(|it| it.unresolved)),
        lag.unwrap_or_else(|| Cell::number("")),
        Cell::number(format!("{:.2} s", resources.cpu_s)),
        Cell::number(
            resources.cpu_us_per_message.map(|us| format!("{us:.2} us")).unwrap_or_default(),
        ),
        Cell::number(bytes(resources.memory_max_bytes)),
    ]
}

/// Flags and warnings, each with the runs that have it.
fn notes(told: &Told<'_>) -> Vec<String> {
    let mut notes: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for cell in &told.summary.cells {
        for run in &cell.runs {
            let place = format!("{} repeat {}", cell.label, run.repeat);
            for note in run.tools().flat_map(texts) {
                notes.entry(note).or_default().push(place.clone());
            }
        }
    }
    let all: usize = told.summary.cells.iter().map(|cell| cell.runs.len()).sum();
    let line = |(note, places): (&str, Vec<String>)| match places.len() {
        runs if runs == all && all > 1 => format!("every run: {note}"),
        1..=3 => format!("{}: {note}", places.join(", ")),
        runs => format!("{runs} runs, the first {}: {note}", places[0]),
    };
    notes.into_iter().map(line).collect()
}

fn texts(tool: &ToolSummary) -> impl Iterator<Item = &str> {
    let flags = tool.flags.iter().map(|flag| flag.note.as_str());
    flags.chain(tool.warnings.iter().map(String::as_str))
}
