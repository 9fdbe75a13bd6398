//! Managing tables: describing, creating and deleting them.

use std::time::Duration;

use bench_aws::{AwsArgs, AwsService, SdkConfig};
use bench_core::clock::SystemClock;
use bench_core::counts::Counts;
use bench_core::message::RunId;
use bench_record::ServiceInfo;

use crate::dynamodb::{Billing, DynamodbAdmin};
use crate::error::TableError;
use crate::info::TableInfo;
use crate::mysql::{MysqlAdmin, MysqlUrl};
use crate::receiver::TableReceiver;
use crate::selection::{Selection, Until};

/// The default table of the Lambda functions.
pub const KINESIS_TABLE: &str = "benchmark_kinesis";

/// The default table of `kafka-prodcon`.
pub const KAFKA_TABLE: &str = "benchmark_kafka";

/// The tables of one service.
#[derive(Debug)]
pub struct Tables(System);

#[derive(Debug)]
enum System {
    Dynamodb { config: Box<SdkConfig>, admin: DynamodbAdmin, service: ServiceInfo },
    Mysql { url: MysqlUrl, admin: Box<MysqlAdmin>, service: ServiceInfo },
}

impl Tables {
    /// The tables of the `DynamoDB` set by options or environment. Sends no request.
    pub async fn dynamodb(args: &AwsArgs) -> Result<Self, TableError> {
        let config = args.config_for(AwsService::Dynamodb).await?;
        let (admin, service) =
            (DynamodbAdmin::new(&config), args.service_info(AwsService::Dynamodb, &config));
        Ok(Self(System::Dynamodb { config: Box::new(config), admin, service }))
    }

    /// The tables of a database; connects to it within `timeout`.
    pub async fn mysql(url: &MysqlUrl, timeout: Duration) -> Result<Self, TableError> {
        let service = url.service_info(&url.server(timeout).await?);
        let admin = Box::new(MysqlAdmin::connect(url, timeout).await?);
        Ok(Self(System::Mysql { url: url.clone(), admin, service }))
    }

    /// The service, as recorded in results.
    #[must_use]
    pub fn service(&self) -> &ServiceInfo {
        match &self.0 {
            System::Dynamodb { service, .. } | System::Mysql { service, .. } => service,
        }
    }

    /// Describes a table; `None` if it does not exist.
    pub async fn describe(&mut self, table: &str) -> Result<Option<TableInfo>, TableError> {
        match &mut self.0 {
            System::Dynamodb { admin, .. } => admin.describe(table).await,
            System::Mysql { admin, .. } => admin.describe(table).await,
        }
    }

    /// Checks that a table, if it exists, has the columns of a landing table.
    pub async fn check_columns(&mut self, table: &str) -> Result<(), TableError> {
        match &mut self.0 {
            System::Dynamodb { admin, .. } => admin.check_columns(table).await,
            System::Mysql { admin, .. } => admin.check_columns(table).await,
        }
    }

    /// The runs that have rows in a table.
    pub async fn runs(&mut self, table: &str) -> Result<Vec<RunId>, TableError> {
        match &mut self.0 {
            System::Dynamodb { admin, .. } => admin.runs(table).await,
            System::Mysql { admin, .. } => admin.runs(table).await,
        }
    }

    /// Creates the missing parts of a table and waits until it is usable. `billing` applies to
    /// `DynamoDB` only. Fails if the result is not a landing table.
    pub async fn create(&mut self, table: &str, billing: Billing) -> Result<(), TableError> {
        match &mut self.0 {
            System::Dynamodb { admin, .. } => admin.create(table, billing).await,
            System::Mysql { admin, .. } => admin.create(table).await,
        }
    }

    /// Deletes a table, if it exists, and waits until it is gone.
    pub async fn delete(&mut self, table: &str) -> Result<(), TableError> {
        match &mut self.0 {
            System::Dynamodb { admin, .. } => admin.delete(table).await,
            System::Mysql { admin, .. } => admin.delete(table).await,
        }
    }

    /// A reader of a table.
    pub fn receiver(
        &self,
        table: &str,
        selection: Selection,
        until: Until,
        clock: SystemClock,
        counts: &Counts,
    ) -> Result<TableReceiver, TableError> {
        match &self.0 {
            System::Dynamodb { config, .. } => {
                TableReceiver::dynamodb(config, table, selection, until, clock, counts)
            }
            System::Mysql { url, .. } => {
                TableReceiver::mysql(url, table, selection, until, clock, counts)
            }
        }
    }
}
