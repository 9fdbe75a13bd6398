//! What an experiment says, in sentences.

use bench_cli::quantity::count;
use bench_record::ServiceOrigin;

use super::told::Told;
use crate::file::figure::{Figure, Measure, Percentile};
use crate::run::comparison::estimate::Estimate;
use crate::run::comparison::figures::Verdict;
use crate::run::comparison::side::Side;
use crate::run::comparison::{CellComparison, Comparison};
use crate::run::gates::Outcome;
use crate::run::key_figures::bound;
use crate::show::percent;

/// What is said first, the answer before what it rests on.
pub(super) fn of(told: &Told<'_>) -> Vec<String> {
    let mut answers = Vec::new();
    answers.extend(figures(told));
    answers.push(runs(told));
    answers.extend(gates(told));
    answers.extend(recovery(told));
    answers.extend(origin(told));
    answers
}

/// One sentence on an experiment among others.
pub(super) fn in_short(told: &Told<'_>) -> String {
    // In the middle of a sentence, without its capital letter.
    let figures = figures(told).unwrap_or_else(|| runs(told));
    let mut chars = figures.chars();
    let first = chars.next().map(|first| first.to_lowercase().to_string()).unwrap_or_default();
    format!("{}: {first}{}", told.summary.name, chars.as_str())
}

/// The answer in figures.
fn figures(told: &Told<'_>) -> Option<String> {
    let measured: Vec<&Side> = told.cells.iter().filter(|cell| !cell.runs.is_empty()).collect();
    match measured.as_slice() {
        [] => None,
        [cell] => Some(one_cell(told, cell)),
        [_, _] => two_cells(told).or_else(|| extremes(told, &measured)),
        _ => extremes(told, &measured),
    }
}

/// `end-to-end p99 4.20 ms (4.10 ms to 4.30 ms), throughput 10.0 k msg/s`
fn one_cell(told: &Told<'_>, cell: &Side) -> String {
    let mut parts = Vec::new();
    for percentile in [Percentile::P50, Percentile::P99] {
        parts.extend(told.main_figure(percentile).map(|figure| shown(told, cell, &figure)));
    }
    let of_then = told.summary.then.is_some();
    parts.push(shown(told, cell, &Figure { of_then, measure: Measure::Throughput }));
    sentence(&parts.join(", "))
}

/// A figure with its name, value and interval.
fn shown(told: &Told<'_>, cell: &Side, figure: &Figure) -> String {
    format!("{} {}", figure.title(told.then_tool()), value(&Estimate::of(cell, figure), figure))
}

/// `4.20 ms (4.10 ms to 4.30 ms)`
pub(super) fn value(estimate: &Estimate, figure: &Figure) -> String {
    let show = |value: f64| figure.measure.show(value);
    let Some(value) = estimate.value else { return "unknown".to_owned() };
    let value = bound(estimate.is_lower_bound, show(value));
    match estimate.interval {
        Some(interval) if interval.high.is_finite() => {
            format!("{value} ({} to {})", show(interval.low), show(interval.high))
        }
        Some(interval) => format!("{value} ({} or more)", show(interval.low)),
        None => value,
    }
}

/// `b is slower than a: end-to-end p99 +12 % (+8 % to +16 %), throughput the same within 5 %`
fn two_cells(told: &Told<'_>) -> Option<String> {
    let comparison = told.comparison()?;
    let cell = comparison.cells.first()?;
    let primary = || cell.figures.iter().filter(|figure| figure.primary);
    let has = |verdict: Verdict| primary().any(|figure| figure.verdict == verdict);
    let (a, b) = (&cell.a.cell, &cell.b.cell);
    let head = match (has(Verdict::Faster), has(Verdict::Slower)) {
        (true, true) => format!("{b} is faster than {a} in one way, and slower in another"),
        (true, false) => format!("{b} is faster than {a}"),
        (false, true) => format!("{b} is slower than {a}"),
        (false, false) if primary().all(|figure| figure.verdict == Verdict::Same) => {
            format!("{b} is the same as {a} within {}", percent(comparison.margin))
        }
        (false, false) => format!("whether {b} differs from {a} is not decided"),
    };
    Some(sentence(&format!("{head}: {}", changes(comparison, cell).join(", "))))
}

/// The change of each figure that the conclusion rests on.
fn changes(comparison: &Comparison, cell: &CellComparison) -> Vec<String> {
    let primary = cell.figures.iter().filter(|figure| figure.primary);
    let change = primary.map(|figure| {
        let title = figure.figure.title(cell.then.as_deref());
        let signed = |ratio: f64| {
            let sign = if ratio > 1.0 { "+" } else { "" };
            format!("{sign}{:.1} %", 100.0 * (ratio - 1.0))
        };
        let change = figure.change.as_ref().map(|change| {
            let (low, high) = (change.interval.low, change.interval.high);
            format!(" {} ({} to {})", signed(change.ratio), signed(low), signed(high))
        });
        let words = if figure.verdict.is_decided() {
            String::new()
        } else {
            format!(", {}", figure.words(comparison.margin))
        };
        format!("{title}{}{words}", change.unwrap_or_default())
    });
    change.collect()
}

/// The cells at both ends.
fn extremes(told: &Told<'_>, cells: &[&Side]) -> Option<String> {
    let figure = told.main_figure(Percentile::P99);
    let throughput = Figure { of_then: told.summary.then.is_some(), measure: Measure::Throughput };
    let parts: Vec<String> = figure
        .into_iter()
        .chain([throughput])
        .filter_map(|figure| {
            let mut values: Vec<(f64, &str, String)> = cells
                .iter()
                .filter_map(|cell| {
                    let estimate = Estimate::of(cell, &figure);
                    Some((estimate.value?, cell.label(), value(&estimate, &figure)))
                })
                .collect();
            values.sort_by(|a, b| a.0.total_cmp(&b.0));
            let ((_, low, least), (_, high, most)) = (values.first()?, values.last()?);
            let title = figure.title(told.then_tool());
            Some(format!("{title} from {least} at {low} to {most} at {high}"))
        })
        .collect();
    (!parts.is_empty()).then(|| sentence(&parts.join("; ")))
}

/// How many runs there are, and what is wrong with those that do not count.
fn runs(told: &Told<'_>) -> String {
    let all = || told.summary.cells.iter().flat_map(|cell| &cell.runs);
    let lost: u64 = told
        .cells
        .iter()
        .flat_map(|cell| &cell.runs)
        .flat_map(|run| [run.figures(false), run.figures(true)])
        .filter_map(|summary| Some(summary?.audit.as_ref()?.lost))
        .sum();
    let (valid, total) = (all().filter(|run| run.is_valid()).count(), all().count());
    if valid == total && total > 0 {
        let runs =
            if total == 1 { "the run is".to_owned() } else { format!("all {total} runs are") };
        return sentence(&format!("{runs} valid, {} messages lost", count(lost)));
    }
    let problem = all().find(|run| !run.is_valid()).map(|run| {
        let problem = run.problem.clone().unwrap_or_else(|| run.word().to_owned());
        format!("; the first of the others: {problem}")
    });
    let head = if valid == 0 { "no answer: " } else { "" };
    sentence(&format!("{head}{valid} of {total} runs are valid{}", problem.unwrap_or_default()))
}

fn gates(told: &Told<'_>) -> Option<String> {
    let tally =
        |outcome: Outcome| told.summary.gates.iter().filter(|gate| gate.outcome == outcome).count();
    let all = told.summary.gates.len();
    let (failed, undecided) = (tally(Outcome::Failed), tally(Outcome::Undecided));
    (all > 0).then(|| {
        sentence(&format!("of {all} gates, {failed} failed and {undecided} are undecided"))
    })
}

/// The longest recovery of a cell with faults.
fn recovery(told: &Told<'_>) -> Option<String> {
    let has_faults = |cell: &&crate::show::summary::CellSummary| {
        cell.runs.iter().any(|run| !run.faults.is_empty())
    };
    let parts: Vec<String> = told
        .summary
        .cells
        .iter()
        .filter(has_faults)
        .map(|cell| match cell.recovery_s {
            Some(spread) => format!(
                "{} recovered in {:.1} s ({:.1} to {:.1} s)",
                cell.label, spread.median, spread.min, spread.max
            ),
            None => format!("{} did not recover in every run", cell.label),
        })
        .collect();
    (!parts.is_empty()).then(|| sentence(&parts.join("; ")))
}

/// Figures of stand-ins are not those of a system.
fn origin(told: &Told<'_>) -> Option<String> {
    told.cells.iter().any(|cell| cell.uses(ServiceOrigin::Embedded)).then(|| {
        "Embedded services: the figures are the client's ceiling on loopback, not the system's \
         performance."
            .to_owned()
    })
}

/// With a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let stop = if text.ends_with('.') { "" } else { "." };
    format!("{}{stop}", capitalised(text))
}

/// With a capital letter.
pub(super) fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}", chars.as_str())
}
