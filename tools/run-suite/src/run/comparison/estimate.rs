//! What the runs of a cell say about one figure, and how sure that is.

use bench_stats::{Bounds, Change, repeats, unpaired};

use super::side::Side;
use crate::file::figure::{Figure, Measured};
use crate::run::analysis::LEVEL;

/// A figure of a cell, or its ratio to that of another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Estimate {
    /// The value of the run in the middle, or the typical ratio.
    pub(crate) value: Option<f64>,
    /// The interval of the typical run, or inside the run if there is one alone. Its upper end is infinite
    /// where values may be larger in truth.
    pub(crate) interval: Option<Bounds>,
    /// Whether it may be larger in truth, because messages without an answer are in it.
    pub(crate) is_lower_bound: bool,
    /// Why there is no interval.
    pub(crate) lacking: &'static str,
}

/// Why a percentile has no interval.
const FEW_SAMPLES: &str = "a run has too few samples beyond the percentile";

impl Estimate {
    /// That of a figure of a cell.
    pub(crate) fn of(cell: &Side, figure: &Figure) -> Self {
        let measured = cell.measured(figure);
        let values: Vec<f64> = measured.iter().map(|it| it.value).collect();
        let value = figure.measure.middle(&values);
        let is_lower_bound = measured.iter().any(|it| it.is_lower_bound);
        if measured.iter().any(Measured::has_few_samples) {
            return Self { value, interval: None, is_lower_bound, lacking: FEW_SAMPLES };
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
        let interval = interval.map(|it| Bounds { high: or_more(it.high, is_lower_bound), ..it });
        Self { value, interval, is_lower_bound, lacking }
    }

    /// That of the ratio of a cell's figure to that of `base`, recorded at another time.
    pub(crate) fn of_ratio(base: &Side, cell: &Side, figure: &Figure) -> Self {
        let (base_measured, measured) = (base.measured(figure), cell.measured(figure));
        let change = unpaired(&base.values(figure), &cell.values(figure), LEVEL);
        let value = change.map(|change| change.ratio);
        let has_lower_bound = |all: &[Measured]| all.iter().any(|it| it.is_lower_bound);
        let is_lower_bound = has_lower_bound(&measured);
        if base_measured.iter().chain(&measured).any(Measured::has_few_samples) {
            return Self { value, interval: None, is_lower_bound, lacking: FEW_SAMPLES };
        }
        Self {
            value,
            interval: change.map(|Change { interval: Bounds { low, high }, .. }| Bounds {
                low: if has_lower_bound(&base_measured) { 0.0 } else { low },
                high: or_more(high, is_lower_bound),
            }),
            is_lower_bound,
            lacking: "needs two valid repeats on each side",
        }
    }

    /// Without a value.
    pub(crate) fn none(lacking: &'static str) -> Self {
        Self { value: None, interval: None, is_lower_bound: false, lacking }
    }
}

/// The upper end of an interval.
fn or_more(high: f64, is_lower_bound: bool) -> f64 {
    if is_lower_bound { f64::INFINITY } else { high }
}
