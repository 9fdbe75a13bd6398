//! Axes: what is on them, in which unit, on which scale.

use serde_json::{Value, json};

use super::number;

/// An axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// What is on it: `end-to-end latency`.
    pub name: String,
    /// The unit of its values.
    pub unit: Unit,
    /// How they are laid out.
    pub scale: Scale,
}

/// The unit of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds, shown in the unit that fits: `4.20 ms`.
    Nanoseconds,
    /// Seconds of a run: `120 s`.
    Seconds,
    /// Messages per second: `10.0 k/s`.
    Rate,
    /// Bytes: `1.00 MB`.
    Bytes,
    /// Bytes per second.
    ByteRate,
    /// Microseconds.
    Microseconds,
    /// A share of a whole, 0 to 1, shown in percent.
    Share,
    /// A ratio, 1 for no change, shown as a change in percent.
    Change,
    /// A number of things.
    Count,
}

/// How values are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// From 0.
    Linear,
    /// From the least value.
    Fitted,
    /// Logarithmic; values of 0 and below are left out.
    Log,
    /// Percentiles, each digit more of the tail as wide as the one before: the value is 1 / (1 - q).
    Tail,
}

impl Unit {
    /// The function of the page that shows a value.
    pub(super) fn formatter(self) -> Value {
        json!({"$fn": self.name()})
    }

    /// A value in words, as far as spans need it.
    pub(super) fn shown(self, value: f64) -> String {
        match self {
            Self::Seconds => format!("{value:.1} s"),
            _ => number(value).to_string(),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nanoseconds => "duration",
            Self::Seconds => "seconds",
            Self::Rate => "rate",
            Self::Bytes => "bytes",
            Self::ByteRate => "byteRate",
            Self::Microseconds => "microseconds",
            Self::Share => "share",
            Self::Change => "change",
            Self::Count => "count",
        }
    }
}

impl Axis {
    /// An axis that begins at 0.
    #[must_use]
    pub fn linear(name: impl Into<String>, unit: Unit) -> Self {
        Self { name: name.into(), unit, scale: Scale::Linear }
    }

    /// A logarithmic axis.
    #[must_use]
    pub fn log(name: impl Into<String>, unit: Unit) -> Self {
        Self { name: name.into(), unit, scale: Scale::Log }
    }

    /// The time of a run.
    #[must_use]
    pub fn time() -> Self {
        Self::linear("time from the start", Unit::Seconds)
    }

    /// Percentiles, the tail stretched.
    #[must_use]
    pub fn tail() -> Self {
        Self { name: "percentile".to_owned(), unit: Unit::Count, scale: Scale::Tail }
    }

    /// The function that shows a value.
    pub(super) fn formatter(&self) -> Value {
        if self.scale == Scale::Tail { json!({"$fn": "tail"}) } else { self.unit.formatter() }
    }

    /// Its name in the page's functions.
    pub(super) fn formatter_name(&self) -> &'static str {
        if self.scale == Scale::Tail { "tail" } else { self.unit.name() }
    }

    /// As the horizontal one, of values from the least to the largest.
    pub(super) fn below(&self, extent: Option<Extent>) -> Value {
        let mut axis = self.option(extent);
        axis["nameLocation"] = json!("middle");
        axis["nameGap"] = json!(26);
        axis
    }

    /// As the vertical one, whose name stands above it.
    pub(super) fn beside(&self, extent: Option<Extent>) -> Value {
        let mut axis = self.option(extent);
        axis["nameLocation"] = json!("end");
        axis["nameTextStyle"] = json!({"align": "left"});
        axis["nameGap"] = json!(12);
        axis
    }

    fn option(&self, extent: Option<Extent>) -> Value {
        let scale = match self.scale {
            // It would have two marks.
            Scale::Log if extent.is_some_and(Extent::is_narrow) => Scale::Linear,
            scale => scale,
        };
        let mut axis = json!({
            "name": self.name,
            "type": if matches!(scale, Scale::Log | Scale::Tail) { "log" } else { "value" },
            "axisLabel": {"formatter": self.formatter(), "hideOverlap": true},
            "axisPointer": {"label": {"formatter": {"$fn": "pointer", "unit": self.formatter_name()}}},
        });
        match (scale, extent) {
            // Not at a round value beyond the end of the run.
            (Scale::Linear, Some(extent)) if self.unit == Unit::Seconds => {
                axis["max"] = number(extent.most);
            }
            (Scale::Linear, _) | (Scale::Log, None) => {}
            (Scale::Fitted, Some(extent)) => mark(&mut axis, &extent.even_values()),
            (Scale::Fitted, None) => axis["scale"] = json!(true),
            (Scale::Log, Some(extent)) => mark(&mut axis, &extent.round_values()),
            (Scale::Tail, extent) => {
                // p0, p50, p90, p99, ...
                let most = extent.map_or(100.0, |extent| extent.most);
                let nines = (1..).map(|nines| 10_f64.powi(nines)).take_while(|it| *it < most);
                mark(&mut axis, &[1.0, 2.0].into_iter().chain(nines).collect::<Vec<f64>>());
                axis["max"] = number(most);
            }
        }
        axis
    }
}

/// Lets an axis reach from the first to the last of these values, and mark each.
fn mark(axis: &mut Value, values: &[f64]) {
    let values: Vec<Value> = values.iter().copied().map(number).collect();
    axis["min"] = values.first().cloned().unwrap_or_default();
    axis["max"] = values.last().cloned().unwrap_or_default();
    axis["axisLabel"]["customValues"] = json!(values);
    axis["axisTick"] = json!({"customValues": values});
}

/// The least and the largest of values above 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Extent {
    pub(super) least: f64,
    pub(super) most: f64,
}

impl Extent {
    /// `None` without a value above 0.
    pub(super) fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let values = values.filter(|value| *value > 0.0 && value.is_finite());
        values.fold(None, |extent, value| {
            let Self { least, most } = extent.unwrap_or(Self { least: value, most: value });
            Some(Self { least: least.min(value), most: most.max(value) })
        })
    }

    /// Whether its values are of about the same size.
    fn is_narrow(self) -> bool {
        const FACTOR: f64 = 5.0;
        self.most / self.least < FACTOR
    }

    /// Values in equal steps of 1, 2 or 5 times a power of ten, counted from 1, which is no change, from
    /// below the least to above the largest value.
    fn even_values(self) -> Vec<f64> {
        const STEPS: f64 = 6.0;
        let least_step = ((self.most - self.least) / STEPS).max(1e-6);
        let power = 10_f64.powf(least_step.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power);
        let step = step.into_iter().find(|step| *step >= least_step).unwrap_or(10.0 * power);
        #[expect(clippy::cast_possible_truncation, reason = "a few steps")]
        let place = |value: f64, to: fn(f64) -> f64| to((value - 1.0) / step) as i32;
        // What lies on a mark needs none beyond it, whatever rounding has made of it.
        let first = place(self.least + 1e-9, f64::floor);
        let last = place(self.most - 1e-9, f64::ceil);
        (first..=last.max(first + 1)).map(|place| 1.0 + f64::from(place) * step).collect()
    }

    /// 1, 2, 5, 10 and so on, from below the least to above the largest value; the powers of ten alone
    /// where these are many.
    fn round_values(self) -> Vec<f64> {
        const MANY: f64 = 5.0;
        #[expect(clippy::cast_possible_truncation, reason = "the logarithm of a number is small")]
        let (first, last) = (self.least.log10().floor() as i32, self.most.log10().ceil() as i32);
        let steps: &[f64] =
            if (self.most / self.least).log10() > MANY { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let all: Vec<f64> = (first..=last)
            .flat_map(|power| steps.iter().map(move |step| step * 10_f64.powi(power)))
            .collect();
        // Rounding must not leave out the ends.
        let begin = all.iter().rposition(|it| *it <= self.least * 1.000_001).unwrap_or(0);
        let end = all.iter().position(|it| *it >= self.most * 0.999_999).unwrap_or(all.len() - 1);
        all[begin..=end.max(begin + 1).min(all.len() - 1)].to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithmic_axes_have_round_ends_and_marks() {
        for (values, expected) in [
            (&[3.0, 40.0][..], &[2.0, 5.0, 10.0, 20.0, 50.0][..]),
            (&[1.0, 10.0], &[1.0, 2.0, 5.0, 10.0]),
            (&[7.0], &[5.0, 10.0]),
            (&[0.5, 0.0, -1.0], &[0.5, 1.0]),
            (&[1.0, 3e6], &[1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6, 1e7]),
        ] {
            let found = Extent::of(values.iter().copied()).expect("values").round_values();
            let is_near = |(a, b): (&f64, &f64)| (a / b - 1.0).abs() < 1e-9;
            assert!(
                found.len() == expected.len() && found.iter().zip(expected).all(is_near),
                "{values:?}: {found:?}"
            );
        }
        assert_eq!(Extent::of([0.0].into_iter()), None);
    }

    #[test]
    fn changes_are_marked_in_even_steps_around_none() {
        let marks = |values: [f64; 2]| {
            let found = Extent::of(values.into_iter()).expect("values").even_values();
            found
                .iter()
                .map(|it| format!("{:.1}", 100.0 * (it - 1.0)))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(marks([0.963, 1.171]), "-5.0 0.0 5.0 10.0 15.0 20.0");
        assert_eq!(marks([1.001, 1.004]), "0.1 0.2 0.3 0.4");
        assert_eq!(marks([1.0, 1.0]), "0.0 0.0");
    }

    #[test]
    fn percentiles_are_marked_up_to_the_last() {
        let extent = Extent::of([1.0, 2_500.0].into_iter());
        let axis = Axis::tail().below(extent);
        assert_eq!(axis["axisLabel"]["customValues"], json!([1, 2, 10, 100, 1000]));
        assert_eq!(axis["max"], 2500);
    }
}
