//! The figures that summaries compare, over the repeats of a cell.

use std::collections::{BTreeMap, BTreeSet};

use bench_record::{LatencyKind, LatencySummary, Summary};
use serde::{Serialize, Serializer};

/// The latencies that summaries compare.
pub(super) const COMPARED: [LatencyKind; 4] =
    [LatencyKind::Publish, LatencyKind::ServiceTime, LatencyKind::EndToEnd, LatencyKind::Landing];

use crate::file::figure::{throughput_bytes_per_s, throughput_msg_per_s};
use crate::run::key_figures::sampled;

/// What one tool measured in the valid runs of a cell. Of a latency there are the medians and the
/// 99th percentiles of all runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct CellFigures {
    /// Messages received per second; messages acknowledged per second if none are received.
    pub(crate) throughput_msg_per_s: Option<Spread<f64>>,
    /// The same in bytes.
    pub(crate) throughput_bytes_per_s: Option<Spread<f64>>,
    /// Those that summaries compare.
    #[serde(flatten, serialize_with = "as_columns")]
    latencies: BTreeMap<LatencyKind, Percentiles>,
    /// How long the system's own work took, by name.
    pub(crate) durations: BTreeMap<String, Percentiles>,
}

/// The percentiles of a latency, or of one kind of the system's own work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Percentiles {
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
        let latency = |kind| {
            let figure = |percentile: fn(&LatencySummary) -> u64| {
                Spread::of_latency(runs.iter().map(|summary| summary.latency(kind)), percentile)
            };
            (kind, Percentiles { p50_ns: figure(|it| it.p50_ns), p99_ns: figure(|it| it.p99_ns) })
        };
        Self {
            throughput_msg_per_s: throughput(throughput_msg_per_s),
            throughput_bytes_per_s: throughput(throughput_bytes_per_s),
            latencies: COMPARED.map(latency).into(),
            durations: durations(runs),
        }
    }

    /// The median and the 99th percentile of a latency.
    pub(crate) fn latency(&self, kind: LatencyKind) -> Percentiles {
        self.latencies.get(&kind).copied().unwrap_or_default()
    }

    /// Those that were measured. The service time stands in where no schedule gives a publish
    /// latency.
    pub(crate) fn latencies(&self) -> Vec<(LatencyKind, Spread<u64>, Spread<u64>)> {
        let has_publish = self.latency(LatencyKind::Publish).p50_ns.is_some();
        let stands = |kind: &LatencyKind| *kind != LatencyKind::ServiceTime || !has_publish;
        let measured = COMPARED.into_iter().filter(stands).filter_map(|kind| {
            let Percentiles { p50_ns, p99_ns } = self.latency(kind);
            Some((kind, p50_ns?, p99_ns?))
        });
        measured.collect()
    }

    /// Each latency and duration by name, with its median and its 99th percentile.
    fn percentiles(&self) -> Vec<(String, [Option<Spread<u64>>; 2])> {
        let latencies = COMPARED.map(|kind| (kind.short_title(), self.latency(kind)));
        let durations = self.durations.iter().map(|(name, it)| (&**name, *it));
        let all = latencies.into_iter().chain(durations);
        all.map(|(name, it)| (name.replace('_', " "), [it.p50_ns, it.p99_ns])).collect()
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

/// Writes latencies as fields named after their columns: `publish_p99_ns`.
fn as_columns<S: Serializer>(
    latencies: &BTreeMap<LatencyKind, Percentiles>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(latencies.iter().flat_map(|(kind, it)| {
        let column = kind.column();
        [(format!("{column}_p50_ns"), it.p50_ns), (format!("{column}_p99_ns"), it.p99_ns)]
    }))
}

fn durations(runs: &[&Summary]) -> BTreeMap<String, Percentiles> {
    let names: BTreeSet<&String> = runs.iter().flat_map(|run| run.durations.keys()).collect();
    let of = |name: &String| {
        let figure = |percentile: fn(&LatencySummary) -> u64| {
            Spread::of_latency(runs.iter().map(|run| run.durations.get(name)), percentile)
        };
        Percentiles { p50_ns: figure(|it| it.p50_ns), p99_ns: figure(|it| it.p99_ns) }
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
