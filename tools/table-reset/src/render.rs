//! What is printed on standard output: for people, as JSON, as CSV.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use bench_cli::{OutputFormat, output, quantity};
use serde::Serialize;

use crate::plan::{Plan, Step};

/// The version of the JSON document. It changes when a field changes its meaning or goes.
const SCHEMA_VERSION: u32 = 1;

/// What became of the tables.
#[derive(Serialize)]
pub(crate) struct ResetReport {
    /// Whether this only says what would be done.
    pub(crate) dry_run: bool,
    pub(crate) tables: Vec<TableReport>,
}

/// What became of one table.
#[derive(Serialize)]
pub(crate) struct TableReport {
    pub(crate) table: String,
    /// Whether it was there.
    pub(crate) existed: bool,
    /// Its rows before, if that is known: in `DynamoDB` as counted in the last six hours.
    pub(crate) rows: Option<u64>,
    /// What was to be done.
    pub(crate) step: Step,
    /// What was done.
    pub(crate) outcome: Outcome,
    /// Why it failed, or is refused.
    pub(crate) error: Option<String>,
}

/// What was done to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Nothing yet.
    Planned,
    /// Nothing, since it was as it should be.
    Unchanged,
    /// It was created.
    Created,
    /// It was deleted.
    Deleted,
    /// It was deleted and created anew.
    Recreated,
    /// Nothing, since the work was interrupted before.
    Skipped,
    /// What became of it is not known, since the work was interrupted.
    Interrupted,
    /// It did not become what it should be.
    Failed,
}

/// A plan before it is carried out.
pub(crate) fn report(plan: &Plan) -> TableReport {
    TableReport {
        table: plan.table.clone(),
        existed: plan.found.is_some(),
        rows: plan.found.as_ref().and_then(|found| found.rows),
        step: plan.step,
        outcome: Outcome::Planned,
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

/// A report for people: one line a table.
pub(crate) fn human(report: &ResetReport) -> String {
    let width = report.tables.iter().map(|table| table.table.len()).max().unwrap_or_default();
    let mut text = String::new();
    for table in &report.tables {
        let rows = match (table.existed, table.rows) {
            (false, _) => "not there".to_owned(),
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
            (Outcome::Planned, Step::Nothing) => "nothing to do",
            (Outcome::Planned, Step::Create) => "create",
            (Outcome::Planned, Step::Delete) => "delete",
            (Outcome::Planned, Step::Recreate) => "delete and create anew",
            (Outcome::Planned, Step::Refuse) => "refuse",
            (Outcome::Unchanged, _) => "unchanged",
            (Outcome::Created, _) => "created",
            (Outcome::Deleted, _) => "deleted",
            (Outcome::Recreated, _) => "deleted and created anew",
            (Outcome::Skipped, _) => "skipped",
            (Outcome::Interrupted, _) => "interrupted",
            (Outcome::Failed, _) => "FAILED",
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

    fn table(name: &str, rows: Option<u64>, step: Step, outcome: Outcome) -> TableReport {
        let (table, existed) = (name.to_owned(), rows.is_some());
        let error = (outcome == Outcome::Failed).then(|| "no \"luck\"".to_owned());
        TableReport { table, existed, rows, step, outcome, error }
    }

    #[test]
    fn each_table_has_a_line() {
        let report = ResetReport {
            dry_run: false,
            tables: vec![
                table("benchmark_kafka", Some(12_345), Step::Recreate, Outcome::Recreated),
                table("t", None, Step::Create, Outcome::Failed),
            ],
        };
        let expected = "\
benchmark_kafka   12,345 rows  deleted and created anew
t                   not there  FAILED: no \"luck\"
";
        assert_eq!(human(&report), expected);
        let csv = csv(&report);
        assert!(csv.ends_with("t,false,,\"FAILED: no \"\"luck\"\"\"\n"), "{csv}");
        let json = output::versioned_json(SCHEMA_VERSION, &report).expect("JSON");
        assert!(json.contains("\"schema_version\": 1"));
    }
}
