//! The figures that summaries compare, over the repeats of a cell.

use std::collections::{BTreeMap, BTreeSet};

use bench_core::results::{LatencySummary, Summary};
use serde::Serialize;

/// What one tool measured in the valid runs of a cell. Of a latency there are the medians and the
/// 99th percentiles of all runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct CellFigures {
    /// Messages received a second; messages acknowledged where none are received.
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
            let latencies = runs.iter().filter_map(|summary| sampled(kind.of(summary)));
            Spread::of(latencies.map(percentile), Worse::High)
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

    /// The figures that some of so many valid runs lack, with the number of those that have them.
    pub(super) fn lacking(&self, valid_runs: usize) -> Vec<(String, usize)> {
        fn runs<T>(spread: Option<Spread<T>>) -> usize {
            spread.map_or(0, |spread| spread.runs)
        }
        let latency = |kind: Latency| (kind.name().to_owned(), runs(self.latency(kind).0));
        let durations = self.durations.iter();
        let durations =
            durations.map(|(name, duration)| (name.replace('_', " "), runs(duration.p50_ns)));
        std::iter::once(("msg/s".to_owned(), runs(self.throughput_msg_per_s)))
            .chain(Latency::ALL.map(latency))
            .chain(durations)
            .filter(|(_, runs)| (1..valid_runs).contains(runs))
            .collect()
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

/// A distribution that holds samples: the percentiles of any other say nothing.
pub(crate) fn sampled(latency: Option<&LatencySummary>) -> Option<&LatencySummary> {
    latency.filter(|latency| latency.count > 0)
}

fn durations(runs: &[&Summary]) -> BTreeMap<String, DurationFigures> {
    let names: BTreeSet<&String> = runs.iter().flat_map(|run| run.durations.keys()).collect();
    let of = |name: &String| {
        let figure = |percentile: fn(&LatencySummary) -> u64| {
            let durations = runs.iter().filter_map(|run| sampled(run.durations.get(name)));
            Spread::of(durations.map(percentile), Worse::High)
        };
        DurationFigures { p50_ns: figure(|it| it.p50_ns), p99_ns: figure(|it| it.p99_ns) }
    };
    names.into_iter().map(|name| (name.clone(), of(name))).collect()
}

impl<T: PartialOrd + Copy> Spread<T> {
    pub(super) fn of(values: impl Iterator<Item = T>, worse: Worse) -> Option<Self> {
        let mut values: Vec<T> = values.collect();
        values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        let middle = match worse {
            Worse::Low => values.len().saturating_sub(1) / 2,
            Worse::High => values.len() / 2,
        };
        let (median, runs) = (*values.get(middle)?, values.len());
        Some(Self { median, min: *values.first()?, max: *values.last()?, runs })
    }
}

/// Messages received a second; messages acknowledged where the run received none.
pub(crate) fn throughput_msg_per_s(figures: &Summary) -> Option<f64> {
    let received = figures.consumed.as_ref().map(|consumed| consumed.rate_msg_per_s);
    received.or_else(|| figures.produced.as_ref().map(|produced| produced.rate_msg_per_s))
}

/// Bytes received a second; bytes acknowledged where the run received none.
pub(crate) fn throughput_bytes_per_s(figures: &Summary) -> Option<f64> {
    let received = figures.consumed.as_ref().map(|consumed| consumed.rate_bytes_per_s);
    received.or_else(|| figures.produced.as_ref().map(|produced| produced.rate_bytes_per_s))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_a_value_that_was_measured_the_worse_of_two() {
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
        assert!(spread == Spread { median: 2.0, min: 1.0, max: 3.0, runs: 3 });
    }
}
