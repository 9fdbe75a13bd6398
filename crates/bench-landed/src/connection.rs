//! Each tool's connection to its table.

use std::time::Duration;

use anyhow::Result;
use bench_aws::{AwsArgs, AwsService};
use bench_cli::{ToolId, UsageError, UsedService, Waiting, quantity};
use bench_tables::Tables;
use bench_tables::mysql::MysqlArgs;
use clap::Args;

/// What an interrupt interrupted.
const CONNECTING: &str = "connecting to the service of the table";

/// The options by which a tool reaches its tables.
pub trait Connection: Args {
    /// The tool's name and version.
    const TOOL: ToolId;

    /// What run-suite starts for the tool: the table's service, and the function that fills it.
    const SERVICES: &'static [UsedService];

    /// The first line of `--help`.
    const ABOUT: &'static str;

    /// Lines of examples below `--help`.
    const EXAMPLES: &'static str;

    /// The tables of the service that the options name.
    fn tables(&self, waiting: &Waiting) -> Result<Tables>;

    /// The option whose value must not be shown, and what is shown instead.
    fn redacted(&self) -> Result<Option<(&'static str, String)>>;
}

/// Connection to `DynamoDB`.
#[derive(Debug, Clone, Args)]
pub struct DynamodbConnection {
    #[command(flatten)]
    aws: AwsArgs,
}

impl Connection for DynamodbConnection {
    const TOOL: ToolId = tool("kin-db-consumer");
    const SERVICES: &'static [UsedService] =
        &[UsedService::always("dynamodb"), UsedService::always("kin-lambda")];
    const ABOUT: &'static str = "Measure rows landed in a DynamoDB table";
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

/// Connection to `MySQL`.
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
    const TOOL: ToolId = tool("kin-sql-consumer");
    const SERVICES: &'static [UsedService] =
        &[UsedService::always("mysql"), UsedService::always("sql-lambda")];
    const ABOUT: &'static str = "Measure rows landed in a MySQL table";
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

const fn tool(name: &'static str) -> ToolId {
    ToolId { name, version: env!("CARGO_PKG_VERSION") }
}
