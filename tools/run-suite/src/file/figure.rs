//! One figure of a run by name: `throughput`, `end_to_end.p99`, `then.landing.p50`.

use std::fmt::{self, Display, Formatter};

use bench_cli::UsageError;
use bench_cli::quantity::{byte_rate, duration_ns, rate};
use bench_core::system::shortened;
use bench_record::{LatencyKind, LatencySummary, Summary};
use bench_stats::SAMPLES_BEYOND_MIN;
use serde::{Deserialize, Serialize};

use super::refusal::{nearest, remedy};

/// The prefix of figures of the second tool.
const THEN: &str = "then.";

/// A figure of a run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Figure {
    /// Whether it is one of the second tool.
    pub(crate) of_then: bool,
    pub(crate) measure: Measure,
}

/// What is measured.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measure {
    /// Messages received per second; messages acknowledged if none are received.
    Throughput,
    /// The same in bytes.
    ByteThroughput,
    /// A percentile of a latency.
    Latency(LatencyKind, Percentile),
    /// A percentile of the system's own work, by name.
    Duration(String, Percentile),
    /// Processor time of the tool per message.
    CpuPerMessage,
}

/// A percentile that every distribution has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Percentile {
    P50,
    P75,
    P90,
    P95,
    P99,
    P99_9,
    P99_99,
}

/// The value of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Measured {
    pub(crate) value: f64,
    /// Whether it may be larger in truth, because messages without an answer are in it.
    pub(crate) is_lower_bound: bool,
    /// Samples beyond a percentile; absent for other figures.
    pub(crate) samples_beyond: Option<f64>,
}

impl Measured {
    /// Whether a percentile rests on too few samples to be judged.
    pub(crate) fn has_few_samples(&self) -> bool {
        self.samples_beyond.is_some_and(|samples| samples < SAMPLES_BEYOND_MIN as f64)
    }
}

impl Percentile {
    pub(crate) const ALL: [Self; 7] =
        [Self::P50, Self::P75, Self::P90, Self::P95, Self::P99, Self::P99_9, Self::P99_99];

    fn name(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P75 => "p75",
            Self::P90 => "p90",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::P99_9 => "p99.9",
            Self::P99_99 => "p99.99",
        }
    }

    /// The share of samples at or below it.
    pub(crate) fn quantile(self) -> f64 {
        match self {
            Self::P50 => 0.5,
            Self::P75 => 0.75,
            Self::P90 => 0.9,
            Self::P95 => 0.95,
            Self::P99 => 0.99,
            Self::P99_9 => 0.999,
            Self::P99_99 => 0.9999,
        }
    }

    /// Its value, nanoseconds.
    fn of(self, latency: &LatencySummary) -> u64 {
        match self {
            Self::P50 => latency.p50_ns,
            Self::P75 => latency.p75_ns,
            Self::P90 => latency.p90_ns,
            Self::P95 => latency.p95_ns,
            Self::P99 => latency.p99_ns,
            Self::P99_9 => latency.p99_9_ns,
            Self::P99_99 => latency.p99_99_ns,
        }
    }

    fn measured(self, latency: Option<&LatencySummary>) -> Option<Measured> {
        let latency = latency.filter(|latency| latency.count > 0)?;
        let ns = self.of(latency);
        Some(Measured {
            value: ns as f64,
            is_lower_bound: latency.is_lower_bound(ns),
            samples_beyond: Some(latency.count as f64 * (1.0 - self.quantile())),
        })
    }
}

impl Measure {
    /// Its value in the figures of a run, if that has it.
    pub(crate) fn of(&self, figures: &Summary) -> Option<Measured> {
        let plain = |value: Option<f64>| {
            let value = value?;
            Some(Measured { value, is_lower_bound: false, samples_beyond: None })
        };
        match self {
            Self::Throughput => plain(throughput_msg_per_s(figures)),
            Self::ByteThroughput => plain(throughput_bytes_per_s(figures)),
            Self::Latency(kind, percentile) => percentile.measured(figures.latency(*kind)),
            Self::Duration(name, percentile) => percentile.measured(figures.durations.get(name)),
            Self::CpuPerMessage => plain(figures.resources.cpu_us_per_message),
        }
    }

    /// Whether more of it is better.
    pub(crate) fn is_better_when_higher(&self) -> bool {
        matches!(self, Self::Throughput | Self::ByteThroughput)
    }

    /// The value in the middle, the worse of two: always a measured one.
    pub(crate) fn middle(&self, values: &[f64]) -> Option<f64> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let middle = if self.is_better_when_higher() { last / 2 } else { last.div_ceil(2) };
        sorted.get(middle).copied()
    }

    /// A value in words.
    pub(crate) fn show(&self, value: f64) -> String {
        match self {
            Self::Throughput => rate(value),
            Self::ByteThroughput => byte_rate(value),
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ns")]
            Self::Latency(..) | Self::Duration(..) => duration_ns(value.round() as u64),
            Self::CpuPerMessage => format!("{value:.3} us"),
        }
    }

    /// What it measures, without the percentile: the name of an axis.
    pub(crate) fn kind_title(&self) -> String {
        match self {
            Self::Throughput | Self::ByteThroughput => "throughput".to_owned(),
            Self::Latency(kind, _) => kind.title().to_owned(),
            Self::Duration(name, _) => name.replace('_', " "),
            Self::CpuPerMessage => "CPU per message".to_owned(),
        }
    }

    fn title(&self) -> String {
        match self {
            Self::Throughput => "throughput".to_owned(),
            Self::ByteThroughput => "throughput in bytes".to_owned(),
            Self::Latency(kind, percentile) => {
                format!("{} {}", kind.short_title(), percentile.name())
            }
            Self::Duration(name, percentile) => {
                format!("{} {}", name.replace('_', " "), percentile.name())
            }
            Self::CpuPerMessage => "CPU per message".to_owned(),
        }
    }

    fn parse(name: &str) -> Option<Self> {
        match name {
            "throughput" => return Some(Self::Throughput),
            "throughput_bytes" => return Some(Self::ByteThroughput),
            "cpu_per_message" => return Some(Self::CpuPerMessage),
            _ => {}
        }
        let (what, percentile) = name.split_once('.')?;
        let percentile = Percentile::ALL.into_iter().find(|known| known.name() == percentile)?;
        let kind = LatencyKind::ALL.into_iter().find(|kind| kind.column() == what);
        Some(match kind {
            Some(kind) => Self::Latency(kind, percentile),
            None => Self::Duration(what.strip_prefix(DURATION)?.to_owned(), percentile),
        })
    }
}

/// Begins the names of durations: tools choose the rest.
const DURATION: &str = "duration_";

impl Figure {
    /// Its name for people, with that of the second tool if it is one of that.
    pub(crate) fn title(&self, then: Option<&str>) -> String {
        match then.filter(|_| self.of_then) {
            Some(tool) => format!("{tool} {}", self.measure.title()),
            None => self.measure.title(),
        }
    }

    /// Reads a name; `place` names the option or key in the error.
    pub(crate) fn parse(place: &str, name: &str) -> Result<Self, UsageError> {
        let (of_then, own) = match name.strip_prefix(THEN) {
            Some(own) => (true, own),
            None => (false, name),
        };
        if let Some(measure) = Measure::parse(own) {
            return Ok(Self { of_then, measure });
        }
        let known = known_names();
        let nearest = nearest(own, known.iter().map(String::as_str));
        let remedy = remedy(nearest, || {
            "use throughput, cpu_per_message, or a latency with a percentile, such as \
             end_to_end.p99"
                .to_owned()
        });
        Err(UsageError::new(place, format!("no figure is called `{}`", shortened(name)), remedy))
    }
}

fn known_names() -> Vec<String> {
    let latencies = LatencyKind::ALL.into_iter().flat_map(|kind| {
        Percentile::ALL.map(|percentile| Measure::Latency(kind, percentile).to_string())
    });
    let others = [Measure::Throughput, Measure::ByteThroughput, Measure::CpuPerMessage];
    others.iter().map(ToString::to_string).chain(latencies).collect()
}

impl Display for Measure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Throughput => f.write_str("throughput"),
            Self::ByteThroughput => f.write_str("throughput_bytes"),
            Self::CpuPerMessage => f.write_str("cpu_per_message"),
            Self::Latency(kind, percentile) => {
                write!(f, "{}.{}", kind.column(), percentile.name())
            }
            Self::Duration(name, percentile) => write!(f, "{DURATION}{name}.{}", percentile.name()),
        }
    }
}

impl Display for Figure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.of_then {
            f.write_str(THEN)?;
        }
        self.measure.fmt(f)
    }
}

impl TryFrom<String> for Figure {
    type Error = UsageError;

    fn try_from(name: String) -> Result<Self, UsageError> {
        Self::parse("figure", &name)
    }
}

impl From<Figure> for String {
    fn from(figure: Figure) -> Self {
        figure.to_string()
    }
}

/// Messages received per second; messages acknowledged of a run that did not receive.
pub(crate) fn throughput_msg_per_s(figures: &Summary) -> Option<f64> {
    match &figures.consumed {
        Some(consumed) => consumed.rate_msg_per_s,
        None => figures.produced.as_ref()?.rate_msg_per_s,
    }
}

/// Bytes received per second; bytes acknowledged of a run that did not receive.
pub(crate) fn throughput_bytes_per_s(figures: &Summary) -> Option<f64> {
    match &figures.consumed {
        Some(consumed) => consumed.rate_bytes_per_s,
        None => figures.produced.as_ref()?.rate_bytes_per_s,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in [
            "throughput",
            "throughput_bytes",
            "cpu_per_message",
            "end_to_end.p99",
            "publish.p99.9",
            "then.landing.p50",
            "then.duration_commit_time.p99.99",
        ] {
            let figure = Figure::parse("primary", name).expect(name);
            assert_eq!(figure.to_string(), name);
            assert_eq!(figure.of_then, name.starts_with("then."));
        }
    }

    #[test]
    fn middle_values_are_measured_the_worse_of_two() {
        let latency = Measure::Latency(LatencyKind::EndToEnd, Percentile::P99);
        assert_eq!(latency.middle(&[]), None);
        assert_eq!(latency.middle(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(latency.middle(&[4.0, 1.0, 3.0, 2.0]), Some(3.0));
        assert_eq!(Measure::Throughput.middle(&[4.0, 1.0, 3.0, 2.0]), Some(2.0));
    }

    #[test]
    fn unknown_names_suggest_the_nearest() {
        let error = |name: &str| Figure::parse("--gate", name).expect_err(name).to_string();
        assert_eq!(
            error("end_to_end.p98"),
            "--gate: no figure is called `end_to_end.p98`; did you mean `end_to_end.p99`?"
        );
        assert!(error("thruput").contains("did you mean `throughput`?"));
        assert!(error("zzz").contains("such as end_to_end.p99"));
        assert!(error("duration_.p42").contains("no figure"));
    }
}
