//! The options of a query.

use clap::Args;

use crate::Stat;

/// Options of statistics over JSON records. Flatten them into a tool's options, which must include
/// `--from-run` and `--raw`. The tool refuses its other options that have no meaning in a query.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Statistics")]
pub struct QueryArgs {
    /// Compute statistics over this field of the records, each a JSON object
    ///
    /// Numbers, and strings that are numbers, count; other values are skipped and counted. Nothing
    /// is measured then, and no result folder is made.
    #[arg(long, value_name = "FIELD", conflicts_with_all = ["from_run", "raw"])]
    pub query: Option<String>,

    /// Compute them also for each value of this field
    #[arg(long, value_name = "FIELD", requires = "query")]
    pub group_by: Option<String>,

    /// Statistics to show: count, sum, mean, min, max, and percentiles as in p50 or p99.9
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "count,sum,mean,min,max,p50,p99"
    )]
    pub stats: Vec<Stat>,
}
