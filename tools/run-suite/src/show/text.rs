//! Summaries as text for people: pure functions of a [`SuiteSummary`].

mod cells;
mod runs;

use std::fmt::Write as _;

use bench_cli::Align;
use bench_cli::quantity::count;
use bench_record::{LatencySummary, ServiceOrigin};

use self::cells::{by_cell, by_cell_and_tool, durations};
use self::runs::{cell_name, counts, faults, latencies, rows, run_name, throughputs};
use super::gates;
use crate::run::health::FlagKind;
use crate::run::run_state::RunStatus;
use crate::show::summary::{CellSummary, ExperimentSummary, RunSummary, SuiteSummary, ToolSummary};

/// Stands for a figure that does not exist.
const NO_FIGURE: &str = "-";

/// An experiment by its cells; several experiments run by run.
pub(crate) fn human(suite: &SuiteSummary) -> String {
    let mut text = String::new();
    match suite.experiments.as_slice() {
        [experiment] => {
            heading(&mut text, experiment);
            let table = match experiment.then {
                Some(_) => by_cell_and_tool(experiment),
                None => by_cell(experiment),
            };
            let _ = write!(text, "\n{table}\n\n");
        }
        experiments => {
            for experiment in experiments {
                heading(&mut text, experiment);
            }
            let rows = rows(experiments);
            let _ = write!(text, "\n{}\n\n{}\n\n", throughputs(&rows), latencies(&rows));
        }
    }
    let sections = [
        ("gates", gates::lines(suite)),
        ("durations", durations(suite)),
        ("counts", counts(suite)),
        ("faults", faults(suite)),
    ];
    for (heading, lines) in sections {
        if !lines.is_empty() {
            let _ = write!(text, "{heading}:\n{lines}\n");
        }
    }
    for note in notes(suite) {
        let _ = writeln!(text, "{note}");
    }
    text.push_str("\nfolders:\n");
    for experiment in &suite.experiments {
        let _ = writeln!(text, "  {}", experiment.folder.display());
        if let Some(dir) = &experiment.latencies_dir {
            let _ = writeln!(text, "  {} (latencies over time)", dir.display());
        }
    }
    for experiment in &suite.unreadable {
        let _ = writeln!(text, "  {} (UNREADABLE)", experiment.folder.display());
    }
    text
}

fn heading(text: &mut String, experiment: &ExperimentSummary) {
    let verdict = tally(experiment.cells.iter().flat_map(|cell| &cell.runs));
    let _ = writeln!(text, "{} ({verdict}): {}", experiment.name, experiment.question);
}

/// The number of runs by status: `3 valid`, `2 valid, 1 INVALID`.
fn tally<'a>(runs: impl Iterator<Item = &'a RunSummary>) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for run in runs {
        let word = run.word();
        match counts.iter_mut().find(|(known, _)| *known == word) {
            Some((_, count)) => *count += 1,
            None => counts.push((word, 1)),
        }
    }
    let counts: Vec<String> =
        counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
    counts.join(", ")
}

/// Notes for the reader of the figures, a line each.
fn notes(suite: &SuiteSummary) -> Vec<String> {
    let mut notes = Vec::new();
    let any = |is: fn(&RunSummary) -> bool| suite.runs().any(is);
    if any(|run| run.used(ServiceOrigin::Embedded)) {
        notes.push(
            "embedded services: the figures are the client's ceiling on loopback, not the system's \
             performance"
                .to_owned(),
        );
    }
    if any(|run| run.used(ServiceOrigin::Local)) {
        notes.push(
            "local services: real servers on the same machine as the client that measures them"
                .to_owned(),
        );
    }
    if any(RunSummary::is_closed_loop) {
        notes.push(
            "runs without a rate send as fast as possible: their latency counts from sending and \
             includes the queue that builds up at full speed"
                .to_owned(),
        );
    }
    if suite.experiments.iter().any(|experiment| experiment.repeats > 1) {
        notes.push(
            "a figure is the median of the valid repeats, with their range below it; percentiles \
             are those of single runs, never averaged"
                .to_owned(),
        );
    }
    notes.extend(left_out(suite));
    notes.extend(lacking(suite));
    notes.extend(run_notes(suite));
    notes.extend(suite.unreadable.iter().map(|experiment| experiment.problem.clone()));
    for experiment in suite.experiments.iter().filter(|experiment| !experiment.finished) {
        let folder = experiment.folder.display();
        notes.push(format!("not finished: `run-suite resume {folder}` runs the rest"));
    }
    notes
}

/// The runs that are excluded from medians and ranges.
fn left_out(suite: &SuiteSummary) -> Option<String> {
    const NAMED_MAX: usize = 10;
    let made = named_runs(suite).filter(|(_, _, run)| run.status != RunStatus::Pending);
    let names: Vec<String> = made
        .filter(|(_, _, run)| !run.is_valid())
        .map(|(experiment, cell, run)| {
            format!("{} ({})", run_name(experiment, cell, run), run.word())
        })
        .collect();
    let number = match names.len() {
        0 => return None,
        1 => "1 run is".to_owned(),
        runs => format!("{runs} runs are"),
    };
    let more = match names.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let first = names.into_iter().take(NAMED_MAX).collect::<Vec<_>>().join(", ");
    Some(format!("{number} left out of all medians and ranges: {first}{more}"))
}

/// The medians that not all valid runs have.
fn lacking(suite: &SuiteSummary) -> Vec<String> {
    let mut notes = Vec::new();
    for experiment in &suite.experiments {
        for cell in &experiment.cells {
            for (tool, figures) in experiment.tools().zip(cell.figures()) {
                let name = cell_name(experiment, cell);
                let name = if cell.then.is_some() { format!("{name} {tool}") } else { name };
                let lacking = figures.lacking(cell.valid_runs);
                notes.extend(lacking.iter().map(|note| format!("{name}: {note}")));
            }
        }
    }
    notes
}

/// Every run, with its experiment and its cell.
fn named_runs(
    suite: &SuiteSummary,
) -> impl Iterator<Item = (&ExperimentSummary, &CellSummary, &RunSummary)> {
    suite.experiments.iter().flat_map(|experiment| {
        let cells = experiment.cells.iter();
        cells.flat_map(move |cell| cell.runs.iter().map(move |run| (experiment, cell, run)))
    })
}

/// The notes on single runs; one that several runs share is given once.
fn run_notes(suite: &SuiteSummary) -> Vec<String> {
    const NAMED_MAX: usize = 3;
    const NOTES_MAX: usize = 12;
    let mut notes: Vec<(String, Vec<String>)> = Vec::new();
    let mut add =
        |(name, note): (String, String)| match notes.iter_mut().find(|(known, _)| *known == note) {
            Some((_, names)) => names.push(name),
            None => notes.push((note, vec![name])),
        };
    // Problems come first, so that no warning hides them.
    for (experiment, cell, run) in named_runs(suite) {
        let problem = run.problem.iter();
        problem.for_each(|problem| add((run_name(experiment, cell, run), problem.clone())));
    }
    for (experiment, cell, run) in named_runs(suite) {
        notes_on(experiment, cell, run).into_iter().for_each(&mut add);
    }
    let line = |(note, names): (String, Vec<String>)| match names.len() {
        ..=NAMED_MAX => format!("{}: {note}", names.join(", ")),
        runs => format!("{runs} runs: {note}"),
    };
    let more = notes.len().saturating_sub(NOTES_MAX);
    let mut lines: Vec<String> = notes.into_iter().take(NOTES_MAX).map(line).collect();
    if more > 0 {
        lines.push(format!("and {more} more notes: `--output json` has them all"));
    }
    lines
}

/// The samples that the percentiles of a run exclude, and the warnings of its tools, each with the name
/// of the run, and of the tool if there are two.
fn notes_on(
    experiment: &ExperimentSummary,
    cell: &CellSummary,
    run: &RunSummary,
) -> Vec<(String, String)> {
    let name = run_name(experiment, cell, run);
    let mut notes = Vec::new();
    for (tool, left) in experiment.tools().zip(run.tools()) {
        let name = match experiment.then {
            Some(_) => format!("{name} {tool}"),
            None => name.clone(),
        };
        let warnings = unheld(left).into_iter().chain(left.warnings.iter().cloned());
        // The tool itself has warned of a schedule that was not kept.
        let flags = left.flags.iter().filter(|flag| flag.kind != FlagKind::Schedule);
        let warnings = warnings.chain(flags.map(|flag| flag.note.clone()));
        notes.extend(warnings.map(|warning| (name.clone(), warning)));
    }
    notes
}

/// The samples that the percentiles of latencies exclude or underestimate.
fn unheld(left: &ToolSummary) -> Vec<String> {
    let Some(figures) = &left.figures else { return Vec::new() };
    let durations = figures.durations.iter();
    let durations = durations.map(|(name, duration)| (name.replace('_', " "), duration));
    let latencies = runs::latencies_of(figures).map(|(kind, latency)| (kind.to_owned(), latency));
    let mut notes = Vec::new();
    for (kind, latency) in latencies.chain(durations) {
        let LatencySummary { negative, beyond_range, unanswered, .. } = *latency;
        if negative > 0 || beyond_range > 0 {
            notes.push(format!(
                "{} {kind} samples below zero and {} beyond the range are excluded from percentiles",
                count(negative),
                count(beyond_range)
            ));
        }
        if unanswered > 0 {
            notes.push(format!(
                "{} {kind} samples are of unacknowledged messages and count with the time that they \
                 waited: figures marked >= are lower bounds",
                count(unanswered)
            ));
        }
    }
    notes
}

/// Rows below a header, the first `texts` columns to the left and the others to the right.
fn table(header: Vec<String>, texts: usize, rows: impl Iterator<Item = Vec<String>>) -> String {
    let rows: Vec<Vec<String>> = std::iter::once(header).chain(rows).collect();
    let align = |column| if column < texts { Align::Left } else { Align::Right };
    bench_cli::table(&rows, align).trim_end().to_owned()
}
