//! The figures of two sides, their change, and the verdict on it.

use std::collections::{BTreeMap, BTreeSet};

use bench_record::{LatencyKind, Summary};
use bench_stats::{
    Advice, Bounds, Change, Finding, VarianceSplit, benjamini_hochberg, finding, holm, paired,
    repeats, sign_flip_p, unpaired, variance_split,
};
use serde::Serialize;

use super::side::{Pairing, Side, SideRun};
use crate::file::figure::{Figure, Measure, Measured, Percentile};
use crate::run::analysis::LEVEL;

/// One figure of two sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct FigureComparison {
    pub(crate) figure: Figure,
    /// Whether the conclusion rests on it.
    pub(crate) primary: bool,
    pub(crate) a: SideValue,
    pub(crate) b: SideValue,
    /// From A to B; absent with fewer than two runs on a side.
    pub(crate) change: Option<Change>,
    /// The probability after the correction for the number of figures: Holm's for primary ones, that of
    /// Benjamini and Hochberg for the others.
    pub(crate) p_corrected: Option<f64>,
    /// The exact probability by sign flips, with six pairs and more.
    pub(crate) p_sign_flip: Option<f64>,
    /// What would make it surer for the least time, as far as the runs tell how sure each is by itself.
    pub(crate) advice: Option<Advice>,
    pub(crate) verdict: Verdict,
    /// About so many more repeats would decide it, if it is undecided; absent beyond a thousand.
    pub(crate) more_repeats: Option<usize>,
}

/// A figure on one side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct SideValue {
    /// The value of each run, in the order of the repeats.
    pub(crate) values: Vec<f64>,
    /// The measured value in the middle, the worse of two; absent without runs.
    pub(crate) median: Option<f64>,
    /// The interval of the typical run's value, with two runs and more.
    pub(crate) interval: Option<Bounds>,
    /// Whether a value may be larger in truth.
    pub(crate) is_lower_bound: bool,
    /// How much of the variance is between runs, and how much inside them.
    pub(crate) variance: Option<VarianceSplit>,
}

/// What is known about the change of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// B is faster: a lower latency, a higher throughput.
    Faster,
    Slower,
    /// B takes less processor time.
    Less,
    More,
    /// The whole interval lies within the margin.
    Same,
    /// Neither is shown.
    Undecided,
    /// Too few valid runs on a side.
    TooFewRuns,
    /// Too few samples beyond the percentile in a run.
    TooFewSamples,
    /// A value is a lower bound.
    LowerBound,
}

impl Verdict {
    /// Whether it says how the sides compare.
    pub(crate) fn is_decided(self) -> bool {
        matches!(self, Self::Faster | Self::Slower | Self::Less | Self::More | Self::Same)
    }
}

/// A count of two sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct CountComparison {
    pub(crate) name: String,
    /// Whether it is one of the second tool.
    pub(crate) of_then: bool,
    /// Of each run, in the order of the repeats.
    pub(crate) a: Vec<u64>,
    pub(crate) b: Vec<u64>,
}

/// The figures that both sides have, without verdicts.
pub(crate) fn of(
    a: &Side,
    b: &Side,
    pairing: Pairing,
    primary: &[Figure],
    confidence: f64,
) -> Vec<FigureComparison> {
    let mut figures: Vec<Figure> = primary.to_vec();
    figures.extend(all(a, b).into_iter().filter(|figure| !primary.contains(figure)));
    let compared = figures.into_iter().map(|figure| {
        let primary = primary.contains(&figure);
        FigureComparison::new(a, b, pairing, figure, primary, confidence)
    });
    compared.filter(|compared| !compared.a.values.is_empty() || compared.primary).collect()
}

/// Every figure that a run of both sides has: throughput, latencies, durations, processor time.
fn all(a: &Side, b: &Side) -> Vec<Figure> {
    let mut figures = Vec::new();
    for of_then in [false, true] {
        let in_side = |side: &Side, measure: &Measure| {
            let mut summaries = side.runs.iter().filter_map(|run| run.figures(of_then));
            summaries.any(|summary| measure.of(summary).is_some())
        };
        let summaries = a.runs.iter().filter_map(|run| run.figures(of_then));
        let durations: BTreeSet<&String> = summaries.flat_map(|it| it.durations.keys()).collect();
        // The schedule lag is the generator's, not the system's.
        let latencies = LatencyKind::ALL
            .into_iter()
            .filter(|kind| *kind != LatencyKind::ScheduleLag)
            .flat_map(|kind| Percentile::ALL.map(|percentile| Measure::Latency(kind, percentile)));
        let durations = durations.into_iter().flat_map(|name| {
            [Percentile::P50, Percentile::P99]
                .map(|percentile| Measure::Duration(name.clone(), percentile))
        });
        let measures = std::iter::once(Measure::Throughput)
            .chain(latencies)
            .chain(durations)
            .chain([Measure::CpuPerMessage]);
        let common = measures.filter(|measure| in_side(a, measure) && in_side(b, measure));
        figures.extend(common.map(|measure| Figure { of_then, measure }));
    }
    figures
}

impl FigureComparison {
    fn new(
        a: &Side,
        b: &Side,
        pairing: Pairing,
        figure: Figure,
        primary: bool,
        confidence: f64,
    ) -> Self {
        let (of_a, of_b) = (measured(&a.runs, &figure), measured(&b.runs, &figure));
        let pairs = in_pairs(&of_a, &of_b);
        let change = match pairing {
            Pairing::Blocks => paired(&pairs.0, &pairs.1, confidence),
            Pairing::OneAfterTheOther => unpaired(&values(&of_a), &values(&of_b), confidence),
        };
        let p_sign_flip = match pairing {
            Pairing::Blocks => sign_flip_p(&pairs.0, &pairs.1),
            Pairing::OneAfterTheOther => None,
        };
        let all = || of_a.values().chain(of_b.values());
        let verdict = if all().any(|it| it.is_lower_bound) {
            Verdict::LowerBound
        } else if all().any(Measured::has_few_samples) {
            Verdict::TooFewSamples
        } else if change.is_none() {
            Verdict::TooFewRuns
        } else {
            Verdict::Undecided
        };
        let a = SideValue::new(a, &figure, &of_a, confidence);
        let b = SideValue::new(b, &figure, &of_b, confidence);
        let variance = a.variance.zip(b.variance);
        Self {
            advice: variance.map(|(a, b)| a.with(b).advice()),
            a,
            b,
            figure,
            primary,
            change,
            p_corrected: None,
            p_sign_flip,
            verdict,
            more_repeats: None,
        }
    }

    /// Whether its values are those of the system: no lower bounds, and none of a few samples.
    pub(crate) fn is_measured(&self) -> bool {
        !matches!(self.verdict, Verdict::LowerBound | Verdict::TooFewSamples)
    }

    /// Whether its change can be judged.
    fn is_judged(&self) -> bool {
        self.verdict == Verdict::Undecided
    }

    fn judge(&mut self, p: f64, margin: f64, confidence: f64) {
        let Some(change) = &self.change else { return };
        self.p_corrected = Some(p);
        let is_good = self.figure.measure.is_better_when_higher();
        let is_cost = self.figure.measure == Measure::CpuPerMessage;
        self.verdict = match finding(change, p, margin, confidence) {
            Finding::Same => Verdict::Same,
            Finding::Undecided { more_repeats } => {
                self.more_repeats = more_repeats;
                Verdict::Undecided
            }
            Finding::Higher if is_cost => Verdict::More,
            Finding::Lower if is_cost => Verdict::Less,
            Finding::Higher if is_good => Verdict::Faster,
            Finding::Lower if !is_good => Verdict::Faster,
            Finding::Higher | Finding::Lower => Verdict::Slower,
        };
    }
}

/// Judges all figures of all cells: primary ones as one family, the others as another.
pub(crate) fn judge(all: Vec<&mut FigureComparison>, margin: f64, confidence: f64) {
    let (mut primary, mut others): (Vec<_>, Vec<_>) =
        all.into_iter().filter(|figure| figure.is_judged()).partition(|figure| figure.primary);
    judge_family(&mut primary, holm, margin, confidence);
    judge_family(&mut others, benjamini_hochberg, margin, confidence);
}

/// Judges figures that are corrected together.
fn judge_family(
    family: &mut [&mut FigureComparison],
    correct: fn(&[f64]) -> Vec<f64>,
    margin: f64,
    confidence: f64,
) {
    let p: Vec<f64> =
        family.iter().map(|figure| figure.change.as_ref().map_or(1.0, |change| change.p)).collect();
    for (figure, p) in family.iter_mut().zip(correct(&p)) {
        figure.judge(p, margin, confidence);
    }
}

impl SideValue {
    fn new(
        side: &Side,
        figure: &Figure,
        measured: &BTreeMap<u32, Measured>,
        confidence: f64,
    ) -> Self {
        let values = values(measured);
        let inside: Option<Vec<Bounds>> =
            side.runs.iter().map(|run| run.interval_inside(figure)).collect();
        Self {
            median: figure.measure.middle(&values),
            interval: repeats(&values, confidence).map(|found| found.interval),
            variance: inside.and_then(|inside| variance_split(&values, &inside, LEVEL)),
            is_lower_bound: measured.values().any(|it| it.is_lower_bound),
            values,
        }
    }
}

/// A figure of the runs that have it, by repeat.
fn measured(runs: &[SideRun], figure: &Figure) -> BTreeMap<u32, Measured> {
    runs.iter().filter_map(|run| Some((run.repeat, run.figure(figure)?))).collect()
}

fn values(measured: &BTreeMap<u32, Measured>) -> Vec<f64> {
    measured.values().map(|it| it.value).collect()
}

/// The values of the repeats that both sides have.
fn in_pairs(a: &BTreeMap<u32, Measured>, b: &BTreeMap<u32, Measured>) -> (Vec<f64>, Vec<f64>) {
    a.iter().filter_map(|(repeat, a)| Some((a.value, b.get(repeat)?.value))).unzip()
}

/// The counts that a run of either side has above 0.
pub(crate) fn counts(a: &Side, b: &Side) -> Vec<CountComparison> {
    let mut counts = Vec::new();
    for of_then in [false, true] {
        let side = |side: &Side| -> Vec<BTreeMap<String, u64>> {
            side.runs.iter().filter_map(|run| run.figures(of_then)).map(counts_of).collect()
        };
        let (a, b) = (side(a), side(b));
        let names: BTreeSet<&String> = a.iter().chain(&b).flat_map(BTreeMap::keys).collect();
        for name in names {
            let of = |runs: &[BTreeMap<String, u64>]| -> Vec<u64> {
                runs.iter().map(|counts| counts.get(name).copied().unwrap_or(0)).collect()
            };
            counts.push(CountComparison { name: name.clone(), of_then, a: of(&a), b: of(&b) });
        }
    }
    counts
}

/// The counts of a run that are not 0.
fn counts_of(figures: &Summary) -> BTreeMap<String, u64> {
    let mut counts = figures.counts.clone();
    if let Some(produced) = &figures.produced {
        counts.insert("failed".to_owned(), produced.failed);
        counts.insert("unresolved".to_owned(), produced.unresolved);
    }
    if let Some(audit) = &figures.audit {
        for (name, count) in [
            ("lost", audit.lost),
            ("duplicated", audit.duplicated),
            ("reordered", audit.reordered),
            ("corrupt", audit.corrupt),
        ] {
            counts.insert(name.to_owned(), count);
        }
    }
    counts.retain(|_, count| *count > 0);
    counts
}
