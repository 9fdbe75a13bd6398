//! `run-suite compare`: its options, and comparisons as JSON, CSV, Markdown and text.

mod text;

use std::path::PathBuf;

use anyhow::Result;
use bench_cli::output::versioned_json;
use bench_cli::quantity::parse_share;
use bench_cli::{OutputFormat, UsageError};
use clap::Args;

use crate::file::figure::Figure;
use crate::run::comparison::side::{Side, pairs};
use crate::run::comparison::{Comparison, Criteria};

/// Version of the JSON form.
const SCHEMA_VERSION: u32 = 1;

/// Options of a comparison.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The base: an experiment's folder, or the folder of one of its cells
    a: PathBuf,

    /// What is compared with it; by default the other cells of the base's experiment
    b: Option<PathBuf>,

    /// Differences that do not matter: a figure is the same if its whole interval lies within
    #[arg(long, value_name = "SHARE", default_value = "5%", value_parser = parse_share)]
    margin: f64,

    /// Level of the intervals
    #[arg(long, value_name = "SHARE", default_value = "95%", value_parser = parse_share)]
    confidence: f64,

    /// Figure that the conclusion rests on, instead of the experiment's; several times for several
    #[arg(long, value_name = "FIGURE")]
    primary: Vec<String>,

    /// Leave out runs with which something was wrong, such as a warm-up that was too short
    #[arg(long)]
    exclude_flagged: bool,

    /// Show every percentile, also those of which no difference is shown
    #[arg(long)]
    all: bool,

    /// Print Markdown
    #[arg(long)]
    markdown: bool,
}

impl CompareArgs {
    /// The comparison in a format.
    pub(crate) fn text(&self, format: OutputFormat) -> Result<String> {
        let comparison = self.comparison()?;
        match format {
            OutputFormat::Human if self.markdown => Ok(text::markdown(&comparison, self.all)),
            OutputFormat::Human => Ok(text::human(&comparison, self.all)),
            OutputFormat::Json => versioned_json(SCHEMA_VERSION, &comparison),
            OutputFormat::Csv => Ok(text::csv(&comparison)),
        }
    }

    fn comparison(&self) -> Result<Comparison> {
        let criteria = self.criteria()?;
        let (mut pairs, unmatched) = pairs(&self.a, self.b.as_deref())?;
        if self.exclude_flagged {
            pairs.iter_mut().flat_map(|(a, b)| [a, b]).for_each(Side::exclude_flagged);
        }
        Ok(Comparison::of(&pairs, unmatched, &criteria)?)
    }

    fn criteria(&self) -> Result<Criteria, UsageError> {
        if !(0.5..1.0).contains(&self.confidence) {
            let problem = format!("{} is not between 50% and 100%", self.confidence);
            return Err(UsageError::new("--confidence", problem, "95% is usual"));
        }
        let primary = self.primary.iter().map(|name| Figure::parse("--primary", name));
        Ok(Criteria {
            margin: self.margin,
            confidence: self.confidence,
            primary: primary.collect::<Result<_, _>>()?,
        })
    }
}
