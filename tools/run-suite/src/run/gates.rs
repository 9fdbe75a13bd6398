//! Whether an experiment shows what its gates ask.

use std::path::Path;

use bench_stats::{Bounds, Change, repeats, unpaired};
use serde::Serialize;

use super::analysis::LEVEL;
use super::comparison::side::{Pair, Side, cells_of, pairs};
use super::folder::State;
use crate::file::figure::{Figure, Measured};
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

/// A figure of a cell, or its ratio to the baseline.
struct Shown {
    value: Option<f64>,
    interval: Option<Bounds>,
    /// Whether the figure may be larger in truth.
    is_lower_bound: bool,
    /// Why there is no interval.
    lacking: &'static str,
}

/// Why a percentile is not judged.
const FEW_SAMPLES: &str = "a run has too few samples beyond the percentile";

/// The upper end of an interval.
fn or_more(high: f64, is_lower_bound: bool) -> f64 {
    if is_lower_bound { f64::INFINITY } else { high }
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
    for cell in &cells {
        for gate in &gates.conditions {
            let shown = match gate.bound {
                Bound::Value(_) => Shown::value(cell, &gate.figure),
                Bound::Ratio(_) => Shown::ratio(cell, &against, &gate.figure),
            };
            results.push(shown.judge(cell, gate, gates.strict));
        }
    }
    results
}

impl Shown {
    fn value(cell: &Side, figure: &Figure) -> Self {
        let measured = cell.measured(figure);
        let values: Vec<f64> = measured.iter().map(|it| it.value).collect();
        let value = figure.measure.middle(&values);
        if measured.iter().any(Measured::has_few_samples) {
            return Self::lacking(value, FEW_SAMPLES);
        }
        let (interval, lacking) = match values.as_slice() {
            [] => (None, "no valid run has the figure"),
            [_] => {
                (cell.interval_inside(figure), "one run without enough samples shows too little")
            }
            values => {
                (repeats(values, LEVEL).map(|found| found.interval), "a value is not positive")
            }
        };
        let is_lower_bound = measured.iter().any(|it| it.is_lower_bound);
        let interval = interval.map(|it| Bounds { high: or_more(it.high, is_lower_bound), ..it });
        Self { value, interval, is_lower_bound, lacking }
    }

    fn ratio(cell: &Side, against: &[Pair], figure: &Figure) -> Self {
        let base = against.iter().find(|(_, other)| other.label() == cell.label());
        let Some((base, _)) = base else {
            return Self::lacking(None, "the baseline is gone, or has no such cell");
        };
        let (base_measured, measured) = (base.measured(figure), cell.measured(figure));
        let change = unpaired(&base.values(figure), &cell.values(figure), LEVEL);
        let value = change.map(|change| change.ratio);
        if base_measured.iter().chain(&measured).any(Measured::has_few_samples) {
            return Self::lacking(value, FEW_SAMPLES);
        }
        let is_lower_bound = |all: &[Measured]| all.iter().any(|it| it.is_lower_bound);
        Self {
            value,
            interval: change.map(|Change { interval: Bounds { low, high }, .. }| Bounds {
                low: if is_lower_bound(&base_measured) { 0.0 } else { low },
                high: or_more(high, is_lower_bound(&measured)),
            }),
            is_lower_bound: is_lower_bound(&measured),
            lacking: "needs two valid repeats on each side",
        }
    }

    /// Without an interval.
    fn lacking(value: Option<f64>, lacking: &'static str) -> Self {
        Self { value, interval: None, is_lower_bound: false, lacking }
    }

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
