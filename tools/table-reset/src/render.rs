//! Output on standard output: for people, as JSON and as CSV.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use bench_cli::{OutputFormat, output, quantity};
use serde::Serialize;

use crate::plan::{Plan, TableStep};

/// The version of the JSON document; it changes when a field is removed or changes its meaning.
const SCHEMA_VERSION: u32 = 1;

/// The results for the tables.
#[derive(Serialize)]
pub(crate) struct ResetReport {
    /// Whether this only shows what would be done.
    pub(crate) dry_run: bool,
    pub(crate) tables: Vec<TableReport>,
}

/// The result for one table.
#[derive(Serialize)]
pub(crate) struct TableReport {
    pub(crate) table: String,
    /// Whether it existed.
    pub(crate) existed: bool,
    /// Its rows before, if known; in `DynamoDB` as counted within the last six hours.
    pub(crate) rows: Option<u64>,
    /// The planned step.
    pub(crate) step: TableStep,
    /// The result.
    pub(crate) outcome: TableOutcome,
    /// Why it failed or was refused.
    pub(crate) error: Option<String>,
}

/// What was done to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TableOutcome {
    /// Nothing yet.
    Planned,
    /// Nothing, since it was as requested.
    Unchanged,
    /// It was created.
    Created,
    /// It was deleted.
    Deleted,
    /// It was deleted and created again.
    Recreated,
    /// Nothing, since the work had been interrupted before.
    Skipped,
    /// Unknown, since the work was interrupted.
    Interrupted,
    /// The step failed.
    Failed,
}

/// The report of a plan before it is run.
pub(crate) fn report(plan: &Plan) -> TableReport {
    TableReport {
        table: plan.table.clone(),
        existed: plan.found.is_some(),
        rows: plan.found.as_ref().and_then(|found| found.rows),
        step: plan.step,
        outcome: TableOutcome::Planned,
        error: plan.refusal.as_ref().map(|refusal| refusal.reason.clone()),
    }
}

/// Prints a report on standard output.
pub(crate) fn print(report: &ResetReport, format: OutputFormat) -> Result<()> {
    let text = match format {
        OutputFormat::Human => human(report),
        OutputFormat::Json => output::versioned_json(SCHEMA_VERSION, report)?,
        OutputFormat::Csv => csv(report),
    };
    output::print_result(format, &text).context("failed to print the result")
}

/// A report for people: one line per table.
pub(crate) fn human(report: &ResetReport) -> String {
    let width = report.tables.iter().map(|table| table.table.len()).max().unwrap_or_default();
    let mut text = String::new();
    for table in &report.tables {
        let rows = match (table.existed, table.rows) {
            (false, _) => "missing".to_owned(),
            (true, Some(rows)) => format!("{} rows", quantity::count(rows)),
            (true, None) => "rows unknown".to_owned(),
        };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{:width$}  {rows:>12}  {}", table.table, table.action());
    }
    text
}

impl TableReport {
    fn action(&self) -> String {
        let text = match (self.outcome, self.step) {
            (TableOutcome::Planned, TableStep::Nothing) => "nothing to do",
            (TableOutcome::Planned, TableStep::Create) => "create",
            (TableOutcome::Planned, TableStep::Delete) => "delete",
            (TableOutcome::Planned, TableStep::Recreate) => "delete and recreate",
            (TableOutcome::Planned, TableStep::Refuse) => "refuse",
            (TableOutcome::Unchanged, _) => "unchanged",
            (TableOutcome::Created, _) => "created",
            (TableOutcome::Deleted, _) => "deleted",
            (TableOutcome::Recreated, _) => "deleted and recreated",
            (TableOutcome::Skipped, _) => "skipped",
            (TableOutcome::Interrupted, _) => "interrupted",
            (TableOutcome::Failed, _) => "FAILED",
        };
        match &self.error {
            Some(error) => format!("{text}: {error}"),
            None => text.to_owned(),
        }
    }
}

fn csv(report: &ResetReport) -> String {
    let row = |table: &TableReport| {
        let rows = table.rows.map(|rows| rows.to_string()).unwrap_or_default();
        vec![table.table.clone(), table.existed.to_string(), rows, table.action()]
    };
    output::csv_table(["table", "existed", "rows", "action"], report.tables.iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, rows: Option<u64>, step: TableStep, outcome: TableOutcome) -> TableReport {
        let (table, existed) = (name.to_owned(), rows.is_some());
        let error = (outcome == TableOutcome::Failed).then(|| "no \"luck\"".to_owned());
        TableReport { table, existed, rows, step, outcome, error }
    }

    #[test]
    fn report_has_one_line_per_table() {
        let report = ResetReport {
            dry_run: false,
            tables: vec![
                table(
                    "benchmark_kafka",
                    Some(12_345),
                    TableStep::Recreate,
                    TableOutcome::Recreated,
                ),
                table("t", None, TableStep::Create, TableOutcome::Failed),
            ],
        };
        let expected = "\
benchmark_kafka   12,345 rows  deleted and recreated
t                     missing  FAILED: no \"luck\"
";
        assert_eq!(human(&report), expected);
        let csv = csv(&report);
        assert!(csv.ends_with("t,false,,\"FAILED: no \"\"luck\"\"\"\n"), "{csv}");
        let json = output::versioned_json(SCHEMA_VERSION, &report).expect("JSON");
        assert!(json.contains("\"schema_version\": 1"));
    }
}
