//! Writing rows to either system.

use crate::dynamodb::DynamodbWriter;
use crate::error::TableError;
use crate::mysql::MysqlWriter;
use crate::row::{Row, Written};

/// Writes rows to a landing table.
///
/// Needs a tokio runtime with time and I/O, which must keep running while a call is awaited:
/// requests are tasks of their own.
#[derive(Debug)]
pub enum TableWriter {
    /// To `DynamoDB`.
    Dynamodb(DynamodbWriter),
    /// To `MySQL`.
    Mysql(MysqlWriter),
}

impl TableWriter {
    /// Writes all rows in as many requests as needed, several at a time. Rows left unprocessed,
    /// throttled or cut off are retried for a while; rows still unconfirmed then are in
    /// [`Written::failed`].
    ///
    /// Rows land at least once: a retry may duplicate rows in `MySQL`. Equal rows are stored
    /// separately. An error is one that retrying cannot cure, such as a missing table; some of the
    /// rows may have landed by then.
    pub async fn write(&mut self, rows: &[Row<'_>]) -> Result<Written, TableError> {
        match self {
            Self::Dynamodb(writer) => writer.write(rows).await,
            Self::Mysql(writer) => writer.write(rows).await,
        }
    }

    /// Stores when rows were confirmed, for readers of the table. A writer that reports this itself
    /// need not call it.
    pub async fn confirm(&mut self, written: &Written) -> Result<(), TableError> {
        match self {
            Self::Dynamodb(writer) => writer.confirm(&written.batches).await,
            Self::Mysql(writer) => writer.confirm(&written.batches).await,
        }
    }
}
