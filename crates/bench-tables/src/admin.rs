//! Tables as a whole: what is known of them, making and deleting them.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use bench_aws::{AwsArgs, AwsService, SdkConfig};
use bench_core::clock::SystemClock;
use bench_core::counts::Counts;
use bench_core::message::RunId;
use bench_core::results::ServiceInfo;
use tokio::runtime::{Builder, Runtime};

use crate::dynamodb::{Billing, DynamodbAdmin};
use crate::error::TableError;
use crate::mysql::{MysqlAdmin, MysqlUrl};
use crate::receiver::{Selection, TableReceiver, Until};

/// The mark of the benchmark's own tables: the key of a tag in `DynamoDB`, the beginning of the
/// comment in `MySQL`. Tables without it are not to be deleted.
pub const MARK: &str = "stream-benchmark";

/// The table that the Lambda functions write to unless told otherwise.
pub const KINESIS_TABLE: &str = "benchmark_kinesis";

/// The table that `kafka-prodcon` writes to unless told otherwise.
pub const KAFKA_TABLE: &str = "benchmark_kafka";

/// What is known of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableInfo {
    /// Its name.
    pub name: String,
    /// Its rows; in `DynamoDB` items of any kind, as counted by the service in the last six hours.
    pub rows: Option<u64>,
    /// Whether it bears [`MARK`].
    pub is_marked: bool,
    /// Whether all that belongs to it is there, and rows can be written to it now.
    pub is_usable: bool,
    /// Why it should not be deleted, besides a missing mark.
    pub obstacle: Option<Obstacle>,
}

/// Why something should not be deleted as a table of the benchmark is; each with what it is or has,
/// as in `is a view`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// It is no table: nothing can be done to it here.
    NoTable(String),
    /// The service would refuse to delete it.
    Bound(String),
    /// It can be deleted, and what it has would be gone: a new table would not have it.
    Extra(String),
}

impl Display for Obstacle {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (Self::NoTable(text) | Self::Bound(text) | Self::Extra(text)) = self;
        f.write_str(text)
    }
}

/// The tables of one service.
#[derive(Debug)]
pub struct Tables(System);

#[derive(Debug)]
enum System {
    Dynamodb { config: Box<SdkConfig>, admin: DynamodbAdmin, service: ServiceInfo },
    Mysql { url: MysqlUrl, admin: Box<MysqlAdmin>, service: ServiceInfo },
}

impl Tables {
    /// Those of the `DynamoDB` that the options or the environment name. Nothing is asked yet.
    pub async fn dynamodb(args: &AwsArgs) -> Result<Self, TableError> {
        let config = args.config_for(AwsService::Dynamodb).await?;
        let (admin, service) =
            (DynamodbAdmin::new(&config), args.service_info(AwsService::Dynamodb, &config));
        Ok(Self(System::Dynamodb { config: Box::new(config), admin, service }))
    }

    /// Those of a database, with which it connects within `timeout`.
    pub async fn mysql(url: &MysqlUrl, timeout: Duration) -> Result<Self, TableError> {
        let service = url.service_info(&url.server(timeout).await?);
        let admin = Box::new(MysqlAdmin::connect(url, timeout).await?);
        Ok(Self(System::Mysql { url: url.clone(), admin, service }))
    }

    /// The service, as results show it.
    #[must_use]
    pub fn service(&self) -> &ServiceInfo {
        match &self.0 {
            System::Dynamodb { service, .. } | System::Mysql { service, .. } => service,
        }
    }

    /// What is known of a table; nothing if there is none.
    pub async fn describe(&mut self, table: &str) -> Result<Option<TableInfo>, TableError> {
        match &mut self.0 {
            System::Dynamodb { admin, .. } => admin.describe(table).await,
            System::Mysql { admin, .. } => admin.describe(table).await,
        }
    }

    /// Whether a table has the columns of a landing table, if it is there.
    pub async fn check_columns(&mut self, table: &str) -> Result<(), TableError> {
        match &mut self.0 {
            System::Dynamodb { admin, .. } => admin.check_columns(table).await,
            System::Mysql { admin, .. } => admin.check_columns(table).await,
        }
    }

    /// The runs whose rows a table holds.
    pub async fn runs(&mut self, table: &str) -> Result<Vec<RunId>, TableError> {
        match &mut self.0 {
            System::Dynamodb { admin, .. } => admin.runs(table).await,
            System::Mysql { admin, .. } => admin.runs(table).await,
        }
    }

    /// Creates what is missing of a table, and waits until it can be used. `billing` is that of
    /// `DynamoDB`; `MySQL` has none. Fails if what is there then is no landing table.
    pub async fn create(&mut self, table: &str, billing: Billing) -> Result<(), TableError> {
        match &mut self.0 {
            System::Dynamodb { admin, .. } => admin.create(table, billing).await,
            System::Mysql { admin, .. } => admin.create(table).await,
        }
    }

    /// Deletes a table, if it is there, and waits until it is gone. Fails if it is not.
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

/// What one thing at a time needs.
pub(crate) fn runtime() -> Result<Runtime, TableError> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|source| TableError::Runtime { source })
}
