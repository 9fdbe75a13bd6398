//! The landing table in `DynamoDB`.
//!
//! Each run has sixteen buckets, so that its writes are spread over partitions and it can be read
//! without other runs. Within a bucket, rows are in the order in which they were written, so that a
//! reader can follow. `docs/tables.md` lists the attributes.

mod admin;
mod item;
mod reader;
mod writer;

pub use admin::{Billing, DynamodbAdmin};
pub(crate) use reader::DynamodbSource;
pub use writer::DynamodbWriter;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use bench_aws::{AwsError, SdkConfig, is_throttled};

use crate::error::TableError;

/// Limit on items per `BatchWriteItem` request, set by the service.
pub const BATCH_ROWS_MAX: usize = 25;

/// Limit on bytes of key and message in a row: an item holds 400 KiB, including the other
/// attributes and all names. 25 such items stay below the 16 MiB of a request.
pub const ROW_BYTES_MAX: usize = (400 << 10) - 512;

/// Buckets per run.
const BUCKETS: u64 = 16;

/// The service's code for a missing table.
const NOT_FOUND: &str = "ResourceNotFoundException";

/// A client without retries of its own, since retries are counted.
fn client(config: &SdkConfig) -> Client {
    let config = aws_sdk_dynamodb::config::Builder::from(config)
        .retry_config(RetryConfig::disabled())
        .build();
    Client::from_conf(config)
}

/// Checks the name of a table.
fn check_name(table: &str) -> Result<(), TableError> {
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if (3..=255).contains(&table.len()) && table.chars().all(is_good) {
        return Ok(());
    }
    let rule = "use 3 to 255 letters, digits, and any of _ - .";
    Err(TableError::Name { table: table.to_owned(), rule })
}

/// Why a request failed, and whether retrying may help.
#[derive(Debug)]
enum Failure {
    Passing(TableError),
    Lasting(TableError),
}

impl Failure {
    fn of<E>(attempted: &str, table: &str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let described = AwsError::new(format!("{attempted} table '{table}'"), error);
        let is_servers_fault =
            error.raw_response().is_some_and(|response| response.status().is_server_error());
        let is_passing = match error {
            SdkError::TimeoutError(_) | SdkError::ResponseError(_) => true,
            // Unclassified dispatch failures include errors that the client treats as transient,
            // such as a connection closed in mid-response. Missing credentials do not appear by
            // themselves.
            SdkError::DispatchFailure(failure) => {
                failure.is_io() || failure.is_timeout() || failure.as_other().is_some()
            }
            SdkError::ServiceError(_) => {
                is_servers_fault || described.code.as_deref().is_some_and(is_throttled)
            }
            _ => false,
        };
        if described.is(NOT_FOUND) {
            let (table, system) = (table.to_owned(), "dynamodb");
            return Self::Lasting(TableError::Missing { table, system });
        }
        if is_passing { Self::Passing(described.into()) } else { Self::Lasting(described.into()) }
    }

    fn into_error(self) -> TableError {
        match self {
            Self::Passing(error) | Self::Lasting(error) => error,
        }
    }
}
