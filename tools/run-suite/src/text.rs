//! Summaries as text for people: pure functions of a [`SuiteSummary`].

use std::fmt::Write as _;

use bench_cli::quantity::{byte_rate, bytes, count, duration_ns, rate};
use bench_core::results::{FaultRecord, LatencySummary, LoadModel, ServiceOrigin, Summary};
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use crate::summary::{
    CellSummary, ExperimentSummary, RunSummary, Spread, SuiteSummary, throughput_bytes_per_s,
    throughput_msg_per_s,
};
use crate::verdict::RunStatus;

/// What stands where a figure does not exist.
const NO_FIGURE: &str = "-";

/// An experiment by its cells; several experiments run by run.
pub(crate) fn human(suite: &SuiteSummary) -> String {
    let mut text = String::new();
    match suite.experiments.as_slice() {
        [experiment] => {
            heading(&mut text, experiment);
            let _ = write!(text, "\n{}\n\n", by_cell(experiment));
        }
        experiments => {
            for experiment in experiments {
                heading(&mut text, experiment);
            }
            let rows = rows(experiments);
            let _ = write!(text, "\n{}\n\n{}\n\n", throughputs(&rows), latencies(&rows));
        }
    }
    let faults = faults(suite);
    if !faults.is_empty() {
        let _ = write!(text, "faults:\n{faults}\n");
    }
    for note in notes(suite) {
        let _ = writeln!(text, "{note}");
    }
    text.push_str("\nfolders:\n");
    for experiment in &suite.experiments {
        let _ = writeln!(text, "  {}", experiment.folder.display());
    }
    text
}

fn heading(text: &mut String, experiment: &ExperimentSummary) {
    let verdict = tally(experiment.cells.iter().flat_map(|cell| &cell.runs));
    let _ = writeln!(text, "{} ({verdict}): {}", experiment.name, experiment.question);
}

/// How many runs came to which end: `3 valid`, `2 valid, 1 INVALID`.
fn tally<'a>(runs: impl Iterator<Item = &'a RunSummary>) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for run in runs {
        let word = word(run.status);
        match counts.iter_mut().find(|(known, _)| *known == word) {
            Some((_, count)) => *count += 1,
            None => counts.push((word, 1)),
        }
    }
    let counts: Vec<String> =
        counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
    counts.join(", ")
}

fn word(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Complete => "valid",
        RunStatus::Invalid => "INVALID",
        RunStatus::Failed => "FAILED",
        RunStatus::TimedOut => "TIMED OUT",
        RunStatus::Interrupted => "interrupted",
        RunStatus::Running => "cut short or running",
        RunStatus::Pending => "pending",
    }
}

/// A row a cell.
fn by_cell(experiment: &ExperimentSummary) -> String {
    // A column for the names, unless the swept options say it all.
    let named =
        experiment.columns.is_empty() || experiment.cells.iter().any(|cell| cell.name.is_some());
    let repeated = experiment.repeats > 1;
    let mut header: Vec<String> = Vec::new();
    if named {
        header.push("case".to_owned());
    }
    header.extend(experiment.columns.iter().cloned());
    let texts = header.len();
    header.extend(["msg/s", "bytes/s", "e2e p50", "e2e p99", "runs"].map(str::to_owned));
    let rows = experiment.cells.iter().map(|cell| {
        let mut row: Vec<String> = Vec::new();
        if named {
            let label = if experiment.columns.is_empty() { &*cell.label } else { "" };
            row.push(cell.name.as_deref().unwrap_or(label).to_owned());
        }
        row.extend(cell.values.iter().map(|value| value.as_deref().unwrap_or("default").into()));
        row.extend(cell_figures(cell, repeated));
        row
    });
    table(header, texts, rows)
}

fn cell_figures(cell: &CellSummary, repeated: bool) -> [String; 5] {
    let latency = |spread| figure(spread, repeated, duration_ns);
    [
        figure(cell.throughput_msg_per_s, repeated, msg_rate),
        figure(cell.throughput_bytes_per_s, repeated, byte_rate),
        latency(cell.end_to_end_p50_ns),
        latency(cell.end_to_end_p99_ns),
        tally(cell.runs.iter()),
    ]
}

/// The median, and the range of the repeats below it.
fn figure<T: Copy>(
    spread: Option<Spread<T>>,
    repeated: bool,
    show: impl Fn(T) -> String,
) -> String {
    let Some(Spread { median, min, max }) = spread else { return NO_FIGURE.to_owned() };
    let median = show(median);
    if repeated { format!("{median}\n{}", range(&show(min), &show(max))) } else { median }
}

/// `1.10-1.40 ms`, or with both units where they differ.
fn range(min: &str, max: &str) -> String {
    match (min.split_once(' '), max.split_once(' ')) {
        (Some((number, unit)), Some((_, other))) if unit == other => format!("{number}-{max}"),
        _ => format!("{min}-{max}"),
    }
}

/// A rate under a heading that names the unit.
fn msg_rate(per_s: f64) -> String {
    rate(per_s).trim_end_matches("msg/s").trim_end().to_owned()
}

/// A run of one of several experiments.
struct Row<'a> {
    name: String,
    run: &'a RunSummary,
    figures: &'a Summary,
}

fn rows(experiments: &[ExperimentSummary]) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    for experiment in experiments {
        for cell in &experiment.cells {
            for run in &cell.runs {
                let Some(figures) = &run.figures else { continue };
                rows.push(Row { name: run_name(experiment, cell, run), run, figures });
            }
        }
    }
    rows
}

/// Names a run among those of several experiments.
fn run_name(experiment: &ExperimentSummary, cell: &CellSummary, run: &RunSummary) -> String {
    let mut name = experiment.name.clone();
    if cell.label != experiment.name {
        let _ = write!(name, " {}", cell.label);
    }
    if experiment.repeats > 1 {
        let _ = write!(name, " repeat {}", run.repeat);
    }
    name
}

/// Throughput, audit, self-check and resources, a row a run.
fn throughputs(rows: &[Row<'_>]) -> String {
    let header = ["", "audit", "generator", "msg/s", "bytes/s", "CPU", "CPU/msg", "memory"]
        .map(str::to_owned);
    table(
        header.into(),
        3,
        rows.iter().map(|Row { name, run, figures }| {
            let used = &figures.resources;
            let or_none = |text: Option<String>| text.unwrap_or_else(|| NO_FIGURE.to_owned());
            vec![
                name.clone(),
                audit(run, figures),
                generator(figures),
                or_none(throughput_msg_per_s(figures).map(msg_rate)),
                or_none(throughput_bytes_per_s(figures).map(byte_rate)),
                format!("{:.2} s", used.cpu_s),
                or_none(used.cpu_us_per_message.map(|us| format!("{us:.2} us"))),
                bytes(used.memory_max_bytes),
            ]
        }),
    )
}

/// The verdict, and what the audit counted that is not as it should be.
fn audit(run: &RunSummary, figures: &Summary) -> String {
    let mut text = word(run.status).to_owned();
    let Some(audit) = &figures.audit else { return text + ", not audited" };
    let _ = write!(text, ", {} lost", count(audit.lost));
    for (number, what) in [
        (audit.duplicated, "duplicated"),
        (audit.reordered, "reordered"),
        (audit.corrupt, "corrupt"),
        (audit.foreign, "foreign"),
    ] {
        if number > 0 {
            let _ = write!(text, ", {} {what}", count(number));
        }
    }
    text
}

fn generator(figures: &Summary) -> String {
    match (&figures.self_check, figures.load) {
        (Some(check), _) if check.kept_schedule => "on schedule".to_owned(),
        (Some(check), _) => format!("LATE, lag p99 {}", duration_ns(check.lag_p99_ns)),
        (None, LoadModel::Closed) => "unpaced".to_owned(),
        (None, _) => NO_FIGURE.to_owned(),
    }
}

/// Latencies, a row for each kind and run.
fn latencies(rows: &[Row<'_>]) -> String {
    let header = ["", "latency", "p50", "p90", "p99", "p99.9", "max"].map(str::to_owned);
    let lines = rows.iter().flat_map(|Row { name, figures, .. }| {
        let kinds = [
            ("publish", &figures.publish_latency),
            ("service time", &figures.service_time),
            ("end-to-end", &figures.end_to_end_latency),
        ];
        // The service time stands in where no schedule gives a publish latency.
        let stands = |kind: &str| kind != "service time" || figures.publish_latency.is_none();
        let kinds = kinds.into_iter().filter(move |(kind, _)| stands(kind));
        let kinds = kinds.filter_map(|(kind, latency)| Some((kind, latency.as_ref()?)));
        kinds.enumerate().map(|(line, (kind, latency))| {
            let name = if line == 0 { name.clone() } else { String::new() };
            [vec![name, kind.to_owned()], percentiles(latency)].concat()
        })
    });
    table(header.into(), 2, lines)
}

fn percentiles(latency: &LatencySummary) -> Vec<String> {
    [latency.p50_ns, latency.p90_ns, latency.p99_ns, latency.p99_9_ns, latency.max_ns]
        .map(|ns| if latency.count == 0 { NO_FIGURE.to_owned() } else { duration_ns(ns) })
        .into()
}

/// A line for each fault of each run.
fn faults(suite: &SuiteSummary) -> String {
    let mut text = String::new();
    let several = suite.runs().nth(1).is_some();
    for experiment in &suite.experiments {
        for (cell, run) in
            experiment.cells.iter().flat_map(|cell| cell.runs.iter().map(move |run| (cell, run)))
        {
            let name = if several { run_name(experiment, cell, run) + ": " } else { String::new() };
            let audit = run.figures.as_ref().and_then(|figures| figures.audit.as_ref());
            let audit = audit.map(|audit| {
                format!("{} lost, {} duplicated", count(audit.lost), count(audit.duplicated))
            });
            let [fault] = run.faults.as_slice() else {
                for fault in &run.faults {
                    let _ = writeln!(text, "  {name}{}", recovery(fault));
                }
                if let Some(audit) = audit.filter(|_| !run.faults.is_empty()) {
                    let _ = writeln!(text, "  {name}in the whole run {audit}");
                }
                continue;
            };
            let audit = audit.map(|audit| format!("; {audit}")).unwrap_or_default();
            let _ = writeln!(text, "  {name}{}{audit}", recovery(fault));
        }
    }
    text
}

/// `kill kafka-2 at 20.0 s: recovered after 6.3 s`
fn recovery(fault: &FaultRecord) -> String {
    let mut text = fault.name();
    if let Some(begin_s) = fault.begin_s {
        let _ = write!(text, " at {begin_s:.1} s");
    }
    let _ = match (fault.recovery_s, &fault.unrecovered) {
        (Some(0.0), _) => write!(text, ": not noticed"),
        (Some(after_s), _) => write!(text, ": recovered after {after_s:.1} s"),
        (None, Some(why)) => write!(text, ": no recovery: {why}"),
        (None, None) => write!(text, ": recovery unknown"),
    };
    if fault.disturbed_again > 0 {
        let intervals = if fault.disturbed_again == 1 { "interval" } else { "intervals" };
        let _ = write!(text, ", {} {intervals} disturbed later", fault.disturbed_again);
    }
    text
}

/// What a reader must know about the figures, a line each.
fn notes(suite: &SuiteSummary) -> Vec<String> {
    let mut notes = Vec::new();
    let any = |is: fn(&RunSummary) -> bool| suite.runs().any(is);
    if any(|run| run.origins.contains(&ServiceOrigin::Embedded)) {
        notes.push(
            "embedded services: the figures are the client's ceiling on loopback, not the system's \
             performance"
                .to_owned(),
        );
    }
    if any(|run| run.origins.contains(&ServiceOrigin::Local)) {
        notes.push(
            "local services: real servers, which share this machine with the client that measures \
             them"
                .to_owned(),
        );
    }
    if any(RunSummary::is_closed_loop) {
        notes.push(
            "runs without a rate go as fast as they can: their latency counts from sending and \
             includes the queue that full speed builds up"
                .to_owned(),
        );
    }
    if suite.experiments.iter().any(|experiment| experiment.repeats > 1) {
        notes.push(
            "a figure is the median of the valid repeats, with their range below it; percentiles \
             are each run's own, never averaged"
                .to_owned(),
        );
    }
    notes.extend(run_notes(suite));
    for experiment in suite.experiments.iter().filter(|experiment| !experiment.finished) {
        let folder = experiment.folder.display();
        notes.push(format!("not finished: `run-suite resume {folder}` runs the rest"));
    }
    notes
}

/// The notes on single runs; one that several runs share stands once.
fn run_notes(suite: &SuiteSummary) -> Vec<String> {
    const NAMED_MAX: usize = 3;
    const NOTES_MAX: usize = 12;
    let mut notes: Vec<(String, Vec<String>)> = Vec::new();
    for experiment in &suite.experiments {
        for (cell, run) in
            experiment.cells.iter().flat_map(|cell| cell.runs.iter().map(move |run| (cell, run)))
        {
            let name = run_name(experiment, cell, run);
            for note in notes_on(run) {
                match notes.iter_mut().find(|(known, _)| *known == note) {
                    Some((_, names)) => names.push(name.clone()),
                    None => notes.push((note, vec![name.clone()])),
                }
            }
        }
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

/// Why a run does not count, what its percentiles do not hold, and the warnings of its tool.
fn notes_on(run: &RunSummary) -> Vec<String> {
    let latency = run.figures.as_ref().and_then(|figures| figures.end_to_end_latency.as_ref());
    let unheld = latency.filter(|latency| latency.negative > 0 || latency.beyond_range > 0);
    let unheld = unheld.map(|latency| {
        format!(
            "{} end-to-end samples below zero and {} beyond the range are in no percentile",
            count(latency.negative),
            count(latency.beyond_range)
        )
    });
    let notes = run.problem.iter().cloned().chain(unheld);
    notes.chain(run.warnings.iter().cloned()).collect()
}

/// A table without lines: `texts` columns to the left, figures to the right.
/// Rows below a header, the first `texts` columns to the left and the others to the right.
pub(crate) fn table(
    header: Vec<String>,
    texts: usize,
    rows: impl Iterator<Item = Vec<String>>,
) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header).add_rows(rows);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((if index == 0 { 0 } else { 2 }, 0));
        if index >= texts {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}
