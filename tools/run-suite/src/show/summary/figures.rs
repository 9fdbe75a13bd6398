//! The figures that summaries compare, over the repeats of a cell.

use std::collections::{BTreeMap, BTreeSet};

use bench_core::results::{LatencySummary, Summary};
use serde::Serialize;

use crate::run::key_figures::{sampled, throughput_bytes_per_s, throughput_msg_per_s};

/// What one tool measured in the valid runs of a cell. Of a latency there are the medians and the
/// 99th percentiles of all runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct CellFigures {
    /// Messages received per second; messages acknowledged per second if none are received.
    pub(crate) throughput_msg_per_s: Option<Spread<f64>>,
    /// The same in bytes.
    pub(crate) throughput_bytes_per_s: Option<Spread<f64>>,
    pub(crate) publish_p50_ns: Option<Spread<u64>>,
    pub(crate) publish_p99_ns: Option<Spread<u64>>,
    pub(crate) service_time_p50_ns: Option<Spread<u64>>,
    pub(crate) service_time_p99_ns: Option<Spread<u64>>,
    pub(crate) end_to_end_p50_ns: Option<Spread<u64>>,
    pub(crate) end_to_end_p99_ns: Option<Spread<u64>>,
    pub(crate) landing_p50_ns: Option<Spread<u64>>,
    pub(crate) landing_p99_ns: Option<Spread<u64>>,
    /// How long the system's own work took, by name.
    pub(crate) durations: BTreeMap<String, DurationFigures>,
}

/// How long one kind of the system's own work took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct DurationFigures {
    pub(crate) p50_ns: Option<Spread<u64>>,
    pub(crate) p99_ns: Option<Spread<u64>>,
}

/// The values of one figure in the repeats of a cell. All three were measured: of an even number of
/// values, the median is the worse of the two in the middle, not their mean.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread<T> {
    pub(crate) median: T,
    pub(crate) min: T,
    pub(crate) max: T,
    /// Runs that have the figure.
    pub(crate) runs: usize,
    /// Which of the values are lower bounds, where some are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lower_bounds: Option<LowerBounds>,
}

/// Which values of a [`Spread`] may be larger in truth, because messages without an answer are in
/// them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct LowerBounds {
    pub(crate) median: bool,
    pub(crate) min: bool,
    pub(crate) max: bool,
}

/// Which values are the worse ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Worse {
    Low,
    High,
}

impl CellFigures {
    pub(super) fn of(runs: &[&Summary]) -> Self {
        let throughput = |figure: fn(&Summary) -> Option<f64>| {
            Spread::of(runs.iter().filter_map(|summary| figure(summary)), Worse::Low)
        };
        let latency = |kind: Latency, percentile: fn(&LatencySummary) -> u64| {
            Spread::of_latency(runs.iter().map(|summary| kind.of(summary)), percentile)
        };
        let p50 = |kind| latency(kind, |latency| latency.p50_ns);
        let p99 = |kind| latency(kind, |latency| latency.p99_ns);
        Self {
            throughput_msg_per_s: throughput(throughput_msg_per_s),
            throughput_bytes_per_s: throughput(throughput_bytes_per_s),
            publish_p50_ns: p50(Latency::Publish),
            publish_p99_ns: p99(Latency::Publish),
            service_time_p50_ns: p50(Latency::ServiceTime),
            service_time_p99_ns: p99(Latency::ServiceTime),
            end_to_end_p50_ns: p50(Latency::EndToEnd),
            end_to_end_p99_ns: p99(Latency::EndToEnd),
            landing_p50_ns: p50(Latency::Landing),
            landing_p99_ns: p99(Latency::Landing),
            durations: durations(runs),
        }
    }

    /// The median and the 99th percentile of a latency.
    pub(crate) fn latency(&self, kind: Latency) -> (Option<Spread<u64>>, Option<Spread<u64>>) {
        match kind {
            Latency::Publish => (self.publish_p50_ns, self.publish_p99_ns),
            Latency::ServiceTime => (self.service_time_p50_ns, self.service_time_p99_ns),
            Latency::EndToEnd => (self.end_to_end_p50_ns, self.end_to_end_p99_ns),
            Latency::Landing => (self.landing_p50_ns, self.landing_p99_ns),
        }
    }

    /// Those that were measured. The service time stands in where no schedule gives a publish
    /// latency.
    pub(crate) fn latencies(&self) -> Vec<(Latency, Spread<u64>, Spread<u64>)> {
        let stands =
            |kind: &Latency| *kind != Latency::ServiceTime || self.publish_p50_ns.is_none();
        let measured = Latency::ALL.into_iter().filter(stands).filter_map(|kind| {
            let (p50, p99) = self.latency(kind);
            Some((kind, p50?, p99?))
        });
        measured.collect()
    }

    /// Each latency and duration by name, with its median and its 99th percentile.
    fn percentiles(&self) -> Vec<(String, [Option<Spread<u64>>; 2])> {
        let latencies = Latency::ALL.map(|kind| (kind.name(), self.latency(kind)));
        let durations = self.durations.iter().map(|(name, it)| (&**name, (it.p50_ns, it.p99_ns)));
        let all = latencies.into_iter().chain(durations);
        all.map(|(name, (p50, p99))| (name.replace('_', " "), [p50, p99])).collect()
    }

    /// Which figures some of so many valid runs lack. Every run has a rate, unless something is amiss.
    pub(crate) fn lacking(&self, valid_runs: usize) -> Vec<String> {
        let rates = self.throughput_msg_per_s.map_or(0, |spread| spread.runs);
        let rate = ("msg/s".to_owned(), Some(rates));
        let latencies = self.percentiles().into_iter();
        std::iter::once(rate)
            .chain(latencies.map(|(name, [p50, _])| (name, p50.map(|spread| spread.runs))))
            .filter_map(|(name, runs)| Some((name, runs.filter(|runs| *runs < valid_runs)?)))
            .map(|(name, runs)| format!("{name}: {runs} of {valid_runs} valid runs have a value"))
            .collect()
    }

    /// Which figures are lower bounds.
    pub(super) fn lower_bounds(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        for (name, percentiles) in self.percentiles() {
            for (percentile, spread) in ["p50", "p99"].into_iter().zip(percentiles) {
                let bounds = spread.and_then(|spread| spread.lower_bounds).unwrap_or_default();
                let values = bounds.names().join(", ");
                if !values.is_empty() {
                    remarks.push(format!("{name} {percentile}: {values} at least that"));
                }
            }
        }
        remarks
    }
}

/// A latency that summaries compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Latency {
    Publish,
    ServiceTime,
    EndToEnd,
    Landing,
}

impl Latency {
    const ALL: [Self; 4] = [Self::Publish, Self::ServiceTime, Self::EndToEnd, Self::Landing];

    /// What tables call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::ServiceTime => "service time",
            Self::EndToEnd => "end-to-end",
            Self::Landing => "landing",
        }
    }

    fn of(self, summary: &Summary) -> Option<&LatencySummary> {
        match self {
            Self::Publish => summary.publish_latency.as_ref(),
            Self::ServiceTime => summary.service_time.as_ref(),
            Self::EndToEnd => summary.end_to_end_latency.as_ref(),
            Self::Landing => summary.landing_latency.as_ref(),
        }
    }
}

fn durations(runs: &[&Summary]) -> BTreeMap<String, DurationFigures> {
    let names: BTreeSet<&String> = runs.iter().flat_map(|run| run.durations.keys()).collect();
    let of = |name: &String| {
        let figure = |percentile: fn(&LatencySummary) -> u64| {
            Spread::of_latency(runs.iter().map(|run| run.durations.get(name)), percentile)
        };
        DurationFigures { p50_ns: figure(|it| it.p50_ns), p99_ns: figure(|it| it.p99_ns) }
    };
    names.into_iter().map(|name| (name.clone(), of(name))).collect()
}

impl LowerBounds {
    fn names(self) -> Vec<&'static str> {
        let all = [("median", self.median), ("min", self.min), ("max", self.max)];
        all.into_iter().filter(|(_, is_bound)| *is_bound).map(|(name, _)| name).collect()
    }
}

impl Spread<u64> {
    /// A percentile over the runs that have the latency.
    fn of_latency<'a>(
        latencies: impl Iterator<Item = Option<&'a LatencySummary>>,
        percentile: fn(&LatencySummary) -> u64,
    ) -> Option<Self> {
        let value = |latency: &LatencySummary| {
            let ns = percentile(latency);
            (ns, latency.is_lower_bound(ns))
        };
        Self::of_bounds(latencies.filter_map(sampled).map(value), Worse::High)
    }
}

impl<T: PartialOrd + Copy> Spread<T> {
    pub(super) fn of(values: impl Iterator<Item = T>, worse: Worse) -> Option<Self> {
        Self::of_bounds(values.map(|value| (value, false)), worse)
    }

    /// That of values of which some are lower bounds.
    fn of_bounds(values: impl Iterator<Item = (T, bool)>, worse: Worse) -> Option<Self> {
        let mut values: Vec<(T, bool)> = values.collect();
        values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        let last = values.len().checked_sub(1)?;
        let middle = match worse {
            Worse::Low => last / 2,
            Worse::High => values.len() / 2,
        };
        // The value of a place grows in truth when one does that is not above it.
        let is_lower_bound = |place: usize| values[..=place].iter().any(|(_, is_lower)| *is_lower);
        let [median, min, max] = [middle, 0, last].map(|place| values[place].0);
        let lower_bounds = LowerBounds {
            median: is_lower_bound(middle),
            min: is_lower_bound(0),
            max: is_lower_bound(last),
        };
        let lower_bounds = Some(lower_bounds).filter(|bounds| *bounds != LowerBounds::default());
        Some(Self { median, min, max, runs: values.len(), lower_bounds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_measured_values_the_worse_of_two() {
        let of = |values: &[u64], worse| {
            Spread::of(values.iter().copied(), worse).map(|spread| spread.median)
        };
        assert_eq!(of(&[], Worse::High), None);
        assert_eq!(of(&[7], Worse::Low), Some(7));
        assert_eq!(of(&[30, 10, 20], Worse::Low), Some(20));
        assert_eq!(of(&[30, 10, 20], Worse::High), Some(20));
        assert_eq!(of(&[40, 10, 30, 20], Worse::Low), Some(20));
        assert_eq!(of(&[40, 10, 30, 20], Worse::High), Some(30));
        let spread = Spread::of([3.0, 1.0, 2.0].into_iter(), Worse::Low).expect("values");
        assert!(spread == Spread { median: 2.0, min: 1.0, max: 3.0, runs: 3, lower_bounds: None });
    }

    #[test]
    fn values_above_a_lower_bound_are_lower_bounds() {
        let of = |values: [(u64, bool); 3]| {
            let spread = Spread::of_bounds(values.into_iter(), Worse::High).expect("values");
            let LowerBounds { min, median, max } = spread.lower_bounds.unwrap_or_default();
            [min, median, max]
        };
        assert_eq!(of([(1, false), (2, false), (3, false)]), [false, false, false]);
        assert_eq!(of([(1, false), (2, false), (3, true)]), [false, false, true]);
        assert_eq!(of([(3, false), (2, true), (1, false)]), [false, true, true]);
        // In truth it may be the largest of all.
        assert_eq!(of([(1, true), (2, false), (3, false)]), [true, true, true]);
        // Another run measured the same.
        assert_eq!(of([(1, true), (1, false), (3, false)]), [false, true, true]);
    }
}
