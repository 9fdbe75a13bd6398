//! How much equal runs differ on this machine, and what that allows to be shown. From the folder of an
//! experiment whose two cells are the same.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bench_record::files::replace_file;
use bench_stats::{Change, Trend, detectable_change, repeats, trend};
use serde::{Deserialize, Serialize};

use super::comparison::figures::FigureComparison;
use super::comparison::side::{Side, cells_of};
use super::comparison::{Comparison, Criteria};
use super::folder::State;
use super::run_files::read_json;
use crate::file::figure::Figure;
use crate::plan::cells::PlannedRun;

/// Version of the file.
const SCHEMA_VERSION: u32 = 1;

/// The folder of these files, below that of the results.
const FOLDER: &str = "noise";

/// The numbers of repeats for which it is told what they show.
pub(crate) const REPEATS: [usize; 4] = [3, 5, 10, 20];

/// How much equal runs of an experiment differ on a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Noise {
    schema_version: u32,
    /// The experiment.
    pub(crate) name: String,
    /// The machine, by its name.
    pub(crate) host: String,
    /// The folder that it was measured in.
    pub(crate) folder: PathBuf,
    pub(crate) figures: Vec<FigureNoise>,
}

/// How much one figure of equal runs differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FigureNoise {
    pub(crate) figure: Figure,
    /// Whether conclusions rest on it.
    pub(crate) primary: bool,
    /// Standard deviation of all runs' logarithms: 0.05 for runs that differ by about 5 %.
    pub(crate) spread: f64,
    /// The same of the ratios inside blocks, which is what a comparison meets.
    pub(crate) spread_of_ratios: f64,
    /// From one of the equal sides to the other.
    pub(crate) change: Change,
    /// From run to run in the order of time, as a share; absent of fewer than six runs.
    pub(crate) drift: Option<Trend>,
}

impl Noise {
    /// That of the experiment in `folder`.
    pub(crate) fn of(folder: &Path, state: &State) -> Result<Self> {
        let cells = cells_of(folder, state.clone());
        let [a, b] = cells.as_slice() else { anyhow::bail!("it has not two cells") };
        let criteria = Criteria::default();
        let pair = (a.clone(), b.clone());
        let comparison = Comparison::of(&[pair], Vec::new(), &criteria)?;
        let figures = comparison.cells.into_iter().flat_map(|cell| cell.figures);
        let figures = figures.filter(FigureComparison::is_measured).filter_map(|compared| {
            let change = compared.change?;
            let all = [compared.a.values.as_slice(), &compared.b.values].concat();
            Some(FigureNoise {
                spread: repeats(&all, criteria.confidence)?.spread,
                spread_of_ratios: change.standard_error * (change.runs as f64).sqrt(),
                change,
                drift: drift(a, b, state, &compared.figure),
                primary: compared.primary,
                figure: compared.figure,
            })
        });
        Ok(Self {
            schema_version: SCHEMA_VERSION,
            name: state.plan.name.clone(),
            host: a.runs.first().map(|run| run.first.host.name.clone()).unwrap_or_default(),
            folder: folder.to_owned(),
            figures: figures.collect(),
        })
    }

    /// Keeps it for later plans of the experiment.
    pub(crate) fn keep(&self, results_dir: &Path) -> Result<PathBuf> {
        let path = path(results_dir, &self.name);
        let failed = || format!("failed to write {}", path.display());
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(failed)?;
        }
        let text = serde_json::to_vec_pretty(self).with_context(failed)?;
        replace_file(&path, |file| file.write_all(&text)).with_context(failed)?;
        Ok(path)
    }

    /// What was kept of the experiment `name`, if it was measured on this machine.
    pub(crate) fn kept(results_dir: &Path, name: &str, host: &str) -> Option<Self> {
        let kept: Self = read_json(&path(results_dir, &noise_name(name)), SCHEMA_VERSION).ok()?;
        (kept.host == host).then_some(kept)
    }
}

impl FigureNoise {
    /// The smallest change that so many repeats show with a chance of 80 %.
    pub(crate) fn shown_by(&self, repeats: usize) -> Option<f64> {
        detectable_change(self.spread_of_ratios, repeats, Criteria::default().confidence)
    }
}

/// The name of the experiment that measures the noise of another.
pub(crate) fn noise_name(name: &str) -> String {
    format!("{name}-noise")
}

fn path(results_dir: &Path, name: &str) -> PathBuf {
    results_dir.join(FOLDER).join(format!("{name}.json"))
}

/// The trend of a figure over all runs in the order in which they were made.
fn drift(a: &Side, b: &Side, state: &State, figure: &Figure) -> Option<Trend> {
    let value = |run: &PlannedRun| {
        let side = if run.cell == 0 { a } else { b };
        let run = side.runs.iter().find(|found| found.repeat == run.repeat)?;
        Some(run.figure(figure)?.value.ln())
    };
    let values: Vec<f64> = state.plan.runs.iter().filter_map(value).collect();
    trend(&values, Criteria::default().confidence)
}
