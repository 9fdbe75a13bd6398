//! What the course of a run says about its figures: how sure its percentiles are, and whether something
//! was wrong with it. Made once when the run ends, since it reads all of its intervals.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::Path;

use bench_record::files::{read_file, replace_file};
use bench_record::{LatencyKind, RunDocument, file_names};
use bench_stats::{PercentileInterval, log_percentiles};
use serde::{Deserialize, Serialize};

use super::health::{Flag, flags};
use super::run_files::read_json;
use crate::file::figure::{Measure, Percentile};

/// Version of the file.
const SCHEMA_VERSION: u32 = 1;

/// Level of the intervals in it.
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
    /// What was wrong with the run.
    pub(crate) flags: Vec<Flag>,
}

impl Analysis {
    /// That of the run in `run_dir`, made anew unless the folder has it.
    pub(crate) fn of(run_dir: &Path, document: &RunDocument) -> Self {
        let kept = read_json::<Self>(&run_dir.join(file_names::ANALYSIS), SCHEMA_VERSION).ok();
        let is_own =
            |kept: &Self| kept.schema_version == SCHEMA_VERSION && kept.run_id == document.run_id;
        kept.filter(is_own).unwrap_or_else(|| Self::make(run_dir, document))
    }

    /// Makes the analysis of a run that has ended, and keeps it in its folder.
    pub(crate) fn keep(run_dir: &Path, document: &RunDocument) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(&Self::make(run_dir, document))?;
        replace_file(&run_dir.join(file_names::ANALYSIS), |file| file.write_all(&text))
    }

    fn make(run_dir: &Path, document: &RunDocument) -> Self {
        let mut percentiles = BTreeMap::new();
        for kind in LatencyKind::ALL.into_iter().filter(|kind| *kind != LatencyKind::ScheduleLag) {
            let log = run_dir.join(file_names::interval_log(kind.field()));
            // Without samples there is no log; what is damaged says nothing.
            let quantiles = Percentile::ALL.map(Percentile::quantile);
            let found =
                read_file(&log).ok().and_then(|log| log_percentiles(&log, &quantiles, LEVEL).ok());
            for (percentile, interval) in
                Percentile::ALL.into_iter().zip(found.into_iter().flatten())
            {
                let figure = Measure::Latency(kind, percentile).to_string();
                percentiles.extend(interval.map(|interval| (figure, interval)));
            }
        }
        Self {
            schema_version: SCHEMA_VERSION,
            run_id: document.run_id.clone(),
            percentiles,
            flags: flags(run_dir, document),
        }
    }
}
