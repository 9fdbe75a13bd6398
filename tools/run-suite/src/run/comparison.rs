//! Comparisons of cells: which of two sides is better, by how much, and how sure that is. From result
//! folders alone.

pub(crate) mod differences;
pub(crate) mod estimate;
pub(crate) mod figures;
pub(crate) mod side;

use bench_cli::UsageError;
use bench_record::ServiceOrigin;
use serde::Serialize;

use self::differences::Difference;
use self::figures::{CountComparison, FigureComparison};
use self::side::{Pair, Pairing, Side, SideSummary};
use crate::file::figure::Figure;

/// When a difference counts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Criteria {
    /// Differences below this share do not matter.
    pub(crate) margin: f64,
    /// Level of the intervals.
    pub(crate) confidence: f64,
    /// The figures that the conclusion rests on; none for those of the experiment.
    pub(crate) primary: Vec<Figure>,
}

impl Default for Criteria {
    /// A margin and a level of 5 %.
    fn default() -> Self {
        Self { margin: 0.05, confidence: 0.95, primary: Vec::new() }
    }
}

/// Comparisons of cells, side A with side B.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Comparison {
    /// Differences below this share do not matter.
    pub(crate) margin: f64,
    /// Level of the intervals.
    pub(crate) confidence: f64,
    /// Over how many looks the level was split.
    pub(crate) looks: usize,
    pub(crate) cells: Vec<CellComparison>,
    /// Cells of one side without their like on the other.
    pub(crate) unmatched: Vec<String>,
}

/// Two cells, figure by figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct CellComparison {
    pub(crate) a: SideSummary,
    pub(crate) b: SideSummary,
    pub(crate) pairing: Pairing,
    /// The tool that runs second.
    pub(crate) then: Option<String>,
    pub(crate) figures: Vec<FigureComparison>,
    pub(crate) counts: Vec<CountComparison>,
    /// What differs between the sides beside the measured system.
    pub(crate) differences: Vec<Difference>,
    /// What a reader of the verdicts must know.
    pub(crate) warnings: Vec<String>,
}

impl Comparison {
    /// Compares pairs of cells, whose figures are one family.
    pub(crate) fn of(
        pairs: &[Pair],
        unmatched: Vec<String>,
        criteria: &Criteria,
    ) -> Result<Self, UsageError> {
        // Checking several times, and stopping at the first difference, raises the chance of a false alarm.
        let looks = pairs.iter().map(|(a, _)| a.looks()).max().unwrap_or(1);
        let confidence = 1.0 - (1.0 - criteria.confidence) / looks as f64;
        let criteria = Criteria { confidence, ..criteria.clone() };
        let cells = pairs.iter().map(|(a, b)| CellComparison::of(a, b, &criteria));
        let mut cells = cells.collect::<Result<Vec<_>, _>>()?;
        let margin = criteria.margin;
        let family = cells.iter_mut().flat_map(|cell| &mut cell.figures).collect();
        figures::judge(family, margin, confidence);
        Ok(Self { margin, confidence, looks, cells, unmatched })
    }

    /// Whether every figure that a conclusion rests on has one.
    pub(crate) fn is_decided(&self) -> bool {
        let figures = self.cells.iter().flat_map(|cell| &cell.figures);
        figures.filter(|figure| figure.primary).all(|figure| figure.verdict.is_decided())
    }
}

impl CellComparison {
    fn of(a: &Side, b: &Side, criteria: &Criteria) -> Result<Self, UsageError> {
        refuse_other_origins(a, b)?;
        let pairing = side::pairing(a, b);
        let primary = match criteria.primary.as_slice() {
            [] => a.primary(),
            given => given.to_vec(),
        };
        let mut warnings = side::warnings(a, b, pairing);
        let differences = differences::between(a, b);
        if differences.iter().any(Difference::is_of_host) {
            warnings.push("the sides ran on different machines".to_owned());
        }
        Ok(Self {
            pairing,
            then: a.then_tool(),
            figures: figures::of(a, b, pairing, &primary, criteria.confidence),
            counts: figures::counts(a, b),
            differences,
            warnings,
            a: a.summary(),
            b: b.summary(),
        })
    }
}

/// Refuses to compare stand-ins with real servers: figures of stand-ins are those of the client.
fn refuse_other_origins(a: &Side, b: &Side) -> Result<(), UsageError> {
    let is_embedded = |side: &Side| side.uses(ServiceOrigin::Embedded);
    if is_embedded(a) == is_embedded(b) {
        return Ok(());
    }
    let [embedded, real] = if is_embedded(a) { [a, b] } else { [b, a] };
    Err(UsageError::new(
        &embedded.folder().display().to_string(),
        format!(
            "used embedded stand-ins, and {} did not: their figures are the client's ceiling, not the \
             system's",
            real.folder().display()
        ),
        "compare runs on the same kind of services",
    ))
}
