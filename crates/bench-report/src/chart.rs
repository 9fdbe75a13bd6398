//! Charts: one function for each kind makes the option of `ECharts`, and nothing else knows that library.
//!
//! An option is JSON. What JSON cannot hold is named and revived in the page: `{"$fn": "duration"}` is a
//! function of `assets/charts.js`, `{"$colour": 2}` a colour of the theme in force.

mod axis;
mod heat_map;
mod intervals;
mod lines;

use serde_json::{Value, json};

pub use self::axis::{Axis, Scale, Unit};
pub use self::heat_map::HeatMap;
pub use self::intervals::{Interval, Intervals};
pub use self::lines::{Level, Line, Lines, Look, Span};
use crate::page::Table;

/// A chart with everything that stands around it.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// What it shows.
    pub(crate) title: String,
    /// How to read it, if that is not plain.
    pub(crate) note: String,
    /// What it says, for those who do not see it.
    pub(crate) description: String,
    /// Charts of one name zoom together.
    pub(crate) linked: Option<String>,
    pub(crate) height_px: u32,
    /// For the library.
    pub(crate) option: Value,
    /// What a reader can switch off.
    pub(crate) legend: Vec<Entry>,
    /// What is shaded.
    pub(crate) shaded: Vec<Entry>,
    /// The same in numbers, where they are few; the page makes one of the others on request.
    pub(crate) table: Option<Table>,
}

/// An entry of the legend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) colour: usize,
}

/// What every kind of chart is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caption {
    /// What the chart shows.
    pub title: String,
    /// How to read it, if that is not plain.
    pub note: String,
    /// What it says, for those who do not see it.
    pub description: String,
}

impl Caption {
    /// A title, a note and a description.
    #[must_use]
    pub fn new(
        title: impl Into<String>,
        note: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        Self { title: title.into(), note: note.into(), description: description.into() }
    }
}

/// Room for the labels and the name of the horizontal axis.
const BELOW_PX: u32 = 46;

/// The option that all charts begin with.
fn base() -> Value {
    json!({
        "animation": false,
        // With a text of ours: the library's own is poor.
        "aria": {"enabled": true, "label": {}},
        "grid": {"left": 8, "right": 24, "top": 30, "bottom": BELOW_PX},
        // The legend is part of the page, where a keyboard reaches it.
        "legend": {"show": false},
    })
}

/// A number with five digits, which no screen shows more of, and without a needless fraction.
fn number(value: f64) -> Value {
    const DIGITS: i32 = 5;
    /// Whole numbers beyond it are not exact.
    const WHOLE_MAX: f64 = 9e15;
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { json!(0) } else { Value::Null };
    }
    #[expect(clippy::cast_possible_truncation, reason = "the logarithm of a number is small")]
    let digits = DIGITS - 1 - value.abs().log10().floor() as i32;
    let scale = 10_f64.powi(digits.abs());
    let rounded =
        if digits < 0 { (value / scale).round() * scale } else { (value * scale).round() / scale };
    if rounded.fract() == 0.0 && rounded.abs() < WHOLE_MAX {
        #[expect(clippy::cast_possible_truncation, reason = "whole, and within the range")]
        return json!(rounded as i64);
    }
    json!(rounded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (1_234_567.0, "1234600"),
            (0.123_456_7, "0.12346"),
            (2.5, "2.5"),
            (100.0, "100"),
            (-3.000_001, "-3"),
            (f64::NAN, "null"),
        ] {
            assert_eq!(number(value).to_string(), text);
        }
    }
}
