//! The landing table, in `DynamoDB` and in `MySQL`: one row for each message that has come through.
//!
//! [`TableWriter`] writes rows and says when they were confirmed. [`dynamodb::DynamodbAdmin`] and
//! [`mysql::MysqlAdmin`] make and delete tables. `docs/tables.md` describes the schema.

mod admin;
pub mod dynamodb;
mod error;
pub mod mysql;
mod row;
mod stored;
mod writer;
mod writing;

pub use admin::{KAFKA_TABLE, KINESIS_TABLE, MARK, TableInfo};
pub use error::TableError;
pub use row::{BatchId, ConfirmedBatch, Row, WriterOptions, Written};
pub use writer::TableWriter;
