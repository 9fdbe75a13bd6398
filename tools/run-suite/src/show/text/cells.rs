//! One experiment: what its cells measured.

use std::fmt::Write as _;

use bench_cli::quantity::{byte_rate, duration_ns, rate};
use bench_record::LatencyKind;

use super::runs::cell_name;
use super::{NO_FIGURE, table, tally};
use crate::run::key_figures::bound;
use crate::show::summary::{
    CellFigures, CellSummary, ExperimentSummary, Percentiles, Spread, SuiteSummary,
};

/// The figures of an experiment of one tool: a row per cell.
pub(super) fn by_cell(experiment: &ExperimentSummary) -> String {
    let repeated = experiment.repeats > 1;
    let kind = shown_latency(experiment);
    let (p50, p99) = (format!("{} p50", short(kind)), format!("{} p99", short(kind)));
    let mut header = cell_header(experiment);
    let texts = header.len();
    header.extend(["msg/s", "bytes/s", &p50, &p99, "runs"].map(str::to_owned));
    let rows = experiment.cells.iter().map(|cell| {
        let Percentiles { p50_ns: p50, p99_ns: p99 } = cell.figures.latency(kind);
        let mut row = cell_names(experiment, cell);
        row.extend(throughput(&cell.figures, repeated));
        row.extend([p50, p99].map(|spread| figure(spread, repeated, duration_ns)));
        row.push(tally(cell.runs.iter()));
        row
    });
    table(header, texts, rows)
}

/// The figures of an experiment of two tools: for each cell and tool a row per measured latency.
pub(super) fn by_cell_and_tool(experiment: &ExperimentSummary) -> String {
    let repeated = experiment.repeats > 1;
    let mut header = cell_header(experiment);
    let names = header.len();
    header.extend(["tool", "runs", "latency"].map(str::to_owned));
    let texts = header.len();
    header.extend(["p50", "p99", "msg/s", "bytes/s"].map(str::to_owned));
    let mut rows = Vec::new();
    for cell in &experiment.cells {
        for (index, (tool, figures)) in experiment.tools().zip(cell.figures()).enumerate() {
            let mut begin =
                if index == 0 { cell_names(experiment, cell) } else { vec![String::new(); names] };
            begin.push(tool.clone());
            begin.push(if index == 0 { tally(cell.runs.iter()) } else { String::new() });
            rows.extend(tool_rows(&begin, figures, repeated));
        }
    }
    table(header, texts, rows.into_iter())
}

/// The rows of a tool; the first has its throughput.
fn tool_rows(begin: &[String], figures: &CellFigures, repeated: bool) -> Vec<Vec<String>> {
    let shown = |spread| figure(Some(spread), repeated, duration_ns);
    let mut latencies: Vec<[String; 3]> = figures
        .latencies()
        .into_iter()
        .map(|(kind, p50, p99)| [kind.short_title().to_owned(), shown(p50), shown(p99)])
        .collect();
    if latencies.is_empty() {
        latencies.push([NO_FIGURE; 3].map(str::to_owned));
    }
    let rows = latencies.into_iter().enumerate().map(|(index, latency)| {
        let mut row = if index == 0 { begin.to_vec() } else { vec![String::new(); begin.len()] };
        row.extend(latency);
        row.extend(if index == 0 { throughput(figures, repeated) } else { Default::default() });
        row
    });
    rows.collect()
}

/// The durations of the systems' own work, a line per cell and tool.
pub(super) fn durations(suite: &SuiteSummary) -> String {
    let mut text = String::new();
    for experiment in &suite.experiments {
        for cell in &experiment.cells {
            for (tool, figures) in experiment.tools().zip(cell.figures()) {
                let shown = shown_durations(figures).join("; ");
                if !shown.is_empty() {
                    let name = cell_name(experiment, cell);
                    let _ = writeln!(text, "  {name} {tool}: {shown}");
                }
            }
        }
    }
    text
}

/// `commit time p50 2.10 ms, p99 4.00 ms (3.80-4.20)`
fn shown_durations(figures: &CellFigures) -> Vec<String> {
    let shown = |spread: Spread<u64>| {
        let [median, min, max] = shown(spread, duration_ns);
        if min == max { median } else { format!("{median} ({})", range(&min, &max)) }
    };
    let line = |(name, duration): (&String, &Percentiles)| {
        let (p50, p99) = (shown(duration.p50_ns?), shown(duration.p99_ns?));
        Some(format!("{} p50 {p50}, p99 {p99}", name.replace('_', " ")))
    };
    figures.durations.iter().filter_map(line).collect()
}

/// The headings of the columns that set the cells apart.
fn cell_header(experiment: &ExperimentSummary) -> Vec<String> {
    let name = is_named(experiment).then(|| "case".to_owned());
    name.into_iter().chain(experiment.columns.iter().cloned()).collect()
}

/// The cells of those columns.
fn cell_names(experiment: &ExperimentSummary, cell: &CellSummary) -> Vec<String> {
    let label = if experiment.columns.is_empty() { &*cell.label } else { "" };
    let name = is_named(experiment).then(|| cell.name.as_deref().unwrap_or(label).to_owned());
    let values = cell.values.iter().map(|value| value.as_deref().unwrap_or("default").to_owned());
    name.into_iter().chain(values).collect()
}

/// Whether there is a column for names: not if the swept options are enough.
fn is_named(experiment: &ExperimentSummary) -> bool {
    experiment.columns.is_empty() || experiment.cells.iter().any(|cell| cell.name.is_some())
}

/// The latency to show of a tool that measured several: that of the longest way.
fn shown_latency(experiment: &ExperimentSummary) -> LatencyKind {
    let measured = |kind: &LatencyKind| {
        experiment.cells.iter().any(|cell| cell.figures.latency(*kind).p50_ns.is_some())
    };
    let kinds = [LatencyKind::EndToEnd, LatencyKind::Publish, LatencyKind::ServiceTime];
    kinds.into_iter().find(measured).unwrap_or(LatencyKind::EndToEnd)
}

/// A latency at the head of a narrow column.
fn short(kind: LatencyKind) -> &'static str {
    if kind == LatencyKind::EndToEnd { "e2e" } else { kind.short_title() }
}

fn throughput(figures: &CellFigures, repeated: bool) -> [String; 2] {
    [
        figure(figures.throughput_msg_per_s, repeated, msg_rate),
        figure(figures.throughput_bytes_per_s, repeated, byte_rate),
    ]
}

/// The median, and the range of the repeats below it.
fn figure<T: Copy>(
    spread: Option<Spread<T>>,
    repeated: bool,
    show: impl Fn(T) -> String,
) -> String {
    let Some(spread) = spread else { return NO_FIGURE.to_owned() };
    let [median, min, max] = shown(spread, show);
    if repeated { format!("{median}\n{}", range(&min, &max)) } else { median }
}

/// The median, the lowest and the highest value in words.
fn shown<T: Copy>(spread: Spread<T>, show: impl Fn(T) -> String) -> [String; 3] {
    let bounds = spread.lower_bounds.unwrap_or_default();
    let Spread { median, min, max, .. } = spread;
    [(median, bounds.median), (min, bounds.min), (max, bounds.max)]
        .map(|(value, is_lower_bound)| bound(is_lower_bound, show(value)))
}

/// `1.10-1.40 ms`, or with both units where they differ, or where one is a lower bound.
fn range(min: &str, max: &str) -> String {
    if max.starts_with('>') {
        return format!("{min} to {max}");
    }
    match (min.split_once(' '), max.split_once(' ')) {
        (Some((number, unit)), Some((_, other))) if unit == other => format!("{number}-{max}"),
        _ => format!("{min}-{max}"),
    }
}

/// A rate under a heading that names the unit.
pub(super) fn msg_rate(per_s: f64) -> String {
    rate(per_s).trim_end_matches("msg/s").trim_end().to_owned()
}
