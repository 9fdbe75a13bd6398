//! Options of gates, and their results as text, Markdown and `JUnit` XML.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bench_cli::UsageError;
use bench_record::files::replace_file;
use bench_report::markdown::escaped;
use bench_stats::Bounds;
use clap::Args;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::summary::{ExperimentSummary, SuiteSummary};
use crate::file::form::Undecided;
use crate::file::gate::{Bound, Gate, Gates};
use crate::run::folder::experiments_in;
use crate::run::gates::{GateResult, Outcome};
use crate::run::key_figures::bound;

/// In place of the upper end of an interval that has none.
const OR_MORE: &str = "or more";

const CONDITION: &str = "Condition on every cell: 'end_to_end.p99 < 20ms', or 'throughput > -5%' for a \
                         change against the baseline; several times for several";

/// Options that say what an experiment must show. They are added to those of the experiment file.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct GateArgs {
    #[arg(long, value_name = "CONDITION", help = CONDITION)]
    gate: Vec<String>,

    /// Folder of the experiment that changes are counted from
    #[arg(long, value_name = "DIR")]
    baseline: Option<PathBuf>,

    /// Fail a condition unless it is shown to hold; by default it fails if it is shown not to
    #[arg(long)]
    strict: bool,

    /// What a condition does that is shown neither to hold nor to fail
    #[arg(long, value_name = "WHAT", value_enum)]
    undecided: Option<Undecided>,
}

impl GateArgs {
    /// Adds these options to the gates of an experiment that is about to run, and checks them all.
    pub(crate) fn add_to(&self, gates: &mut Gates) -> Result<()> {
        for text in &self.gate {
            gates.conditions.push(Gate::parse("--gate", text)?);
        }
        if let Some(baseline) = &self.baseline {
            gates.baseline = Some(baseline.clone());
        }
        self.set_rules(gates);
        gates.check()?;
        gates.baseline = gates.baseline.as_deref().map(checked_baseline).transpose()?;
        Ok(())
    }

    /// Adds these options to the gates of an experiment that has run.
    pub(super) fn add_to_recorded(&self, gates: &mut Gates) -> Result<()> {
        let is_given = !self.gate.is_empty() || self.baseline.is_some();
        if is_given {
            return self.add_to(gates);
        }
        // The baseline may be gone by now, which hides no figures.
        self.set_rules(gates);
        Ok(())
    }

    /// Sets what follows from conditions that are not shown to hold.
    fn set_rules(&self, gates: &mut Gates) {
        gates.strict |= self.strict;
        if let Some(undecided) = self.undecided {
            gates.undecided_fails = undecided == Undecided::Fail;
        }
    }
}

/// The path of a baseline for any working directory: `resume` may run elsewhere.
fn checked_baseline(baseline: &Path) -> Result<PathBuf> {
    match experiments_in(baseline).as_deref() {
        Ok([_]) => std::path::absolute(baseline)
            .with_context(|| format!("failed to find {}", baseline.display())),
        _ => Err(UsageError::new(
            "--baseline",
            format!("{} is not the folder of one experiment", baseline.display()),
            "give the folder that an earlier `run-suite run` printed",
        )
        .into()),
    }
}

/// The results of all gates, a line each.
pub(super) fn lines(suite: &SuiteSummary) -> String {
    let mut text = String::new();
    let several = suite.experiments.len() > 1;
    for experiment in &suite.experiments {
        for result in &experiment.gates {
            let name = if several { format!("{} ", experiment.name) } else { String::new() };
            let _ = writeln!(text, "  {name}{}", result.line());
        }
    }
    text
}

impl GateResult {
    /// `load=a: end_to_end.p99 < 20ms: passed, 4.20 ms (4.10 ms to 4.30 ms)`
    fn line(&self) -> String {
        format!("{}: {}: {}", self.cell, self.gate, self.finding())
    }

    /// The outcome, and what it rests on.
    pub(crate) fn finding(&self) -> String {
        let word = match self.outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "FAILED",
            Outcome::Undecided => "undecided",
        };
        let mut text = word.to_owned();
        if let Some(value) = self.value {
            let _ = write!(text, ", {}", bound(self.is_lower_bound, self.show(value)));
        }
        if let Some(Bounds { low, high }) = self.interval {
            let high = if high.is_finite() {
                format!("to {}", self.show(high))
            } else {
                OR_MORE.to_owned()
            };
            let _ = write!(text, " ({} {high})", self.show(low));
        }
        if self.outcome != Outcome::Passed {
            let _ = write!(text, ": {}", self.reason);
        }
        text
    }

    fn show(&self, value: f64) -> String {
        match self.gate.bound {
            Bound::Value(_) => self.gate.figure.measure.show(value),
            Bound::Ratio(_) => format!("{:+.1} %", 100.0 * (value - 1.0)),
        }
    }
}

/// Tells GitHub, if it runs this: a summary of the job, and an annotation for each gate that failed.
pub(crate) fn tell_github(suite: &SuiteSummary) -> Result<()> {
    if suite.experiments.iter().all(|experiment| experiment.gates.is_empty()) {
        return Ok(());
    }
    if let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").map(PathBuf::from) {
        let file = std::fs::File::options().append(true).create(true).open(&path);
        let written = file.and_then(|mut file| file.write_all(markdown(suite).as_bytes()));
        written.with_context(|| format!("failed to write {}", path.display()))?;
    }
    if std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true") {
        for experiment in &suite.experiments {
            for result in experiment.gates.iter().filter(|result| result.outcome == Outcome::Failed)
            {
                let line = format!("{} {}", experiment.name, result.line());
                let mut out = std::io::stderr().lock();
                writeln!(out, "::error title=gate::{}", annotation(&line))?;
            }
        }
    }
    Ok(())
}

/// Text in a workflow command: <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>.
fn annotation(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The gates of all experiments as a table.
fn markdown(suite: &SuiteSummary) -> String {
    let mut text = String::new();
    for experiment in &suite.experiments {
        let name = escaped(&experiment.name);
        let _ = writeln!(text, "### {name}\n\n{}\n", escaped(&experiment.question));
        let _ = writeln!(text, "| cell | gate | |\n|---|---|---|");
        for result in &experiment.gates {
            let cells = [&result.cell, &result.gate.to_string(), &result.finding()];
            let cells = cells.map(|cell| escaped(cell));
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        text.push('\n');
    }
    text
}

/// Writes the runs and gates of all experiments as `JUnit` XML.
pub(crate) fn write_junit(suite: &SuiteSummary, path: &Path) -> Result<()> {
    let mut report = Report::new("run-suite");
    for experiment in &suite.experiments {
        report.add_test_suite(test_suite(experiment));
    }
    let text = report.to_string().context("failed to make JUnit XML")?;
    let written = replace_file(path, |file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("failed to write {}", path.display()))
}

fn test_suite(experiment: &ExperimentSummary) -> TestSuite {
    let mut suite = TestSuite::new(experiment.name.as_str());
    for cell in &experiment.cells {
        for run in &cell.runs {
            let status = if run.is_valid() {
                TestCaseStatus::success()
            } else {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
                let problem = run.problem.clone().unwrap_or_else(|| run.word().to_owned());
                status.set_message(problem).set_type(run.word());
                status
            };
            let name = format!("{} repeat {} is valid", cell.label, run.repeat);
            let mut case = TestCase::new(name, status);
            case.set_classname(experiment.name.as_str());
            suite.add_test_case(case);
        }
    }
    for result in &experiment.gates {
        let status = match result.outcome {
            Outcome::Passed => TestCaseStatus::success(),
            Outcome::Undecided if !experiment.undecided_fails => {
                let mut status = TestCaseStatus::skipped();
                status.set_message(result.finding());
                status
            }
            Outcome::Failed | Outcome::Undecided => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(result.finding()).set_type("gate");
                status
            }
        };
        let mut case = TestCase::new(format!("{}: {}", result.cell, result.gate), status);
        case.set_classname(experiment.name.as_str());
        suite.add_test_case(case);
    }
    suite
}
