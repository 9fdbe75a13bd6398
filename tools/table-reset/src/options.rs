//! The command line.

use anyhow::Result;
use bench_aws::{AwsArgs, AwsService};
use bench_cli::{OutputArgs, UsageError, Waiting};
use bench_tables::dynamodb::Billing;
use bench_tables::mysql::MysqlArgs;
use bench_tables::{KAFKA_TABLE, KINESIS_TABLE, Tables};
use clap::{Args, Parser, ValueEnum};

const EXAMPLES: &str = "\
Examples:
  table-reset dynamodb --region eu-west-1              both tables, empty; asks first
  table-reset mysql --table benchmark_kafka --yes      in a script, with MYSQL_URL set
  table-reset dynamodb --action create --write-units 1000 --read-units 100
  table-reset dynamodb --action delete --dry-run

Exit codes: 0 done; 1 failed; 2 refused or bad usage, nothing was changed; 130 interrupted.";

/// What was in progress at an interrupt.
const CONNECTING: &str = "connecting to the service; nothing was changed";

/// Empty, create or delete the landing tables
///
/// The quickest way to empty a table is to delete and recreate it, which is the default; the tool
/// then waits until the table is usable. Tables that this benchmark did not create (they lack its
/// tag or comment), or that have something a new table would lack (triggers, partitions, ...), are
/// left alone unless --force is given. Views are always left alone.
#[derive(Parser)]
#[command(name = "table-reset", version, after_help = EXAMPLES)]
pub(crate) struct Options {
    /// Database
    #[arg(value_enum)]
    pub(crate) system: System,

    /// Table; may be repeated [default: those of kafka-prodcon and of the Lambda functions]
    #[arg(long, value_name = "NAME", default_values = [KAFKA_TABLE, KINESIS_TABLE])]
    pub(crate) table: Vec<String>,

    /// What to do with the tables
    #[arg(long, value_enum, default_value_t)]
    pub(crate) action: Action,

    #[command(flatten)]
    pub(crate) guard: GuardArgs,

    #[command(flatten)]
    pub(crate) capacity: CapacityArgs,

    #[command(flatten)]
    pub(crate) mysql: MysqlArgs,

    #[command(flatten)]
    pub(crate) aws: AwsArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Guards against deleting a table by mistake.
#[derive(Args)]
pub(crate) struct GuardArgs {
    /// Show what would be done, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Do not ask; required without a terminal
    #[arg(long)]
    pub(crate) yes: bool,

    /// Also delete tables that this benchmark did not create, or that a new table could not replace
    #[arg(long)]
    pub(crate) force: bool,
}

/// The billing of a new table in `DynamoDB`: per request, unless units are set.
#[derive(Args)]
#[command(next_help_heading = "DynamoDB")]
pub(crate) struct CapacityArgs {
    /// Write capacity units of a new table, 1 KiB per second each [default: billed per request]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) write_units: Option<u32>,

    /// Read capacity units of a new table, 4 KiB per second each
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100,
        requires = "write_units",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub(crate) read_units: u32,
}

/// The database of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum System {
    #[value(help = "Amazon DynamoDB, or a stand-in")]
    Dynamodb,
    #[value(help = "MySQL, MariaDB and compatible servers")]
    Mysql,
}

/// What to do with a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Action {
    /// Delete existing tables and create them again
    #[default]
    Recreate,
    /// Create missing tables
    Create,
    /// Delete existing tables
    Delete,
}

impl Options {
    /// The tables of the chosen service.
    pub(crate) fn tables(&self, waiting: &Waiting) -> Result<Tables> {
        match self.system {
            System::Dynamodb if self.aws.is_named(AwsService::Dynamodb) => {
                Ok(waiting.until(Tables::dynamodb(&self.aws), CONNECTING)??)
            }
            System::Dynamodb => Err(UsageError::new(
                "--endpoint-url",
                "no DynamoDB is set",
                "set one with --endpoint-url, --region or --profile, or in the environment \
                 (AWS_ENDPOINT_URL_DYNAMODB, AWS_REGION)",
            )
            .into()),
            System::Mysql => match self.mysql.url()? {
                Some(url) => {
                    let connecting = Tables::mysql(&url, self.aws.timeout);
                    Ok(waiting.until(connecting, CONNECTING)??)
                }
                None => Err(UsageError::new(
                    "--mysql-url",
                    "no MySQL is set",
                    "set one, preferably in the environment as MYSQL_URL: \
                     mysql://USER:PASSWORD@HOST:PORT/DATABASE",
                )
                .into()),
            },
        }
    }

    /// The billing of a new table.
    pub(crate) fn billing(&self) -> Result<Billing, UsageError> {
        let CapacityArgs { write_units, read_units } = self.capacity;
        match write_units {
            None => Ok(Billing::OnDemand),
            Some(_) if self.system == System::Mysql => {
                let problem = "does not apply to MySQL";
                Err(UsageError::new("--write-units", problem, "remove it"))
            }
            Some(write_units) => Ok(Billing::Provisioned { read_units, write_units }),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn both_tables_are_the_default() {
        let options = Options::try_parse_from(["table-reset", "mysql"]).expect("parses");
        assert_eq!(options.table, [KAFKA_TABLE, KINESIS_TABLE]);
        assert_eq!(options.action, Action::Recreate);
        let line = ["table-reset", "dynamodb", "--table", "a", "--table", "b"];
        assert_eq!(Options::try_parse_from(line).expect("parses").table, ["a", "b"]);
    }

    #[test]
    fn capacity_applies_to_dynamodb_only() {
        let billing = |line: &[&str]| Options::try_parse_from(line).expect("parses").billing();
        let units = ["table-reset", "dynamodb", "--write-units", "7", "--read-units", "5"];
        assert_eq!(billing(&units), Ok(Billing::Provisioned { read_units: 5, write_units: 7 }));
        assert_eq!(billing(&["table-reset", "dynamodb"]), Ok(Billing::OnDemand));
        assert!(billing(&["table-reset", "mysql", "--write-units", "7"]).is_err());
        assert!(Options::try_parse_from(["table-reset", "dynamodb", "--read-units", "5"]).is_err());
    }
}
