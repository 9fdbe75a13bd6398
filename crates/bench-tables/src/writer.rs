//! Writing rows, whatever the table is in.

use crate::dynamodb::DynamodbWriter;
use crate::error::TableError;
use crate::mysql::MysqlWriter;
use crate::row::{Row, Written};

/// Writes rows into a landing table.
///
/// It is to be used within a tokio runtime with time and I/O, which must go on running while a call
/// is awaited: requests are tasks of their own.
#[derive(Debug)]
pub enum TableWriter {
    /// Of `DynamoDB`.
    Dynamodb(DynamodbWriter),
    /// Of `MySQL`.
    Mysql(MysqlWriter),
}

impl TableWriter {
    /// Writes all rows, in as many requests as it takes, several at a time. What was left
    /// unprocessed, throttled or cut off is sent again for a time; what then is not confirmed is
    /// told in [`Written::failed`].
    ///
    /// Rows land at least once: a repeat may double some in `MySQL`. Rows that are equal are rows of
    /// their own. An error is one that no repeat can mend, such as a table that is not there; some
    /// of the rows may then have landed.
    pub async fn write(&mut self, rows: &[Row<'_>]) -> Result<Written, TableError> {
        match self {
            Self::Dynamodb(writer) => writer.write(rows).await,
            Self::Mysql(writer) => writer.write(rows).await,
        }
    }

    /// Stores when rows were confirmed, for those who read the table. A writer that reports that
    /// itself need not.
    pub async fn confirm(&mut self, written: &Written) -> Result<(), TableError> {
        match self {
            Self::Dynamodb(writer) => writer.confirm(&written.batches).await,
            Self::Mysql(writer) => writer.confirm(&written.batches).await,
        }
    }
}
