//! The options of a query.

use clap::Args;

use crate::Stat;

/// The options of a query over JSON records; flatten them into a tool's options, which need
/// `--from-run` and `--raw`. The tool rejects other options that make no sense in a query.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Statistics")]
pub struct QueryArgs {
    /// Compute statistics over this field of the records, each a JSON object
    ///
    /// Numbers, and strings that contain numbers, count; other values are skipped and counted.
    /// Nothing is measured, and no result folder is created.
    #[arg(long, value_name = "FIELD", conflicts_with_all = ["from_run", "raw"])]
    pub query: Option<String>,

    /// Compute them also per value of this field
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
