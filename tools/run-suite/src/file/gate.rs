//! `[gate]` and `--gate`: what an experiment must show, such as `end_to_end.p99 < 20ms`, or
//! `throughput > -5%` against a baseline.

use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

use bench_cli::UsageError;
use bench_cli::quantity::{parse_duration, parse_rate, parse_size_bytes};
use bench_core::system::shortened;
use serde::{Deserialize, Serialize};

use super::figure::{Figure, Measure};
use super::form::{GateForm, Undecided};

/// The place of the keys in messages.
const SECTION: &str = "[gate]";

/// What an experiment must show, and what follows when it does not.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gates {
    pub(crate) conditions: Vec<Gate>,
    /// The experiment that changes are counted from.
    pub(crate) baseline: Option<PathBuf>,
    /// Whether a gate fails unless it is shown to hold.
    #[serde(default)]
    pub(crate) strict: bool,
    /// Whether an experiment fails that leaves a gate undecided.
    #[serde(default)]
    pub(crate) undecided_fails: bool,
    /// Whether the experiment ends as soon as a gate has failed.
    #[serde(default)]
    pub(crate) abort: bool,
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Gate {
    pub(crate) figure: Figure,
    pub(crate) side: Side,
    pub(crate) bound: Bound,
    /// As it was written.
    text: String,
}

/// On which side of the bound the figure must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Below,
    Above,
}

/// A bound of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bound {
    /// In the unit of the figure.
    Value(f64),
    /// The ratio to the baseline.
    Ratio(f64),
}

impl Gates {
    /// Reads the section.
    pub(super) fn read(form: Option<GateForm>) -> Result<Self, UsageError> {
        let Some(form) = form else { return Ok(Self::default()) };
        let gates = form.require.iter().map(|text| Gate::parse(SECTION, text));
        Ok(Self {
            conditions: gates.collect::<Result<_, _>>()?,
            baseline: form.baseline,
            strict: form.strict,
            undecided_fails: form.undecided == Undecided::Fail,
            abort: form.abort,
        })
    }

    /// Refuses changes that have nothing to be counted from.
    pub(crate) fn check(&self) -> Result<(), UsageError> {
        let change = self.conditions.iter().find(|gate| matches!(gate.bound, Bound::Ratio(_)));
        match change {
            Some(change) if self.baseline.is_none() => Err(UsageError::new(
                "--baseline",
                format!("`{change}` is a change, and there is nothing to count it from"),
                "give the folder of an earlier experiment",
            )),
            _ => Ok(()),
        }
    }
}

impl Gate {
    /// Reads a condition; `place` names the option or section in the error.
    pub(crate) fn parse(place: &str, text: &str) -> Result<Self, UsageError> {
        const REMEDY: &str = "write `end_to_end.p99 < 20ms`, or `throughput > -5%` for a change";
        let refusal = |problem: &str| {
            UsageError::new(place, format!("`{}`: {problem}", shortened(text)), REMEDY)
        };
        let at = text.find(['<', '>']).ok_or_else(|| refusal("has neither < nor >"))?;
        let side = if text[at..].starts_with('<') { Side::Below } else { Side::Above };
        let figure = Figure::parse(place, text[..at].trim())?;
        let bound = Bound::parse(&figure.measure, text[at + 1..].trim());
        let bound = bound.map_err(|problem| refusal(&problem))?;
        Ok(Self { figure, side, bound, text: text.trim().to_owned() })
    }

    /// Whether a value, or a ratio to the baseline, is on the right side.
    pub(crate) fn holds(&self, value: f64) -> bool {
        let (Bound::Value(bound) | Bound::Ratio(bound)) = self.bound;
        match self.side {
            Side::Below => value < bound,
            Side::Above => value > bound,
        }
    }
}

impl Bound {
    fn parse(measure: &Measure, text: &str) -> Result<Self, String> {
        if let Some(percent) = text.strip_suffix('%') {
            let change: f64 = percent
                .trim()
                .parse()
                .map_err(|_| format!("`{}` is not a change such as -5%", shortened(text)))?;
            if !(-100.0..=1e6).contains(&change) {
                return Err("a change is at least -100%".to_owned());
            }
            return Ok(Self::Ratio(1.0 + change / 100.0));
        }
        let value = match measure {
            Measure::Throughput => parse_rate(text).map_err(|error| error.to_string())?,
            Measure::ByteThroughput => {
                let size = text.strip_suffix("/s").unwrap_or(text);
                parse_size_bytes(size).map_err(|error| error.to_string())? as f64
            }
            Measure::Latency(..) | Measure::Duration(..) => nanoseconds(text)?,
            Measure::CpuPerMessage => nanoseconds(text)? / 1e3,
        };
        Ok(Self::Value(value))
    }
}

fn nanoseconds(text: &str) -> Result<f64, String> {
    // A bare number could be taken for milliseconds as well.
    if text.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return Err(format!("`{}` has no unit", shortened(text)));
    }
    let duration = parse_duration(text).map_err(|error| error.to_string())?;
    Ok(duration.as_nanos() as f64)
}

impl Display for Gate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Gate {
    type Error = UsageError;

    fn try_from(text: String) -> Result<Self, UsageError> {
        Self::parse(SECTION, &text)
    }
}

impl From<Gate> for String {
    fn from(gate: Gate) -> Self {
        gate.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(text: &str) -> Gate {
        Gate::parse("--gate", text).expect(text)
    }

    #[test]
    fn limits_have_the_unit_of_their_figure() {
        let limit = gate("end_to_end.p99 < 20ms");
        assert_eq!(limit.bound, Bound::Value(20e6));
        assert!(limit.holds(19e6) && !limit.holds(20e6));
        assert_eq!(gate("throughput>9.5k/s").bound, Bound::Value(9500.0));
        assert_eq!(gate("throughput_bytes > 10MB/s").bound, Bound::Value(10e6));
        assert_eq!(gate("cpu_per_message < 2us").bound, Bound::Value(2.0));
    }

    #[test]
    fn changes_are_ratios() {
        let drop = gate("throughput > -5%");
        assert_eq!(drop.bound, Bound::Ratio(0.95));
        assert!(drop.holds(0.96) && !drop.holds(0.94));
        assert_eq!(gate("end_to_end.p99 < +10 %").bound, Bound::Ratio(1.1));
        let gates = Gates { conditions: vec![drop], ..Gates::default() };
        let error = gates.check().expect_err("no baseline").to_string();
        assert!(error.starts_with("--baseline: `throughput > -5%` is a change"), "{error}");
    }

    #[test]
    fn bad_conditions_are_refused_with_a_remedy() {
        for (text, part) in [
            ("end_to_end.p99", "has neither < nor >"),
            ("end_to_end.p98 < 1ms", "no figure is called"),
            ("end_to_end.p99 < 20", "has no unit"),
            ("end_to_end.p99 < soon", "soon"),
            ("throughput > -200%", "at least -100%"),
            ("throughput > x%", "is not a change"),
        ] {
            let error = Gate::parse("--gate", text).expect_err(text).to_string();
            assert!(error.starts_with("--gate: ") && error.contains(part), "{text}: {error}");
        }
    }
}
