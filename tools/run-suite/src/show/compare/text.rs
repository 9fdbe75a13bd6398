//! Comparisons as text, Markdown and CSV.

use std::fmt::Write as _;

use bench_cli::output::csv_table;
use bench_cli::quantity::count;
use bench_cli::{Align, table};
use bench_report::markdown::escaped;
use bench_stats::{Advice, Bounds};

use super::super::percent;
use crate::file::figure::{Measure, Percentile};
use crate::run::comparison::differences::Difference;
use crate::run::comparison::figures::{CountComparison, FigureComparison, SideValue, Verdict};
use crate::run::comparison::side::{Pairing, SideSummary};
use crate::run::comparison::{CellComparison, Comparison};

/// Stands for a value that does not exist.
const NO_VALUE: &str = "-";

/// The headings of the table of figures.
const HEADINGS: [&str; 5] = ["", "A", "B", "B / A", "B is"];

/// Without `all`, percentiles other than p50 and p99 are left out unless they differ.
pub(super) fn human(comparison: &Comparison, all: bool) -> String {
    let mut text = String::new();
    for (index, cell) in comparison.cells.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        let _ = writeln!(text, "A: {}\nB: {}", cell.a.title(), cell.b.title());
        let _ = writeln!(text, "{}\n", cell.how());
        let rows: Vec<Vec<String>> = std::iter::once(HEADINGS.map(str::to_owned).to_vec())
            .chain(cell.shown(all).map(|figure| cell.row(figure, comparison.margin)))
            .collect();
        let align = |column| if matches!(column, 0 | 4) { Align::Left } else { Align::Right };
        text.push_str(&table(&rows, align));
        text.push_str(&cell.left_out(all).map(|line| format!("\n{line}\n")).unwrap_or_default());
        section(&mut text, "counts", cell.count_lines());
        section(&mut text, "differences", cell.differences.iter().map(Difference::line));
        section(&mut text, "notes", cell.warnings.iter().cloned());
    }
    for note in comparison.notes() {
        let _ = write!(text, "\n{note}");
    }
    text.push('\n');
    text
}

fn section(text: &mut String, heading: &str, lines: impl Iterator<Item = String>) {
    let mut lines = lines.peekable();
    if lines.peek().is_some() {
        let _ = writeln!(text, "\n{heading}:");
        lines.for_each(|line| {
            let _ = writeln!(text, "  {line}");
        });
    }
}

pub(super) fn markdown(comparison: &Comparison, all: bool) -> String {
    let mut text = String::new();
    for cell in &comparison.cells {
        let _ = writeln!(
            text,
            "### {} against {}\n\n{}\n",
            escaped(&cell.b.cell),
            escaped(&cell.a.cell),
            escaped(&cell.how())
        );
        let _ = writeln!(text, "| {} |\n|---|---:|---:|---:|---|", HEADINGS.join(" | "));
        for figure in cell.shown(all) {
            let row = cell.row(figure, comparison.margin);
            let cells: Vec<String> = row.iter().map(|cell| escaped(cell)).collect();
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        let lines = cell.count_lines().chain(cell.differences.iter().map(Difference::line));
        let lines = cell.left_out(all).into_iter().chain(lines);
        let lines: Vec<String> = lines.chain(cell.warnings.iter().cloned()).collect();
        if !lines.is_empty() {
            text.push('\n');
        }
        for line in lines {
            let _ = writeln!(text, "- {}", escaped(&line));
        }
        text.push('\n');
    }
    for note in comparison.notes() {
        let _ = writeln!(text, "{}", escaped(&note));
    }
    text
}

pub(super) fn csv(comparison: &Comparison) -> String {
    let header = [
        "a",
        "b",
        "pairing",
        "figure",
        "primary",
        "a_median",
        "a_low",
        "a_high",
        "a_runs",
        "b_median",
        "b_low",
        "b_high",
        "b_runs",
        "ratio",
        "ratio_low",
        "ratio_high",
        "p",
        "p_corrected",
        "p_sign_flip",
        "verdict",
        "more_repeats",
    ];
    let rows = comparison.cells.iter().flat_map(|cell| {
        cell.figures.iter().map(move |figure| {
            let mut row = vec![
                cell.a.folder.display().to_string(),
                cell.b.folder.display().to_string(),
                cell.pairing.name().to_owned(),
                figure.figure.to_string(),
                figure.primary.to_string(),
            ];
            for side in [&figure.a, &figure.b] {
                let bounds = side.interval;
                row.extend(cells([
                    side.median,
                    bounds.map(|bounds| bounds.low),
                    bounds.map(|bounds| bounds.high),
                ]));
                row.push(side.values.len().to_string());
            }
            let change = figure.change.as_ref();
            row.extend(cells([
                change.map(|change| change.ratio),
                change.map(|change| change.interval.low),
                change.map(|change| change.interval.high),
                change.map(|change| change.p),
                figure.p_corrected,
                figure.p_sign_flip,
            ]));
            row.push(figure.verdict.name().to_owned());
            row.push(figure.more_repeats.map_or_else(String::new, |more| more.to_string()));
            row
        })
    });
    csv_table(header, rows)
}

fn cells<const N: usize>(values: [Option<f64>; N]) -> [String; N] {
    values.map(|value| value.map_or_else(String::new, |value| value.to_string()))
}

impl Comparison {
    fn notes(&self) -> Vec<String> {
        let mut notes = vec![format!(
            "a value is the median run's, with the {} interval of the typical run below it; \
             * marks the figures that the conclusion rests on",
            percent(self.confidence)
        )];
        if self.looks > 1 {
            notes.push(format!(
                "the experiment looked up to {} times whether it was decided, so the level of each look \
                 is higher",
                self.looks
            ));
        }
        if !self.unmatched.is_empty() {
            notes.push(format!("only on one side: {}", self.unmatched.join("; ")));
        }
        notes
    }
}

impl SideSummary {
    fn title(&self) -> String {
        let runs = match self.repeats.len() {
            1 => "1 valid run".to_owned(),
            runs => format!("{runs} valid runs"),
        };
        format!("{} ({runs}) {}", self.cell, self.folder.display())
    }
}

impl Pairing {
    fn name(self) -> &'static str {
        match self {
            Self::Blocks => "blocks",
            Self::OneAfterTheOther => "one-after-the-other",
        }
    }
}

impl CellComparison {
    /// How the runs belong together.
    pub(crate) fn how(&self) -> String {
        match self.pairing {
            Pairing::Blocks => "in blocks: each repeat of A is compared with the same repeat of B",
            Pairing::OneAfterTheOther => "one after the other: no test, see the notes",
        }
        .to_owned()
    }

    /// The figures that a reader needs to see.
    fn shown(&self, all: bool) -> impl Iterator<Item = &FigureComparison> {
        self.figures.iter().filter(move |figure| all || figure.is_told())
    }

    /// How many figures are not shown.
    fn left_out(&self, all: bool) -> Option<String> {
        let count = self.figures.len() - self.shown(all).count();
        (count > 0).then(|| {
            format!("{count} other percentiles, of which no difference is shown: see --all")
        })
    }

    /// A figure as a row under [`HEADINGS`].
    pub(crate) fn row(&self, figure: &FigureComparison, margin: f64) -> Vec<String> {
        let mark = if figure.primary { "* " } else { "" };
        vec![
            format!("{mark}{}", figure.figure.title(self.then.as_deref())),
            figure.shown(&figure.a),
            figure.shown(&figure.b),
            figure.ratio(),
            figure.words(margin),
        ]
    }

    pub(crate) fn count_lines(&self) -> impl Iterator<Item = String> {
        self.counts.iter().map(|counts| counts.line(self.then.as_deref()))
    }
}

impl FigureComparison {
    /// Whether its row says something that the others do not.
    fn is_told(&self) -> bool {
        let is_usual = match &self.figure.measure {
            Measure::Latency(_, percentile) | Measure::Duration(_, percentile) => {
                matches!(percentile, Percentile::P50 | Percentile::P99)
            }
            Measure::Throughput | Measure::ByteThroughput | Measure::CpuPerMessage => true,
        };
        let differs = self.verdict.is_decided() && self.verdict != Verdict::Same;
        self.primary || is_usual || differs
    }

    /// The median, and the interval below it.
    fn shown(&self, side: &SideValue) -> String {
        let Some(median) = side.median else { return NO_VALUE.to_owned() };
        let show = |value: f64| self.figure.measure.show(value);
        let bound = if side.is_lower_bound { ">=" } else { "" };
        match side.interval {
            Some(Bounds { low, high }) => {
                format!("{bound}{}\n{} to {}", show(median), show(low), show(high))
            }
            None => format!("{bound}{}", show(median)),
        }
    }

    /// The verdict, and what would help.
    pub(crate) fn words(&self, margin: f64) -> String {
        if self.verdict != Verdict::Undecided {
            return self.verdict.words(margin);
        }
        let more = match self.more_repeats {
            None => "by far too few repeats".to_owned(),
            Some(1) => "about 1 more repeat".to_owned(),
            Some(more) => format!("about {more} more repeats"),
        };
        let longer = match self.advice {
            Some(Advice::LongerRuns) => ", or longer runs",
            _ => "",
        };
        format!("undecided, {more}{longer}")
    }

    pub(crate) fn ratio(&self) -> String {
        let Some(change) = &self.change else { return NO_VALUE.to_owned() };
        let Bounds { low, high } = change.interval;
        format!("{:.3}\n{low:.3} to {high:.3}", change.ratio)
    }
}

impl Verdict {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Faster => "faster",
            Self::Slower => "slower",
            Self::Less => "less",
            Self::More => "more",
            Self::Same => "same",
            Self::Undecided => "undecided",
            Self::TooFewRuns => "too-few-runs",
            Self::TooFewSamples => "too-few-samples",
            Self::LowerBound => "lower-bound",
        }
    }

    fn words(self, margin: f64) -> String {
        match self {
            Self::Same => format!("the same within {}", percent(margin)),
            Self::TooFewRuns => "unknown: needs two valid repeats".to_owned(),
            Self::TooFewSamples => "unknown: too few samples".to_owned(),
            Self::LowerBound => "unknown: a lower bound".to_owned(),
            other => other.name().to_owned(),
        }
    }
}

impl CountComparison {
    /// `retries: 3 to 5, and 0`
    fn line(&self, then: Option<&str>) -> String {
        let range = |counts: &[u64]| match (counts.iter().min(), counts.iter().max()) {
            (Some(min), Some(max)) if min == max => count(*min),
            (Some(min), Some(max)) => format!("{} to {}", count(*min), count(*max)),
            _ => NO_VALUE.to_owned(),
        };
        let tool = then.filter(|_| self.of_then).map(|tool| format!("{tool} ")).unwrap_or_default();
        let name = self.name.replace('_', " ");
        format!("{tool}{name}: A {}, B {}", range(&self.a), range(&self.b))
    }
}

impl Difference {
    pub(crate) fn line(&self) -> String {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
        format!("{}: A {}, B {}", self.what, shown(&self.a), shown(&self.b))
    }
}
