//! The CSV form of summaries.

use std::collections::BTreeSet;

use bench_cli::output::csv_table;

use super::figures::COMPARED;
use super::{CellFigures, CellSummary, ExperimentSummary, Percentiles, Spread, SuiteSummary};

impl SuiteSummary {
    /// The CSV form: a line per cell and tool, with the options that differ between cells. A figure that
    /// does not exist is empty. Columns for durations follow all others, and the last column names the
    /// excluded runs.
    pub(crate) fn csv(&self) -> String {
        let mut columns: Vec<&str> = Vec::new();
        for column in self.experiments.iter().flat_map(|experiment| &experiment.columns) {
            if !columns.contains(&column.as_str()) {
                columns.push(column);
            }
        }
        let cells = || self.experiments.iter().flat_map(|experiment| &experiment.cells);
        let figures = cells().flat_map(CellSummary::figures);
        let durations: BTreeSet<&String> =
            figures.flat_map(|figures| figures.durations.keys()).collect();
        let rows = self.experiments.iter().flat_map(|experiment| {
            let cells = experiment.cells.iter();
            cells.flat_map(|cell| csv_records(experiment, cell, &columns, &durations))
        });
        csv_table(csv_header(&columns, &durations), rows)
    }
}

/// The figures of a line, by name.
fn csv_figures(
    figures: &CellFigures,
    recovery_s: Option<Spread<f64>>,
    durations: &BTreeSet<&String>,
) -> Vec<(String, [String; 3])> {
    fn spread<T: ToString>(spread: Option<Spread<T>>) -> [String; 3] {
        spread.map_or_else(Default::default, |spread| {
            [spread.median.to_string(), spread.min.to_string(), spread.max.to_string()]
        })
    }
    let rates = [
        ("throughput_msg_per_s", spread(figures.throughput_msg_per_s)),
        ("throughput_bytes_per_s", spread(figures.throughput_bytes_per_s)),
    ];
    let mut all: Vec<_> =
        rates.into_iter().map(|(name, spread)| (name.to_owned(), spread)).collect();
    let percentiles = |name: &str, of: Percentiles| {
        [
            (format!("{name}_p50_ns"), spread(of.p50_ns)),
            (format!("{name}_p99_ns"), spread(of.p99_ns)),
        ]
    };
    all.extend(
        COMPARED.into_iter().flat_map(|kind| percentiles(kind.column(), figures.latency(kind))),
    );
    all.push(("recovery_s".to_owned(), spread(recovery_s)));
    for &name in durations {
        all.extend(percentiles(name, figures.durations.get(name).copied().unwrap_or_default()));
    }
    all
}

fn csv_header(columns: &[&str], durations: &BTreeSet<&String>) -> Vec<String> {
    let mut header = ["experiment", "cell", "tool"].map(str::to_owned).to_vec();
    header.extend(columns.iter().map(|&column| column.to_owned()));
    header.extend(["runs".to_owned(), "valid_runs".to_owned()]);
    for (figure, _) in csv_figures(&CellFigures::default(), None, durations) {
        header.extend(["median", "min", "max"].map(|which| format!("{figure}_{which}")));
    }
    header.push("remarks".to_owned());
    header
}

/// The excluded runs, and remarks on the figures.
fn remarks(cell: &CellSummary, figures: &CellFigures) -> String {
    let left_out = cell.runs.iter().filter(|run| !run.is_valid());
    let left_out = left_out.map(|run| {
        let reason = run.problem.as_deref().unwrap_or_else(|| run.word());
        format!("repeat {} left out: {reason}", run.repeat)
    });
    let lacking = figures.lacking(cell.valid_runs);
    left_out.chain(lacking).chain(figures.lower_bounds()).collect::<Vec<_>>().join("; ")
}

/// The lines of a cell, one per tool.
fn csv_records(
    experiment: &ExperimentSummary,
    cell: &CellSummary,
    columns: &[&str],
    durations: &BTreeSet<&String>,
) -> Vec<Vec<String>> {
    let value = |column: &&str| {
        let index = experiment.columns.iter().position(|own| own == column);
        index.and_then(|index| cell.values[index].clone()).unwrap_or_default()
    };
    let record = |tool: &str, figures: &CellFigures, recovery_s| {
        let mut record = vec![experiment.name.clone(), cell.label.clone(), tool.to_owned()];
        record.extend(columns.iter().map(value));
        record.extend([cell.runs.len().to_string(), cell.valid_runs.to_string()]);
        let spreads = csv_figures(figures, recovery_s, durations);
        record.extend(spreads.into_iter().flat_map(|(_, spread)| spread));
        record.push(remarks(cell, figures));
        record
    };
    let mut records = vec![record(&experiment.tool, &cell.figures, cell.recovery_s)];
    if let Some((tool, figures)) = experiment.then.as_deref().zip(cell.then.as_ref()) {
        records.push(record(tool, figures, None));
    }
    records
}
