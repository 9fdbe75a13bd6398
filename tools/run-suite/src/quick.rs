//! The built-in experiments of `run-suite quick`: what a first run shows in about a minute.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bench_core::results::ServiceOrigin;

use crate::folder::{ExperimentFolder, create_unique, timestamp};
use crate::planned;

/// Each with the name of its folder, which keeps them in order.
const EXPERIMENTS: [(&str, &str); 3] = [
    ("1-throughput", include_str!("../../../experiments/quick/throughput.toml")),
    ("2-latency", include_str!("../../../experiments/quick/latency.toml")),
    ("3-sweep", include_str!("../../../experiments/quick/sweep.toml")),
];

/// Makes the folders of the built-in experiments, all in one new folder below `results_dir`, which
/// is returned with them. They run on `services`, if it is given.
pub(crate) fn create(
    results_dir: &Path,
    services: Option<ServiceOrigin>,
) -> Result<(PathBuf, Vec<ExperimentFolder>)> {
    let plans = EXPERIMENTS
        .iter()
        .map(|(name, text)| {
            planned((*text).to_owned(), services)
                .with_context(|| format!("failed to plan the quick test {name}"))
        })
        .collect::<Result<Vec<_>>>()?;
    let parent = create_unique(results_dir, &format!("quick-{}", timestamp()))?;
    let folders = EXPERIMENTS
        .iter()
        .zip(plans)
        .map(|((name, _), (text, plan))| {
            ExperimentFolder::create_at(parent.join(name), &text, plan)
        })
        .collect::<Result<_>>()?;
    Ok((parent, folders))
}
