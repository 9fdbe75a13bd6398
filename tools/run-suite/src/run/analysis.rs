//! What the course of a run says about its figures: how sure its percentiles are, whether something was
//! wrong with it, and how its latencies were distributed. Made once when the run ends, since it reads all
//! of its intervals.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::Path;

use bench_record::files::{read_file, replace_file};
use bench_record::{LatencyKind, RunDocument, file_names};
use bench_stats::{Bounds, Density, LatencyLog, PercentileInterval, mean, mean_half_width};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::health::{Findings, Flag, findings, rates_so_far};
use super::run_files::read_json;
use crate::file::figure::{Measure, Percentile};

/// Version of both files.
const SCHEMA_VERSION: u32 = 1;

/// Level of the intervals.
pub(crate) const LEVEL: f64 = 0.95;

/// What `analysis.json` holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Analysis {
    schema_version: u32,
    /// The run that it is about.
    run_id: String,
    /// The intervals of percentiles at [`LEVEL`], nanoseconds, by the names of figures. Those without
    /// enough samples are absent.
    pub(crate) percentiles: BTreeMap<String, PercentileInterval>,
    /// Half the width of the interval of the throughput inside the run, as a share of it.
    #[serde(default)]
    pub(crate) throughput_half_width: Option<f64>,
    /// What was wrong with the run.
    pub(crate) flags: Vec<Flag>,
}

/// What `distributions.json` holds: more than a comparison needs to read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Distributions {
    schema_version: u32,
    /// The run that it is about.
    run_id: String,
    /// Each latency that has samples, by the name of its columns.
    pub(crate) latencies: BTreeMap<String, Distribution>,
}

/// One latency of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Distribution {
    /// 1 / (1 - q) of quantiles q, and the value there, nanoseconds. It ends with the largest sample.
    pub(crate) curve: Vec<(f64, u64)>,
    /// How many samples had which value at which time.
    pub(crate) density: Option<Density>,
}

impl Analysis {
    /// That of the run in `run_dir`, made anew unless the folder has it.
    pub(crate) fn of(run_dir: &Path, document: &RunDocument) -> Self {
        let kept = kept::<Self>(run_dir, file_names::ANALYSIS);
        let is_own = |kept: &Self| kept.run_id == document.run_id;
        kept.filter(is_own).unwrap_or_else(|| make(run_dir, document).0)
    }
}

impl Distributions {
    /// Those of the run in `run_dir`, made anew unless the folder has them.
    pub(crate) fn of(run_dir: &Path, document: &RunDocument) -> Self {
        let kept = kept::<Self>(run_dir, file_names::DISTRIBUTIONS);
        let is_own = |kept: &Self| kept.run_id == document.run_id;
        kept.filter(is_own).unwrap_or_else(|| make(run_dir, document).1)
    }

    pub(crate) fn latency(&self, kind: LatencyKind) -> Option<&Distribution> {
        self.latencies.get(kind.column())
    }
}

fn kept<T: DeserializeOwned>(run_dir: &Path, name: &str) -> Option<T> {
    read_json(&run_dir.join(name), SCHEMA_VERSION).ok()
}

/// Analyses a run that has ended, and keeps that in its folder.
pub(crate) fn keep(run_dir: &Path, document: &RunDocument) -> io::Result<()> {
    let (analysis, distributions) = make(run_dir, document);
    let text = serde_json::to_vec_pretty(&analysis)?;
    replace_file(&run_dir.join(file_names::ANALYSIS), |file| file.write_all(&text))?;
    let text = serde_json::to_vec(&distributions)?;
    replace_file(&run_dir.join(file_names::DISTRIBUTIONS), |file| file.write_all(&text))
}

/// The interval at `level` of a figure of a run that goes on, from what it has recorded so far; `None` if
/// that is too little, if its load changes, and for figures that only ended runs have.
pub(super) fn interval_so_far(run_dir: &Path, measure: &Measure, level: f64) -> Option<Bounds> {
    let rates = rates_so_far(run_dir)?;
    match measure {
        Measure::Throughput => {
            let half_width = mean_half_width(&rates, level)?;
            Some(Bounds::of_share(mean(&rates), half_width))
        }
        Measure::Latency(kind, percentile) => {
            let log = read_file(&run_dir.join(file_names::interval_log(kind.field()))).ok()?;
            let read = LatencyLog::read(&log, &[percentile.quantile()], level).ok()?;
            let [interval] = read.percentiles.as_slice() else { return None };
            interval.as_ref().map(PercentileInterval::bounds)
        }
        Measure::ByteThroughput | Measure::Duration(..) | Measure::CpuPerMessage => None,
    }
}

/// Reads each log once for both.
fn make(run_dir: &Path, document: &RunDocument) -> (Analysis, Distributions) {
    let run_id = document.run_id.clone();
    let Findings { flags, rates } = findings(run_dir, document);
    let mut analysis = Analysis {
        schema_version: SCHEMA_VERSION,
        run_id: run_id.clone(),
        percentiles: BTreeMap::new(),
        throughput_half_width: mean_half_width(&rates, LEVEL),
        flags,
    };
    let schema_version = SCHEMA_VERSION;
    let mut all = Distributions { schema_version, run_id, latencies: BTreeMap::new() };
    let quantiles = Percentile::ALL.map(Percentile::quantile);
    for kind in LatencyKind::ALL.into_iter().filter(|kind| *kind != LatencyKind::ScheduleLag) {
        let log = run_dir.join(file_names::interval_log(kind.field()));
        // Without samples there is no log; what is damaged says nothing.
        let read = read_file(&log).ok();
        let read = read.and_then(|log| LatencyLog::read(&log, &quantiles, LEVEL).ok());
        let Some(LatencyLog { percentiles, curve, density }) = read else { continue };
        for (percentile, interval) in Percentile::ALL.into_iter().zip(percentiles) {
            let figure = Measure::Latency(kind, percentile).to_string();
            analysis.percentiles.extend(interval.map(|interval| (figure, interval)));
        }
        all.latencies.insert(kind.column().to_owned(), Distribution { curve, density });
    }
    (analysis, all)
}
