//! The connection of each tool to its table.

use std::time::Duration;

use anyhow::Result;
use bench_aws::{AwsArgs, AwsService};
use bench_cli::{UsageError, Waiting, quantity};
use bench_tables::Tables;
use bench_tables::mysql::MysqlArgs;
use clap::Args;

/// The operation named if an interrupt ends it.
const CONNECTING: &str = "connecting to the table's service";

/// The options of a tool that say where its tables are.
pub trait Connection: Args {
    /// Lines of examples in `--help`, shown before the exit codes.
    const EXAMPLES: &'static str;

    /// Connects to the tables named by the options.
    fn tables(&self, waiting: &Waiting) -> Result<Tables>;

    /// An option whose value must not be shown, and what to show instead.
    fn redacted(&self) -> Result<Option<(&'static str, String)>>;
}

/// The connection to `DynamoDB`.
#[derive(Debug, Clone, Args)]
pub struct DynamodbConnection {
    #[command(flatten)]
    aws: AwsArgs,
}

impl Connection for DynamodbConnection {
    const EXAMPLES: &'static str = "\
  kin-db-consumer --from-run results/kin-producer-...     check and measure a producing run
  kin-db-consumer --region eu-west-1 --run 00c0ffee42 --follow
  kin-db-consumer -n 2500 -r 800                          like the script that this replaces
  kin-db-consumer --all-runs --output json";

    fn tables(&self, waiting: &Waiting) -> Result<Tables> {
        if !self.aws.is_named(AwsService::Dynamodb) {
            return Err(UsageError::new(
                "--endpoint-url",
                "no DynamoDB is given, and an embedded one would be empty",
                "set --endpoint-url, --region or --profile, or the environment variable \
                 AWS_ENDPOINT_URL_DYNAMODB or AWS_REGION",
            )
            .into());
        }
        Ok(waiting.until(Tables::dynamodb(&self.aws), CONNECTING)??)
    }

    fn redacted(&self) -> Result<Option<(&'static str, String)>> {
        Ok(None)
    }
}

/// The connection to `MySQL`.
#[derive(Clone, Args)]
pub struct MysqlConnection {
    #[command(flatten)]
    mysql: MysqlArgs,

    /// Connection timeout
    #[arg(
        help_heading = "Connection",
        long,
        value_name = "TIME",
        default_value = "10s",
        value_parser = quantity::parse_duration
    )]
    timeout: Duration,
}

impl Connection for MysqlConnection {
    const EXAMPLES: &'static str = "\
  export MYSQL_URL=mysql://bench:...@db.example:3306/bench
  kin-sql-consumer --from-run results/kin-producer-...    check and measure a producing run
  kin-sql-consumer --run 00c0ffee42 --follow
  kin-sql-consumer -n 2500 -r 800                         like the script that this replaces";

    fn tables(&self, waiting: &Waiting) -> Result<Tables> {
        let Some(url) = self.mysql.url()? else {
            return Err(UsageError::new(
                "--mysql-url",
                "no MySQL is given",
                "set it, or better the environment variable MYSQL_URL, to \
                 mysql://USER:PASSWORD@HOST:PORT/DATABASE",
            )
            .into());
        };
        Ok(waiting.until(Tables::mysql(&url, self.timeout), CONNECTING)??)
    }

    fn redacted(&self) -> Result<Option<(&'static str, String)>> {
        Ok(self.mysql.url()?.map(|url| (MysqlArgs::OPTION, url.address())))
    }
}
