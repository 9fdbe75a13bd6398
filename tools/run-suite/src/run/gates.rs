//! Whether an experiment shows what its gates ask.

use std::path::Path;

use bench_stats::Bounds;
use serde::Serialize;

use super::comparison::estimate::Estimate;
use super::comparison::side::{Pair, Side, cells_of, pairs};
use super::early_failure::EarlyFailure;
use super::folder::State;
use crate::file::gate::{Bound, Gate, Gates};

/// What became of a gate in one cell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct GateResult {
    pub(crate) gate: Gate,
    /// The cell, by its label.
    pub(crate) cell: String,
    pub(crate) outcome: Outcome,
    /// The value of the median run, or its ratio to the baseline.
    pub(crate) value: Option<f64>,
    /// Whether the value may be larger in truth, because messages without an answer are in it.
    pub(crate) is_lower_bound: bool,
    /// The interval that decided; its upper end is infinite, and null in JSON, where values may be larger
    /// in truth.
    pub(crate) interval: Option<Bounds>,
    /// What the outcome rests on, one sentence.
    pub(crate) reason: String,
}

/// What became of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// Its whole interval is on the right side.
    Passed,
    /// Its whole interval is on the wrong side; of a strict gate, not the whole on the right one.
    Failed,
    Undecided,
}

/// The results of all gates in all cells of the experiment in `folder`.
pub(crate) fn results(folder: &Path, state: &State, gates: &Gates) -> Vec<GateResult> {
    if gates.conditions.is_empty() {
        return Vec::new();
    }
    let cells = cells_of(folder, state.clone());
    let against = gates.baseline.as_ref().and_then(|baseline| pairs(baseline, Some(folder)).ok());
    let against = against.map(|(pairs, _)| pairs).unwrap_or_default();
    let mut results = Vec::new();
    for (index, cell) in cells.iter().enumerate() {
        let early = early_failures(state, index);
        for gate in &gates.conditions {
            if let Some((repeat, failure)) = early.iter().find(|(_, failure)| failure.gate == *gate)
            {
                results.push(failure.result(cell, *repeat));
                continue;
            }
            let found = match gate.bound {
                Bound::Value(_) => Estimate::of(cell, &gate.figure),
                Bound::Ratio(_) => match base_of(cell, &against) {
                    Some(base) => Estimate::of_ratio(base, cell, &gate.figure),
                    None => Estimate::none("the baseline is gone, or has no such cell"),
                },
            };
            results.push(found.judge(cell, gate, gates.strict));
        }
    }
    results
}

/// The gates that runs of a cell failed before their end, with their repeats.
fn early_failures(state: &State, cell: usize) -> Vec<(u32, &EarlyFailure)> {
    let runs = state.plan.runs.iter().zip(&state.runs).filter(|(run, _)| run.cell == cell);
    let failed = runs.map(|(run, state)| Some((run.repeat, state.failed_gate.as_ref()?)));
    failed.flatten().collect()
}

impl EarlyFailure {
    fn result(&self, cell: &Side, repeat: u32) -> GateResult {
        GateResult {
            gate: self.gate.clone(),
            cell: cell.label().to_owned(),
            outcome: Outcome::Failed,
            value: None,
            is_lower_bound: false,
            interval: Some(self.interval()),
            reason: format!("repeat {repeat} {self}"),
        }
    }
}

/// The cell of the baseline that a cell is counted from.
fn base_of<'a>(cell: &Side, against: &'a [Pair]) -> Option<&'a Side> {
    let (base, _) = against.iter().find(|(_, other)| other.label() == cell.label())?;
    Some(base)
}

impl Estimate {
    fn judge(self, cell: &Side, gate: &Gate, strict: bool) -> GateResult {
        let (outcome, reason) = match self.interval {
            None if strict => (Outcome::Failed, self.lacking.to_owned()),
            None => (Outcome::Undecided, self.lacking.to_owned()),
            Some(Bounds { low, high }) => match (gate.holds(low), gate.holds(high)) {
                (true, true) => (Outcome::Passed, "the whole interval holds".to_owned()),
                (false, false) => (Outcome::Failed, "the whole interval is beyond it".to_owned()),
                _ if strict => (Outcome::Failed, "a part of the interval is beyond it".to_owned()),
                _ => (Outcome::Undecided, "a part of the interval is beyond it".to_owned()),
            },
        };
        GateResult {
            gate: gate.clone(),
            cell: cell.label().to_owned(),
            outcome,
            value: self.value,
            is_lower_bound: self.is_lower_bound,
            interval: self.interval,
            reason,
        }
    }
}

/// Whether no further run can make the experiment pass, and it asks to end then.
pub(super) fn is_hopeless(folder: &Path, state: &State) -> bool {
    let gates = &state.plan.gates;
    let has_failed =
        |result: &GateResult| result.outcome == Outcome::Failed && result.interval.is_some();
    gates.abort && results(folder, state, gates).iter().any(has_failed)
}

/// Whether the results fail an experiment.
pub(crate) fn fail(results: &[GateResult], undecided_fails: bool) -> bool {
    results.iter().any(|result| match result.outcome {
        Outcome::Passed => false,
        Outcome::Failed => true,
        Outcome::Undecided => undecided_fails,
    })
}
