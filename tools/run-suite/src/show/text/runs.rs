//! Several experiments: what each of their runs measured.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use bench_cli::quantity::{byte_rate, bytes, count, duration_ns};
use bench_record::{
    AuditBasis, AuditSummary, FaultRecord, LatencyKind, LatencySummary, LoadModel, Summary,
};

use super::cells::msg_rate;
use super::{NO_FIGURE, named_runs, table};
use crate::file::figure::{throughput_bytes_per_s, throughput_msg_per_s};
use crate::run::key_figures::{bound, sampled};
use crate::show::summary::{CellSummary, ExperimentSummary, RunSummary, SuiteSummary};

/// What a tool measured in a run of one of several experiments.
pub(super) struct Row<'a> {
    name: String,
    run: &'a RunSummary,
    /// None if the results of the tool cannot be read.
    figures: Option<&'a Summary>,
}

pub(super) fn rows(experiments: &[ExperimentSummary]) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    for experiment in experiments {
        for cell in &experiment.cells {
            for run in &cell.runs {
                for (left, tool) in run.tools().zip(experiment.tools()) {
                    let figures = left.figures.as_ref();
                    let mut name = run_name(experiment, cell, run);
                    if experiment.then.is_some() {
                        let _ = write!(name, " {tool}");
                    }
                    rows.push(Row { name, run, figures });
                }
            }
        }
    }
    rows
}

/// Names a cell among those of several experiments.
pub(super) fn cell_name(experiment: &ExperimentSummary, cell: &CellSummary) -> String {
    let mut name = experiment.name.clone();
    if cell.label != experiment.name {
        let _ = write!(name, " {}", cell.label);
    }
    name
}

/// Names a run among those of several experiments.
pub(super) fn run_name(
    experiment: &ExperimentSummary,
    cell: &CellSummary,
    run: &RunSummary,
) -> String {
    let mut name = cell_name(experiment, cell);
    if experiment.repeats > 1 {
        let _ = write!(name, " repeat {}", run.repeat);
    }
    name
}

/// Throughput, audit, self-check and resources, a row per run.
pub(super) fn throughputs(rows: &[Row<'_>]) -> String {
    let header = ["", "audit", "generator", "msg/s", "bytes/s", "CPU", "CPU/msg", "memory"]
        .map(str::to_owned);
    let columns = header.len();
    table(
        header.into(),
        3,
        rows.iter().map(|Row { name, run, figures }| {
            let Some(figures) = figures else {
                let mut row = vec![name.clone(), run.word().to_owned()];
                row.resize(columns, NO_FIGURE.to_owned());
                return row;
            };
            let used = &figures.resources;
            let or_none = |text: Option<String>| text.unwrap_or_else(|| NO_FIGURE.to_owned());
            let memory_bytes = Some(used.memory_max_bytes).filter(|bytes| *bytes > 0);
            vec![
                name.clone(),
                audit(run, figures),
                generator(figures),
                or_none(throughput_msg_per_s(figures).map(msg_rate)),
                or_none(throughput_bytes_per_s(figures).map(byte_rate)),
                format!("{:.2} s", used.cpu_s),
                or_none(used.cpu_us_per_message.map(|us| format!("{us:.2} us"))),
                or_none(memory_bytes.map(bytes)),
            ]
        }),
    )
}

/// The verdict, and the irregularities that the audit counted.
fn audit(run: &RunSummary, figures: &Summary) -> String {
    let mut text = run.word().to_owned();
    let Some(audit) = &figures.audit else {
        return if run.then.is_some() { text } else { text + ", not audited" };
    };
    let _ = write!(text, ", {}", lost(audit));
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

/// The number of lost messages, as far as it is known.
fn lost(audit: &AuditSummary) -> String {
    let lost = match audit.against {
        _ if (audit.received, audit.lost, audit.unread) == (0, 0, 0) => {
            return "nothing received".to_owned();
        }
        AuditBasis::Sequences => format!("{} missing", count(audit.lost)),
        AuditBasis::Acked | AuditBasis::Expected => format!("{} lost", count(audit.lost)),
    };
    match audit.unread {
        0 => lost,
        unread => format!("{lost}, {} unread", count(unread)),
    }
}

fn generator(figures: &Summary) -> String {
    // Without samples the schedule was neither kept nor missed.
    let check = figures.self_check.as_ref();
    let check = check.filter(|_| sampled(figures.schedule_lag.as_ref()).is_some());
    match (check, figures.load) {
        (Some(check), _) if check.kept_schedule => "on schedule".to_owned(),
        (Some(check), _) => format!("LATE, lag p99 {}", duration_ns(check.lag_p99_ns)),
        (None, LoadModel::Closed) => "unpaced".to_owned(),
        (None, _) => NO_FIGURE.to_owned(),
    }
}

/// Latencies, a row per kind and run.
pub(super) fn latencies(rows: &[Row<'_>]) -> String {
    let header = ["", "latency", "p50", "p90", "p99", "p99.9", "max"].map(str::to_owned);
    let lines = rows.iter().flat_map(|Row { name, figures, .. }| {
        let kinds = figures.iter().flat_map(|figures| latencies_of(figures));
        kinds.enumerate().map(|(line, (kind, latency))| {
            let name = if line == 0 { name.clone() } else { String::new() };
            [vec![name, kind.to_owned()], percentiles(latency)].concat()
        })
    });
    table(header.into(), 2, lines)
}

/// The latencies that a tool measured, by what tables call them.
pub(super) fn latencies_of(
    figures: &Summary,
) -> impl Iterator<Item = (&'static str, &LatencySummary)> {
    // The service time stands in where no schedule gives a publish latency.
    let has_publish = figures.publish_latency.is_some();
    let is_shown = move |kind: &LatencyKind| match kind {
        LatencyKind::ScheduleLag => false,
        LatencyKind::ServiceTime => !has_publish,
        _ => true,
    };
    let kinds = LatencyKind::ALL.into_iter().filter(is_shown);
    kinds.filter_map(|kind| Some((kind.short_title(), figures.latency(kind)?)))
}

fn percentiles(latency: &LatencySummary) -> Vec<String> {
    [latency.p50_ns, latency.p90_ns, latency.p99_ns, latency.p99_9_ns, latency.max_ns]
        .map(|ns| match latency.count {
            0 => NO_FIGURE.to_owned(),
            _ => bound(latency.is_lower_bound(ns), duration_ns(ns)),
        })
        .into()
}

/// The systems' own counts, such as throttled and retried requests, a line per cell and tool.
pub(super) fn counts(suite: &SuiteSummary) -> String {
    let mut text = String::new();
    for experiment in &suite.experiments {
        for cell in &experiment.cells {
            for (index, tool) in experiment.tools().enumerate() {
                let valid = cell.runs.iter().filter(|run| run.is_valid());
                let left = valid.filter_map(|run| run.tools().nth(index));
                let figures: Vec<&Summary> =
                    left.filter_map(|left| left.figures.as_ref()).collect();
                let counted = counted(&figures).join(", ");
                if !counted.is_empty() {
                    let name = cell_name(experiment, cell);
                    let _ = writeln!(text, "  {name} {tool}: {counted}");
                }
            }
        }
    }
    text
}

/// The counts of the valid repeats of a cell: `3 records throttled`, with the lowest and the highest
/// number where they differ.
fn counted(runs: &[&Summary]) -> Vec<String> {
    let names: BTreeSet<&String> = runs.iter().flat_map(|run| run.counts.keys()).collect();
    let of = |name: &String| {
        let numbers = runs.iter().map(|run| run.counts.get(name).copied().unwrap_or(0));
        let (min, max) = (numbers.clone().min()?, numbers.max()?);
        let name = name.replace('_', " ");
        match (min, max) {
            (_, 0) => None,
            (min, max) if min == max => Some(format!("{} {name}", count(max))),
            (min, max) => Some(format!("{} to {} {name}", count(min), count(max))),
        }
    };
    names.into_iter().filter_map(of).collect()
}

/// The faults, a line for each of each run, with the status of a run that does not count.
pub(super) fn faults(suite: &SuiteSummary) -> String {
    let mut text = String::new();
    let several = suite.runs().nth(1).is_some();
    for (experiment, cell, run) in named_runs(suite) {
        let name = if several { run_name(experiment, cell, run) + ": " } else { String::new() };
        let figures = run.tools().filter_map(|tool| tool.figures.as_ref());
        let audit = figures.filter_map(|figures| figures.audit.as_ref()).last();
        let audit =
            audit.map(|audit| format!("{}, {} duplicated", lost(audit), count(audit.duplicated)));
        let word = (!run.is_valid()).then(|| run.word().to_owned());
        let whole: Vec<String> = audit.into_iter().chain(word).collect();
        let whole = whole.join(", ");
        let [fault] = run.faults.as_slice() else {
            for fault in &run.faults {
                let _ = writeln!(text, "  {name}{}", recovery(fault));
            }
            if !whole.is_empty() && !run.faults.is_empty() {
                let _ = writeln!(text, "  {name}in the whole run {whole}");
            }
            continue;
        };
        let whole = if whole.is_empty() { whole } else { format!("; {whole}") };
        let _ = writeln!(text, "  {name}{}{whole}", recovery(fault));
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
        (Some(0.0), _) => write!(text, ": no effect"),
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
