//! The table in which consumed messages land.

use anyhow::{Context, Result};
use bench_aws::{AwsArgs, AwsService, SdkConfig};
use bench_cli::{Shutdown, UsageError, Waiting};
use bench_core::clock::SystemClock;
use bench_core::counts::Counts;
use bench_core::transport::EitherReceiver;
use bench_kafka::KillableReceiver;
use bench_record::{ServiceInfo, ServiceOrigin};
use bench_service_dynamodb::stand_in::{self as dynamodb, EmbeddedDynamodb};
use bench_stack::origin_of;
use bench_tables::dynamodb::{BATCH_ROWS_MAX, Billing, DynamodbAdmin, DynamodbWriter};
use bench_tables::mysql::{MysqlAdmin, MysqlArgs, MysqlUrl, MysqlWriter};
use bench_tables::{LandingReceiver, TableWriter, WriterOptions};

use crate::cluster::Cluster;
use crate::options::{ConsumerArgs, Land, LandArgs, TableConnectionArgs};

/// The table of a run and its writers' settings.
pub(crate) struct Landing {
    table: String,
    options: WriterOptions,
    writers_per_consumer: usize,
    target: Target,
    pub(crate) service: ServiceInfo,
    /// Drives the connections that are made before the run, and must outlive them.
    waiting: Waiting,
    pub(crate) counts: Counts,
}

enum Target {
    Dynamodb { config: Box<SdkConfig>, _embedded: Option<EmbeddedDynamodb> },
    Mysql { url: MysqlUrl },
}

impl Landing {
    /// Finds the service for `--land`, or starts an embedded one, without creating anything there.
    /// `None` without `--land`.
    pub(crate) fn find(
        consumer: &ConsumerArgs,
        connection: &TableConnectionArgs,
        cluster: &Cluster,
        shutdown: &Shutdown,
    ) -> Result<Option<Self>> {
        let args = &consumer.land;
        let Some(land) = args.land else { return Ok(None) };
        let waiting = Waiting::new(shutdown)?;
        let doing = "connecting to the table's service";
        let (target, service) = match land {
            Land::Dynamodb => waiting.until(find_dynamodb(args, connection, cluster), doing)??,
            Land::Mysql => waiting.until(find_mysql(&connection.mysql, cluster), doing)??,
        };
        let defaults = match land {
            Land::Dynamodb => WriterOptions::dynamodb(),
            Land::Mysql => WriterOptions::mysql(),
        };
        let rows_per_request =
            args.land_rows.map_or(defaults.rows_per_request, |rows| rows as usize);
        let landing = Self {
            table: args.table.clone(),
            // Each writer has one request in flight, so that none waits for the others of a call.
            options: WriterOptions { rows_per_request, requests_in_flight: 1, ..defaults },
            writers_per_consumer: args.land_in_flight as usize,
            target,
            service,
            waiting,
            counts: Counts::default(),
        };
        // Refuses invalid table names before anything is created.
        landing.writer(SystemClock::new())?;
        Ok(Some(landing))
    }

    /// Creates the table, unless it exists.
    pub(crate) fn prepare_table(&self) -> Result<()> {
        let table = self.table.as_str();
        let created = async {
            match &self.target {
                Target::Dynamodb { config, .. } => {
                    DynamodbAdmin::new(config).create(table, Billing::OnDemand).await
                }
                Target::Mysql { url } => {
                    let mut admin = MysqlAdmin::connect(url, self.options.retry_for).await?;
                    admin.create(table).await
                }
            }
        };
        self.waiting.until(created, "creating the table")??;
        Ok(())
    }

    /// Wraps a receiver so that its messages land in the table.
    fn behind(&self, receiver: KillableReceiver, clock: SystemClock) -> Result<Consumer> {
        let writers: Result<Vec<TableWriter>> =
            (0..self.writers_per_consumer).map(|_| self.writer(clock)).collect();
        let rows = self.options.rows_per_request;
        let landing = LandingReceiver::new(receiver, writers?, rows, clock, &self.counts);
        Ok(Consumer::B(landing.context("failed to start a thread for the table")?))
    }

    fn writer(&self, clock: SystemClock) -> Result<TableWriter> {
        let (table, options) = (self.table.as_str(), self.options);
        Ok(match &self.target {
            Target::Dynamodb { config, .. } => {
                TableWriter::Dynamodb(DynamodbWriter::new(config, table, options, clock)?)
            }
            Target::Mysql { url } => {
                let writer = MysqlWriter::connect(url, table, options, clock);
                TableWriter::Mysql(self.waiting.until(writer, "connecting to MySQL")??)
            }
        })
    }

    /// The address for results, without the password.
    pub(crate) fn mysql_address(&self) -> Option<String> {
        match &self.target {
            Target::Dynamodb { .. } => None,
            Target::Mysql { url } => Some(url.address()),
        }
    }
}

async fn find_dynamodb(
    args: &LandArgs,
    connection: &TableConnectionArgs,
    cluster: &Cluster,
) -> Result<(Target, ServiceInfo)> {
    if args.land_rows.is_some_and(|rows| rows as usize > BATCH_ROWS_MAX) {
        let problem = format!("DynamoDB accepts at most {BATCH_ROWS_MAX} rows per request");
        return Err(UsageError::new("--land-rows", problem, "use fewer").into());
    }
    let TableConnectionArgs { endpoint_url, region, profile, .. } = connection.clone();
    let aws = AwsArgs::new(endpoint_url, region, profile, cluster.timeout());
    if aws.is_named(AwsService::Dynamodb) {
        let config = aws.config_for(AwsService::Dynamodb).await;
        let config = config.map_err(UsageError::from_library)?;
        let found = aws.service_info(AwsService::Dynamodb, &config);
        let service = origin_of(&found.name, &found.address).unwrap_or(found);
        return Ok((Target::Dynamodb { config: Box::new(config), _embedded: None }, service));
    }
    let embedded = EmbeddedDynamodb::start().context("failed to start the embedded DynamoDB")?;
    let config = Box::new(aws.embedded_config(embedded.endpoint_url()));
    let service = ServiceInfo {
        name: AwsService::Dynamodb.name().to_owned(),
        origin: ServiceOrigin::Embedded,
        address: embedded.endpoint_url().to_owned(),
        version: dynamodb::VERSION.to_owned(),
    };
    Ok((Target::Dynamodb { config, _embedded: Some(embedded) }, service))
}

async fn find_mysql(args: &MysqlArgs, cluster: &Cluster) -> Result<(Target, ServiceInfo)> {
    let url = args.url()?.ok_or_else(|| {
        let problem = "landing in MySQL needs a server: there is no embedded one";
        let remedy = "set it here or in MYSQL_URL, or start one with `run-suite services up mysql`";
        UsageError::new("--mysql-url", problem, remedy)
    })?;
    let server = url.server(cluster.timeout()).await?;
    let found = url.service_info(&server);
    let service = match origin_of(&found.name, &url.address()) {
        Some(local) => ServiceInfo { version: found.version, ..local },
        None => found,
    };
    Ok((Target::Mysql { url }, service))
}

/// A consumer whose messages count as received when they come, or when they have landed.
pub(crate) type Consumer = EitherReceiver<KillableReceiver, LandingReceiver<KillableReceiver>>;

/// The consumers of a run, behind a table if messages are to land.
pub(crate) fn consumers(
    receivers: Vec<KillableReceiver>,
    landing: Option<&Landing>,
    clock: SystemClock,
) -> Result<Vec<Consumer>> {
    let consumer = |receiver| match landing {
        Some(landing) => landing.behind(receiver, clock),
        None => Ok(Consumer::A(receiver)),
    };
    receivers.into_iter().map(consumer).collect()
}
