//! How many samples had which value at which time, in few enough cells for a picture.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The most columns: more are narrower than a picture shows.
const COLUMNS_MAX: f64 = 120.0;

/// The most rows.
const ROWS_MAX: f64 = 48.0;

/// The least factor from row to row: finer than the three digits of histograms makes stripes.
const ROW_FACTOR_MIN: f64 = 1.02;

/// Samples by time and value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Density {
    /// Where the columns begin, and where the last one ends, seconds from the start of the schedule. Each
    /// is as long as an interval, or several.
    pub columns_s: Vec<f64>,
    /// Where the rows begin, and where the last one ends, nanoseconds. Each is the same factor above the
    /// one before.
    pub rows_ns: Vec<f64>,
    /// The cells that have samples: column, row, samples.
    pub cells: Vec<(u32, u32, u64)>,
}

/// The cells while they are filled.
pub(super) struct Grid {
    begin_s: f64,
    column_s: f64,
    columns: f64,
    low_ns: f64,
    factor: f64,
    rows: f64,
    samples: BTreeMap<(u32, u32), u64>,
}

impl Grid {
    /// For intervals of these times, whose samples are `merged`; `None` without samples.
    pub(super) fn new(times: &[(Duration, Duration)], merged: &Histogram<u64>) -> Option<Self> {
        let begin_s = times.first()?.0.as_secs_f64();
        let end_s = times.last()?.1.as_secs_f64();
        let lengths = times.iter().map(|(start, end)| end.saturating_sub(*start).as_secs_f64());
        let interval_s = lengths.fold(0.0, f64::max);
        let count = ((end_s - begin_s) / interval_s).ceil();
        if !(count >= 1.0 && count.is_finite()) || merged.is_empty() {
            return None;
        }
        let column_s = interval_s * (count / COLUMNS_MAX).ceil();
        let (low_ns, high_ns) = (merged.min().max(1) as f64, merged.max().max(1) as f64);
        let rows = ((high_ns / low_ns).ln() / ROW_FACTOR_MIN.ln()).ceil().clamp(1.0, ROWS_MAX);
        // The largest sample belongs to the last row.
        let factor = (high_ns * 1.001 / low_ns).powf(1.0 / rows);
        Some(Self {
            begin_s,
            column_s,
            columns: ((end_s - begin_s) / column_s).ceil(),
            low_ns,
            factor,
            rows,
            samples: BTreeMap::new(),
        })
    }

    /// Adds samples of one value, of the interval that began at `start` and ended at `end`.
    pub(super) fn add(&mut self, start: Duration, end: Duration, ns: u64, samples: u64) {
        let middle_s = f64::midpoint(start.as_secs_f64(), end.as_secs_f64());
        let column = (middle_s - self.begin_s) / self.column_s;
        let row = (ns.max(1) as f64 / self.low_ns).ln() / self.factor.ln();
        let place = (place(column, self.columns), place(row, self.rows));
        *self.samples.entry(place).or_default() += samples;
    }

    pub(super) fn density(self) -> Density {
        Density {
            columns_s: edges(self.columns, |edge| self.begin_s + edge * self.column_s),
            rows_ns: edges(self.rows, |edge| self.low_ns * self.factor.powf(edge)),
            cells: self
                .samples
                .iter()
                .map(|(&(column, row), &count)| (column, row, count))
                .collect(),
        }
    }
}

/// The number of a column or row, which is one of `count`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within a small range")]
fn place(position: f64, count: f64) -> u32 {
    position.floor().clamp(0.0, count - 1.0) as u32
}

/// The edges of so many columns or rows.
fn edges(count: f64, at: impl Fn(f64) -> f64) -> Vec<f64> {
    (0..=place(count, count + 1.0)).map(|edge| at(f64::from(edge))).collect()
}
